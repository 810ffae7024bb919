"""Our metrics are WeightWatcher's and powerlaw's, on real checkpoints.

The packages are in the extra `weightwatcher`; the networks in `shared/data` beside the checkout.
"""

import contextlib
import io
import logging
import warnings
from pathlib import Path

import numpy as np
import pytest

from sane_core.analysis.eigenvalues import eigenvalues_of
from sane_core.analysis.power_law import SMALL, fit_power_law
from sane_core.analysis.spectra import SPECTRAL, ZERO, spectral_metrics
from sane_core.architectures.registry import architecture_named
from sane_core.zoo.formats.tensors import read_tensors

RESNETS = Path(__file__).parents[3] / "shared/data/pytorch_resnet_cifar10/pretrained_models"
DEPTHS = {20: "12fca82f", 32: "d509ac18", 44: "014dd654", 56: "4bfd9763"}
needs_networks = pytest.mark.skipif(not RESNETS.is_dir(), reason=f"no networks in {RESNETS}")


def tensors(depth: int) -> dict[str, np.ndarray]:
    return dict(read_tensors(RESNETS / f"resnet{depth}-{DEPTHS[depth]}.th").tensors)


@needs_networks
@pytest.mark.parametrize("depth", DEPTHS)
def test_every_layer_of_the_resnets_has_weightwatchers_metrics(depth: int) -> None:
    torch = pytest.importorskip("torch")
    logging.disable(logging.CRITICAL)  # it logs to the root logger while it is imported
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        weightwatcher = pytest.importorskip("weightwatcher")
        weights = tensors(depth)
        network = architecture_named(f"cifar-resnet{depth}").build()
        network.load_state_dict({name: torch.tensor(v) for name, v in weights.items()})
        watcher = weightwatcher.WeightWatcher(model=network)
        theirs = watcher.analyze(plot=False, savefig=False)
        summary = watcher.get_summary(theirs)
    logging.disable(logging.NOTSET)
    ours = {
        name.removesuffix(".weight"): spectral_metrics(values[None])[0]
        for name, values in weights.items()
        if values.ndim >= 2
    }
    assert ours.keys() == set(theirs["longname"])
    for row in theirs.to_dict("records"):
        found = [getattr(ours[row["longname"]], name) for name in SPECTRAL]
        assert found == pytest.approx([row[name] for name in SPECTRAL], rel=1e-3)
    for name in summary.keys() & set(SPECTRAL):
        mean = np.mean([getattr(each, name) for each in ours.values()])
        assert mean == pytest.approx(summary[name], rel=1e-3)


@needs_networks
def test_the_fit_of_every_layer_is_powerlaws() -> None:
    powerlaw = pytest.importorskip("powerlaw")
    compared = 0
    for name, values in tensors(20).items():
        if values.ndim < 2:
            continue
        eigenvalues = eigenvalues_of(values[None])[0]
        eigenvalues = eigenvalues[eigenvalues > ZERO]
        ours = fit_power_law(eigenvalues)
        if ours is None or len(eigenvalues) < SMALL:  # the rule for few values is WeightWatcher's
            continue
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            # By default it takes no exponent above 3.
            theirs = powerlaw.Fit(eigenvalues, parameter_ranges={"alpha": [0, 1000]}, verbose=0)
        found = [ours.alpha, ours.x_min, ours.distance]
        assert found == pytest.approx([theirs.alpha, theirs.xmin, theirs.D], rel=1e-3), name
        compared += 1
    assert compared == 19
