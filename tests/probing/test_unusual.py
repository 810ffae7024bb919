"""Zoos at the edge: one latent per network, one token, two architectures under one SANE."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from sane_core.analysis.search import Catalogue
from sane_core.api.analyse import analyse_files
from sane_core.api.properties import read_properties
from sane_core.api.sane import Sane
from sane_core.architectures.registry import architecture_named
from sane_core.embedding.embed import whole_models
from sane_core.embedding.files import write_embeddings
from sane_core.embedding.zoo import embed_zoo
from sane_core.pretraining.files import load
from sane_core.probing.predictor import read_predictor
from sane_core.probing.transfer import Zoo, transfer_zoos
from sane_core.probing.zoo import probe_zoo
from sane_core.zoo.files import read_weights
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.probe import ProbeConfig
from schemas.errors import UserError
from tests.probing.conftest import CONFIG, D_T, EMBED, EPOCHS, NAME, Made, make

PROBE = ProbeConfig(
    targets=("test_accuracy", "epoch", "hyperparameters"), bootstraps=20, outputs=4, coverage=0.8
)
ONE_LATENT = CONFIG.model_copy(update={"bottleneck": "model"})
ONE_TOKEN = "tests.probing.one_token:OneToken"
LONGEST = 300
"""Tokens of a network at most."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A zoo, embedded to one latent per network."""
    root = tmp_path_factory.mktemp("whole")
    return make(root, 0, config=ONE_LATENT, window=LONGEST, embed=whole_models(EMBED))


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A zoo of networks of one token."""
    return make(tmp_path_factory.mktemp("single"), 0, ONE_TOKEN)


def probed(
    made: Made, folder: Path, embed: EmbedConfig = EMBED, config: ProbeConfig = PROBE
) -> dict[str, float]:
    folder.mkdir(exist_ok=True)
    at = (made.tokens, made.model, made.embeddings, config, embed, 0, folder)
    return probe_zoo(*at, zoo=made.zoo)


def sane_of(made: Made) -> Sane:
    preprocess = PreprocessConfig(d_t=D_T)
    return Sane.from_artifacts(
        made.tokens, made.model, name="odd", zoos=made.zoo, preprocess=preprocess
    )


def checkpoint(made: Made, run: int, name: str = NAME) -> dict[str, torch.Tensor]:
    stored = read_weights(made.zoo / "weights", architecture_named(name).shapes(), [run], [1])
    return {key: torch.from_numpy(values[0, 0].copy()) for key, values in stored.items()}


def files(made: Made, folder: Path, name: str = NAME) -> list[Path]:
    paths = [folder / f"run{run}.pt" for run in (3, 7)]
    for path, run in zip(paths, (3, 7), strict=True):
        torch.save(checkpoint(made, run, name), path)
    return paths


@pytest.mark.parametrize("views", [1, 2])
def test_one_latent_per_network_is_probed_searched_and_read(
    whole: Made, tmp_path: Path, views: int
) -> None:
    embed = whole_models(EmbedConfig(views=views))
    tokens = whole.tokens / "tokens"
    made = replace(whole, embeddings=embed_zoo(load(whole.model), tokens, EPOCHS, embed))
    metrics = probed(made, tmp_path / "probes", embed)
    assert metrics["probe.r2.test_accuracy.sane_global"] == pytest.approx(
        metrics["probe.r2.test_accuracy.sane_selected"]
    )
    assert "probe.r2.epoch.untrained_global" in metrics
    assert not any(".pca_" in name for name in metrics)
    bundle = sane_of(made).bundle
    described = bundle.description.model_copy(update={"embed": embed})
    sane = Sane(replace(bundle, description=described))
    write_embeddings(tmp_path / "embeddings.parquet", made.embeddings)
    catalogue = Catalogue.read(tmp_path / "embeddings.parquet", made.zoo)
    first = sane.nearest(checkpoint(made, 3), catalogue, k=1).matches[0]
    assert (first.run, first.epoch, first.distance < 1e-3) == (3, 1, True)
    predictor = read_predictor(tmp_path / "probes" / "predictor.safetensors")
    found = read_properties(sane, predictor, [checkpoint(made, run) for run in (3, 7, 11)])
    assert np.isfinite(found.values["epoch"].values[~found.foreign]).all()
    assert not found.foreign.all()


def test_one_latent_per_network_is_analysed_without_a_spread(whole: Made, tmp_path: Path) -> None:
    analyse_files(files(whole, tmp_path), tmp_path / "out", sane_of(whole))
    layers = pl.read_parquet(tmp_path / "out" / "layers.parquet")
    assert layers["spread"].null_count() == len(layers)
    assert layers["note"].str.contains("needs a latent per token").all()
    assert layers["log_spectral_norm"].null_count() == 0


def test_networks_of_one_token_are_probed_searched_read_and_analysed(
    single: Made, tmp_path: Path
) -> None:
    metrics = probed(single, tmp_path / "probes")
    for features in ("sane_selected", "sane_statistics", "pca_selected", "weights"):
        assert np.isfinite(metrics[f"probe.r2.test_accuracy.{features}"])
    sane, state = sane_of(single), checkpoint(single, 3, ONE_TOKEN)
    assert sane.embed(state, level="token").vectors.shape == (1, 4)
    write_embeddings(tmp_path / "embeddings.parquet", single.embeddings)
    first = sane.nearest(state, tmp_path / "embeddings.parquet", k=1).matches[0]
    assert (first.run, first.epoch) == (3, 1)
    predictor = read_predictor(tmp_path / "probes" / "predictor.safetensors")
    assert read_properties(sane, predictor, [state]).distance.shape == (1,)
    analyse_files(files(single, tmp_path, ONE_TOKEN), tmp_path / "out", sane)
    layers = pl.read_parquet(tmp_path / "out" / "layers.parquet")
    assert layers["spread"].null_count() == len(layers) == 2


def test_networks_of_one_token_have_no_views(single: Made) -> None:
    at = (load(single.model), single.tokens / "tokens", EPOCHS, EmbedConfig(views=2))
    with pytest.raises(ValueError, match="embed.views must be 1 for networks without units that"):
        embed_zoo(*at)


@pytest.mark.parametrize("views", [1, 2])
def test_probes_carry_over_to_another_architecture_under_one_sane(
    made: Made, tmp_path: Path, views: int
) -> None:
    """One SANE embeds both, each in its own frame; features of unequal length stay behind."""
    wider = make(tmp_path / "wider", 1, "mlp[hidden=4x4x4,size=4]")
    embed = EmbedConfig(views=views)
    at = (Zoo("narrow", made.tokens, EPOCHS, made.zoo), made.model, made.embeddings)
    metrics = transfer_zoos(
        *at, [Zoo("deep", wider.tokens, EPOCHS, wider.zoo)], PROBE, embed, 0, tmp_path, True
    )
    name = "probe.transfer.r2.test_accuracy.{}.narrow.to.deep"
    assert np.isfinite(metrics[name.format("sane_mean")])
    assert np.isfinite(metrics[name.format("sane_selected")])
    assert not {name.format(each) for each in ("sane_layers", "statistics", "weights")} & set(
        metrics
    )
    gated = probed(wider, tmp_path / "probes", embed)
    assert gated["probe.gate.detected.random"] == 1
    assert gated["probe.gate.false_alarms"] < 0.6


def test_without_one_sane_for_both_another_architecture_is_refused(
    made: Made, tmp_path: Path
) -> None:
    wider = make(tmp_path / "wider", 1, "mlp[hidden=4x4x4,size=4]")
    at = (Zoo("narrow", made.tokens, EPOCHS), made.model, made.embeddings)
    zoos = [Zoo("deep", wider.tokens, EPOCHS), Zoo("late", wider.tokens, (7,))]
    assert not transfer_zoos(*at, zoos, PROBE, EMBED, 0, tmp_path, False)
    refused, late = pl.read_parquet(tmp_path / "unavailable.parquet")["reason"].to_list()
    assert "train one on both (together: true)" in refused
    assert late == "zoo late must have test runs at the epochs 7, got none"


def test_fewer_runs_than_folds_are_refused(made: Made, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"at most the number of validation and test runs \(14\)"):
        probed(made, tmp_path, config=PROBE.model_copy(update={"folds": 15}))
