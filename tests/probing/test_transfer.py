"""Probes of one zoo on another: fitted there, tested here, never the other way round."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sane_core.probing import transfer
from sane_core.probing.transfer import Zoo, transfer_zoos
from schemas.config.embed import EmbedConfig
from schemas.config.probe import ProbeConfig
from tests.probing.conftest import EPOCHS, Made

CONFIG = ProbeConfig(
    targets=("test_accuracy", "epoch", "hyperparameters.speed"), bootstraps=50, transfer=True
)


def transferred(made: Made, other: Made, folder: Path, own_frame: bool = False) -> dict[str, float]:
    zoos = [Zoo("away", other.tokens, EPOCHS)]
    at = (Zoo("home", made.tokens, EPOCHS), made.model, made.embeddings, zoos, CONFIG)
    return transfer_zoos(*at, EmbedConfig(), 0, folder, own_frame)


def test_what_holds_in_both_zoos_is_carried_over(made: Made, other: Made, tmp_path: Path) -> None:
    metrics = transferred(made, other, tmp_path)
    assert metrics["probe.transfer.r2.test_accuracy.statistics.home.to.away"] > 0.8
    assert metrics["probe.transfer.kendall.test_accuracy.statistics.home.to.away"] > 0.7
    rows = pl.read_parquet(tmp_path / "transfer.parquet")
    assert set(rows["features"]) >= {"sane_selected", "sane_statistics", "statistics", "weights"}
    assert set(rows["runs"]) == {7}
    assert len(pl.read_parquet(tmp_path / "transfer_comparisons.parquet"))


def test_words_are_not_carried_over(made: Made, other: Made, tmp_path: Path) -> None:
    transferred(made, other, tmp_path)
    (row,) = pl.read_parquet(tmp_path / "unavailable.parquet").to_dicts()
    assert row["name"] == "home → away, hyperparameters.speed"


def test_a_zoo_to_itself_is_its_own_probe(made: Made, tmp_path: Path) -> None:
    """Statistics need no frame, and the other way to SANE's is the same there."""
    from sane_core.probing.zoo import probe_zoo

    metrics = transferred(made, made, tmp_path, own_frame=True)
    at = (made.tokens, made.model, made.embeddings, CONFIG, EmbedConfig(), 0, tmp_path)
    probed = probe_zoo(*at, zoo=made.zoo)
    for features in ("statistics", "sane_mean", "sane_selected", "weights"):
        there = metrics[f"probe.transfer.r2.epoch.{features}.home.to.away"]
        assert there == pytest.approx(probed[f"probe.r2.epoch.{features}"], rel=1e-4, abs=1e-4)


def test_the_frame_of_the_first_zoo_counts(made: Made, other: Made, tmp_path: Path) -> None:
    first = transferred(made, other, tmp_path, own_frame=False)
    own = transferred(made, other, tmp_path, own_frame=True)
    same, apart = ("statistics", "weights")
    name = "probe.transfer.r2.test_accuracy.{}.home.to.away"
    assert first[name.format(same)] == pytest.approx(own[name.format(same)], abs=1e-3)
    assert not np.isclose(first[name.format(apart)], own[name.format(apart)], atol=1e-3)


def test_another_token_size_is_named_and_the_rest_goes_on(
    made: Made, other: Made, tmp_path: Path
) -> None:
    from sane_core.weights.preprocess import preprocess_zoo
    from sane_core.weights.work import PlainWork
    from schemas.config.preprocess import PreprocessConfig

    (tmp_path / "tokens").mkdir()
    work = PlainWork(tmp_path / "tokens", tmp_path / "scratch")
    preprocess_zoo(other.zoo, PreprocessConfig(d_t=20), 0, work)
    zoos = [Zoo("odd", tmp_path / "tokens", EPOCHS), Zoo("even", other.tokens, EPOCHS)]
    at = (Zoo("home", made.tokens, EPOCHS), made.model, made.embeddings, zoos, CONFIG)
    metrics = transfer_zoos(*at, EmbedConfig(), 0, tmp_path, False)
    missing = pl.read_parquet(tmp_path / "unavailable.parquet").to_dicts()
    assert missing[0]["reason"].startswith("zoos must have one token size to share a SANE, got 24")
    assert any(name.endswith(".home.to.even") for name in metrics)


def test_zoos_that_share_no_features_say_so(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_stacked", lambda first, second: {})
    metrics = transferred(made, made, tmp_path, own_frame=True)
    assert not metrics
    (row,) = pl.read_parquet(tmp_path / "unavailable.parquet").to_dicts()
    assert row["name"] == "home → away"
    assert row["reason"].startswith("zoos must share features of one length for probes to carry")
