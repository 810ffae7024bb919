"""New networks by the one call a user makes: those unlike the zoo are stopped before."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sane_core.api.properties import read_properties
from sane_core.api.sane import Sane
from sane_core.architectures.registry import architecture_named
from sane_core.probing.predictor import Predictor, read_predictor
from sane_core.probing.zoo import probe_zoo
from sane_core.zoo.files import read_weights
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.probe import ProbeConfig
from tests.probing.conftest import D_T, NAME, Made

CONFIG = ProbeConfig(targets=("test_accuracy",), bootstraps=20, outputs=0, coverage=0.8)


@pytest.fixture(scope="module")
def sane(made: Made) -> Sane:
    at = (made.tokens, made.model)
    preprocess = PreprocessConfig(d_t=D_T)
    return Sane.from_artifacts(*at, name="tiny", zoos=made.zoo, preprocess=preprocess)


@pytest.fixture(scope="module")
def predictor(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("probes")
    probe_zoo(made.tokens, made.model, made.embeddings, CONFIG, EmbedConfig(), 0, folder)
    return read_predictor(folder / "predictor.safetensors")


def checkpoint(made: Made, run: int, epoch: int) -> dict[str, torch.Tensor]:
    shapes = architecture_named(NAME).shapes()
    stored = read_weights(made.zoo / "weights", shapes, [run], [epoch])
    return {name: torch.from_numpy(values[0, 0].copy()) for name, values in stored.items()}


def test_a_checkpoint_of_a_test_run_is_read(made: Made, sane: Sane, predictor: Predictor) -> None:
    runs = [3, 7, 11, 15, 19]
    models = [checkpoint(made, run, 1) for run in runs]
    found = read_properties(sane, predictor, models)
    assert found.foreign.mean() < 0.5
    read, own = found.values["test_accuracy"], ~found.foreign
    assert np.isfinite(read.values[own]).all()
    assert (
        np.corrcoef(read.values[own], [scale(made, run) for run in np.array(runs)[own]])[0, 1] > 0
    )
    assert (read.low[own] < read.values[own]).all()


def scale(made: Made, run: int) -> float:
    state = checkpoint(made, run, 1)
    return float(torch.cat([v.flatten() for v in state.values()]).std())


def test_foreign_networks_get_no_prediction(made: Made, sane: Sane, predictor: Predictor) -> None:
    own = checkpoint(made, 3, 1)
    large = {name: 50 * values for name, values in own.items()}
    wider = architecture_named("mlp[size=5]").build()
    found = read_properties(sane, predictor, [own, large, wider])
    assert found.foreign.tolist() == [False, True, True]
    assert np.isnan(found.values["test_accuracy"].values).tolist() == [False, True, True]
    assert np.isinf(found.distance).tolist() == [False, False, True]


def test_a_network_with_further_layers_is_foreign_and_the_others_are_read(
    made: Made, sane: Sane, predictor: Predictor
) -> None:
    own = checkpoint(made, 3, 1)
    longer = own | {"further.weight": torch.ones(4, 4), "further.bias": torch.ones(4)}
    found = read_properties(sane, predictor, [own, longer])
    assert found.foreign.tolist() == [False, True]
    assert np.isfinite(found.values["test_accuracy"].values).tolist() == [True, False]


def test_an_unknown_zoo_is_named(made: Made, sane: Sane, predictor: Predictor) -> None:
    with pytest.raises(ValueError, match="zoo must be one of mlps, got 'resnets'"):
        read_properties(sane, predictor, [checkpoint(made, 3, 1)], zoo="resnets")


def test_nothing_given_is_refused(sane: Sane, predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one network"):
        read_properties(sane, predictor, [])


def test_probes_of_another_model_are_refused(made: Made, predictor: Predictor) -> None:
    wide = {predictor.gate_pooling: np.zeros((2, 7))}
    with pytest.raises(ValueError, match="must have .* dimensions, as those that .* got 7; take"):
        predictor.distances(wide, np.zeros((2, 21)))
