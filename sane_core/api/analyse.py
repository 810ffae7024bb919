"""Analyse checkpoint files layer by layer, of any architectures, with or without a SANE (§4)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sane_core.analysis.network import Analysed, Network, write_analysis
from sane_core.analysis.spectra import spectral_metrics
from sane_core.analysis.spread import spread
from sane_core.api.given import read_file, take
from sane_core.api.groups import grouped
from sane_core.api.networks import Said
from sane_core.api.passes import Passes
from sane_core.api.prepare import Prepared
from sane_core.api.sane import Sane
from sane_core.architectures.registry import match_shapes
from sane_core.reporting.analysis_draw import of_the_analysis, write_drawn
from sane_core.weights.layers import Layer, layers_of
from sane_core.zoo.formats.contents import Contents
from sane_core.zoo.readers.metrics import percent_to_fraction, split_metrics
from sane_core.zoo.weight_entries import weights_of


def analyse_files(files: Sequence[Path], out: Path, sane: Sane | None = None) -> None:
    """Write `layers.parquet`, `networks.parquet`, `figures/` and `tables.json`.

    A test accuracy is that which a file says itself, as `best_prec1`. A network that the SANE
    cannot take has its spectral metrics alone, and the tables say why.

    Args:
        files: Checkpoints, one network each.
        out: Folder to write to; made if it is not there.
        sane: Gives ẑ_l.

    Raises:
        ValueError: If a file cannot be read, or holds no weights.
    """
    labels = _labels(files)
    analysed = [
        _analyse(run, label, path, sane)
        for run, (label, path) in enumerate(zip(labels, files, strict=True))
    ]
    out.mkdir(parents=True, exist_ok=True)
    write_analysis(out, analysed)
    write_drawn(out, *of_the_analysis(out))


def _labels(files: Sequence[Path]) -> list[str]:
    """Return short names that differ."""
    stems = [path.stem for path in files]
    return stems if len(set(stems)) == len(stems) else [str(path) for path in files]


def _analyse(run: int, label: str, path: Path, sane: Sane | None) -> Analysed:
    contents = read_file(path)
    weights = dict(weights_of(contents.tensors, contents.dtypes))
    found = match_shapes({name: values.shape for name, values in contents.tensors.items()})
    prepared, note = None, ""
    if sane is not None:
        try:
            prepared, note = _prepare(path, sane), ""
        except ValueError as error:
            note = f"no spread: {error}"
    layers = prepared.layers if prepared else _layers(path, contents, weights)
    values = None
    if prepared and sane is not None:
        values, note = _spread(prepared, sane.passes)
    return Analysed(
        network=Network(
            zoo=label,
            run=run,
            epoch=0,
            architecture=found.name if found else label,
            test_accuracy=_accuracy(contents),
        ),
        layers=layers,
        tokens=_tokens(prepared) if prepared else None,
        spread=values,
        spread_note=note,
        metrics=[spectral_metrics(weights[layer.weight][None])[0] for layer in layers],
    )


def _layers(path: Path, contents: Contents, weights: dict[str, np.ndarray]) -> tuple[Layer, ...]:
    shapes = {name: values.shape for name, values in weights.items()}
    if not shapes:
        raise ValueError(f"{path} must hold weights of floating point, got none")
    return layers_of(shapes, contents.tensors.keys() - weights.keys())


def _prepare(path: Path, sane: Sane) -> Prepared:
    """Tokenize one network, aligned and standardized as the SANE demands."""
    (group,) = grouped([take(path, str(path))], sane.bundle, Said(), True, sane.device)
    return group.prepared


def _spread(prepared: Prepared, passes: Passes) -> tuple[np.ndarray | None, str]:
    layers = len(prepared.layers)
    try:
        return spread(passes.encode([prepared])[0], prepared.positions[:, 1], layers)[0], ""
    except ValueError as error:
        return None, f"no spread: {error}"


def _tokens(prepared: Prepared) -> tuple[int, ...]:
    counts = np.bincount(prepared.positions[:, 1], minlength=len(prepared.layers))
    return tuple(counts.tolist())


def _accuracy(contents: Contents) -> float | None:
    """Return the test accuracy that the file says."""
    if not contents.properties:
        return None
    said, _ = split_metrics(percent_to_fraction([contents.properties])[0])
    return said.get("test_accuracy")
