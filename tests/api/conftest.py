"""A SANE of one zoo, and one of two."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sane_core.api.sane import Sane
from sane_core.embedding.embed import encode
from sane_core.weights.files import read_tokens
from schemas.config.embed import EmbedConfig
from schemas.config.pretrain import AutoencoderConfig
from tests.api.stages import CONFIG, MLP, PREPROCESS, RESNET, SEED, SPLITS, Places, write_model


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return Places(tmp_path_factory.mktemp("stages"))


Make = Callable[..., Sane]


@pytest.fixture(scope="session")
def make(places: Places, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Put a SANE together from the stages' folders."""

    def made(
        *names: str, config: AutoencoderConfig = CONFIG, window: int = 8, **options: Any
    ) -> Sane:
        folder = tmp_path_factory.mktemp("model") / "model"
        model = write_model(folder, config=config, window=window)
        given: dict[str, Any] = {
            "name": "tiny",
            "zoos": [places.zoos[name] for name in names],
            "preprocess": PREPROCESS,
            "embed": EmbedConfig(chunk=16, halo=4, batch=3),
            "seed": SEED,
            "metrics": {"probe.r2.test_accuracy.sane_mean": 0.5},
        }
        return Sane.from_artifacts([places.tokens[n] for n in names], model, **given | options)

    return made


@pytest.fixture(scope="session")
def sane(make: Make) -> Sane:
    """A SANE of one zoo of MLPs."""
    return make(MLP)


@pytest.fixture(scope="session")
def resnet_sane(make: Make) -> Sane:
    """A SANE of two zoos, one with batch norms."""
    return make(MLP, RESNET)


@pytest.fixture(scope="session")
def latents_of_stage(places: Places) -> Callable[[Sane, str, int], np.ndarray]:
    """The latents of a run's last epoch, from the stage's own tokens."""

    def latents(sane: Sane, name: str, run: int) -> np.ndarray:
        part = read_tokens(places.tokens[name] / "tokens", SPLITS[run], [2])
        values = part.values[part.runs == run]
        model = sane.bundle.model
        return encode(model, values, part.positions, part.lengths, sane.description.embed)[0]

    return latents
