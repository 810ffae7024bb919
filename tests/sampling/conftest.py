"""A SANE of a zoo of MLPs, one of CNNs and one of ResNets with batch norms, and images for each."""

from pathlib import Path

import numpy as np
import pytest

from sane_core.api.sane import Sane
from sane_core.images.images import Images
from schemas.config.embed import EmbedConfig
from tests.api.stages import (
    CONFIG,
    D_T,
    MLP,
    PREPROCESS,
    RESNET,
    SEED,
    Places,
    write_model,
    write_zoo,
)

CNN = "digits-cnn"
SHAPES = {MLP: (1, 4, 4), CNN: (1, 8, 8), RESNET: (3, 8, 8)}


def images(name: str, count: int, seed: int) -> Images:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, *SHAPES[name]), np.uint8)
    return Images(pixels, np.arange(count) % 10, 1 / 255)


def parts(name: str) -> dict[str, Images]:
    return {part: images(name, 40, i) for i, part in enumerate(("train", "validation", "test"))}


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    made = Places(tmp_path_factory.mktemp("stages"))
    made.zoos[CNN] = write_zoo(made.root / "cnns", CNN, "cnns")
    made.tokens[CNN] = made.tokenized(CNN, PREPROCESS)
    return made


@pytest.fixture(scope="session")
def sane(places: Places, tmp_path_factory: pytest.TempPathFactory) -> Sane:
    """One of all three zoos, whose latents have the width of tokens."""
    config = CONFIG.model_copy(update={"d_z": D_T})
    model = write_model(tmp_path_factory.mktemp("model") / "model", config=config)
    return Sane.from_artifacts(
        [places.tokens[name] for name in SHAPES],
        model,
        name="tiny",
        zoos=[places.zoos[name] for name in SHAPES],
        preprocess=PREPROCESS,
        embed=EmbedConfig(chunk=16, halo=4, batch=8),
        seed=SEED,
    )


@pytest.fixture
def exact(sane: Sane, monkeypatch: pytest.MonkeyPatch) -> Sane:
    """The same with an autoencoder that loses nothing: latents are tokens."""
    monkeypatch.setattr("sane_core.api.prompted.encode", lambda model, tokens, *_: tokens)
    monkeypatch.setattr("sane_core.generation.generator.decode", lambda model, latents, *_: latents)
    return sane


@pytest.fixture
def saved(sane: Sane, tmp_path: Path) -> Path:
    sane.save(tmp_path / "tiny")
    return tmp_path / "tiny"
