"""Analysing a zoo: a row per network and layer, what is missing said, several zoos side by side."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sane_core.analysis.latents import latents_of, token_distances
from sane_core.analysis.spectra import spectral_metrics
from sane_core.analysis.spread import spread
from sane_core.analysis.together import join, series_of
from sane_core.analysis.zoo import Sources, analyse_zoo
from sane_core.pretraining.files import load
from sane_core.weights.tokens import positions_of
from sane_core.zoo.files import read_weights
from schemas.config.analyse import AnalyseConfig
from schemas.config.embed import EmbedConfig
from tests.spectra.made_up import D_T, LAYERS, make

EMBED = EmbedConfig(chunk=16, halo=4)


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return make(tmp_path_factory.mktemp("made-up"), "made-up")


@pytest.fixture(scope="session")
def analysed(sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("analysis")
    analyse_zoo(sources, AnalyseConfig(), EMBED, 0, folder)
    return folder


def test_every_layer_of_the_first_and_last_checkpoints_has_a_row(analysed: Path) -> None:
    layers = pl.read_parquet(analysed / "layers.parquet")
    assert layers.select("run", "epoch").unique().height == 5 * 2
    assert set(layers["epoch"]) == {0, 2}
    one = layers.filter(run=3, epoch=2).sort("l")
    assert one["name"].to_list() == ["conv", "small", "norm", "fc"]
    assert one["tokens"].to_list() == [96, 4, 1, 20]
    assert one["note"].to_list() == [
        "",
        "too small: 4 eigenvalues, at least 8 are needed",
        "no matrix: a vector has no spectrum; no spread: 1 token",
        "",
    ]
    assert one["alpha"].is_null().to_list() == [False, True, True, False]
    assert one["spread"].is_null().to_list() == [False, False, True, False]


def test_the_rows_hold_the_metrics_of_the_weights_and_the_spread_of_the_latents(
    sources: Sources, analysed: Path
) -> None:
    layers = pl.read_parquet(analysed / "layers.parquet").filter(run=4, epoch=2).sort("l")
    weights = read_weights(sources.zoo / "weights", {"fc.weight": (10, 12)}, [4], [2])
    assert layers["alpha"][3] == spectral_metrics(weights["fc.weight"][:, 0])[0].alpha
    pairs = latents_of(load(sources.model), sources.tokens, LAYERS, {(4, 2)}, EMBED)
    ((_, latents),) = pairs
    found = spread(latents[None], positions_of(LAYERS, D_T)[:, 1], len(LAYERS))[0]
    assert np.allclose(layers["spread"][0], found[0], rtol=1e-5)


def test_a_network_has_the_means_over_the_layers_that_have_a_value(analysed: Path) -> None:
    layers = pl.read_parquet(analysed / "layers.parquet")
    network = pl.read_parquet(analysed / "networks.parquet").filter(run=1, epoch=2)
    own = layers.filter(run=1, epoch=2)
    for feature in ("spread", "alpha", "log_alpha_norm"):
        assert network[feature][0] == pytest.approx(own[feature].mean())
    assert network["test_accuracy"][0] == pytest.approx(0.12)
    assert (network["layers"][0], network["last"][0]) == (4, True)
    missing = pl.read_parquet(analysed / "networks.parquet").filter(run=4)
    assert missing["test_accuracy"].null_count() == 2


def test_all_epochs_are_analysed_where_they_are_asked_for(sources: Sources, tmp_path: Path) -> None:
    analyse_zoo(sources, AnalyseConfig(epochs="all"), EMBED, 0, tmp_path)
    networks = pl.read_parquet(tmp_path / "networks.parquet")
    assert networks.group_by("run").len()["len"].to_list() == [3] * 5
    assert networks.filter("last")["epoch"].to_list() == [2] * 5


def test_the_largest_layer_is_drawn_or_the_one_that_is_named(
    sources: Sources, analysed: Path, tmp_path: Path
) -> None:
    drawn = pl.read_parquet(analysed / "spectra.parquet")
    assert set(drawn["layer"]) == {"conv"}
    assert len(drawn["eigenvalues"][0]) == 90
    config = AnalyseConfig(spectrum_layer="fc", spectrum_networks=2, spectrum_tokens=8)
    analyse_zoo(sources, config, EMBED, 0, tmp_path)
    named = pl.read_parquet(tmp_path / "spectra.parquet")
    assert (set(named["layer"]), set(named["run"])) == ({"fc"}, {0, 1})
    assert len(named["distances"][0]) == 8 * 7 / 2
    config = AnalyseConfig(spectrum_layer="norm")
    with pytest.raises(ValueError, match="one of conv, fc, got 'norm'"):
        analyse_zoo(sources, config, EMBED, 0, tmp_path)


def test_equal_runs_write_equal_files(sources: Sources, analysed: Path, tmp_path: Path) -> None:
    analyse_zoo(sources, AnalyseConfig(), EMBED, 0, tmp_path)
    for path in analysed.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_one_latent_for_a_network_leaves_its_spectra(tmp_path: Path) -> None:
    sources = make(tmp_path / "zoo", "global", bottleneck="model")
    metrics = analyse_zoo(sources, AnalyseConfig(), EMBED, 0, tmp_path)
    layers = pl.read_parquet(tmp_path / "layers.parquet")
    assert layers["spread"].null_count() == len(layers)
    assert layers.filter(name="fc")["note"].str.contains("one latent for a whole network").all()
    assert "analysis.mean.alpha" in metrics
    assert "analysis.mean.spread" not in metrics


def test_distances_are_those_between_latents() -> None:
    rng = np.random.default_rng(0)
    latents = np.array([[0, 0], [3, 4], [0, 1]], np.float32)
    assert token_distances(latents, 9, rng).tolist() == pytest.approx([5, 1, 18**0.5])
    assert len(token_distances(latents[:1], 9, rng)) == 0


def test_several_zoos_are_joined_with_their_correlations(
    sources: Sources, analysed: Path, tmp_path: Path
) -> None:
    folders = [analysed]
    for i in range(4):
        folders.append(tmp_path / f"{i}")
        folders[-1].mkdir()
        analyse_zoo(replace(sources, name=f"zoo-{i}"), AnalyseConfig(), EMBED, 0, folders[-1])
    few = join(folders[:2], tmp_path)
    assert few == {"analysis.together.networks": 10.0}
    metrics = join(folders, tmp_path)
    assert metrics["analysis.together.networks"] == 25
    assert -1 <= metrics["analysis.together.kendall.spread"] <= 1  # 20 of them have an accuracy
    assert pl.read_parquet(tmp_path / "networks.parquet")["zoo"].n_unique() == 5


def test_architectures_of_several_depths_are_one_series() -> None:
    assert series_of("cifar-resnet20[width=8]") == series_of("cifar-resnet110") == "cifar-resnet"
    assert series_of("minialexnet") == "minialexnet"
    assert series_of("my.module:net2") == "my.module:net"
