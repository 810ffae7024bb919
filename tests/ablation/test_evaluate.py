"""Evaluation: a mean over checkpoints, its interval over runs, per window and layer."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sane_core.ablation.evaluate import (
    Pass,
    distinct_passes,
    evaluate_zoo,
    interval,
    latents_per_weight,
)
from sane_core.ablation.reconstruct import reconstruction_errors
from tests.ablation.made_up import EPOCHS, LAYERS, LENGTH, RUNS, Zoo, autoencoder

SPLITS = ("train", "validation", "test")


def evaluate(zoo: Zoo, model: Path, out: Path, *passes: Pass, limit: int = 100, epochs=EPOCHS):
    metrics = evaluate_zoo(zoo.folder, model, epochs, SPLITS, passes, limit, 0, out)
    return metrics, pl.read_parquet(out / "evaluation.parquet")


def test_the_loss_is_the_mean_over_checkpoints_in_windows_of_training(
    zoo: Zoo, make_model, tmp_path: Path
) -> None:
    metrics, table = evaluate(zoo, make_model(window=5), tmp_path)
    part = zoo.parts["test"]
    chosen = list(zip(part.runs.tolist(), part.epochs.tolist(), strict=True))
    found = reconstruction_errors(
        autoencoder(window=5), zoo.folder / "tokens", LAYERS, "test", chosen, 5
    )
    expected = (found.squared.sum(1) / found.weights.sum(1)).mean()
    assert metrics["evaluation.test.reconstruction"] == pytest.approx(expected)
    layer = table.filter(split="test", layer="b").row(0, named=True)
    assert layer["reconstruction"] == pytest.approx((found.squared / found.weights)[:, 1].mean())
    assert table.filter(layer="all")["checkpoints"].to_list() == [8, 4, 6]
    assert table.filter(layer="all")["runs"].to_list() == [len(RUNS[split]) for split in SPLITS]


def test_every_pass_has_its_name_and_equal_ones_are_run_once(
    zoo: Zoo, make_model, tmp_path: Path
) -> None:
    passes = [Pass(256, 32), Pass(5), Pass(4), Pass(4, 2), Pass(0), Pass(0, 2)]
    metrics, table = evaluate(zoo, make_model(window=5), tmp_path, *passes)
    name = "evaluation.test.reconstruction"
    assert {
        key for key in metrics if key.startswith(name) and not key.endswith(("low", "high"))
    } == {
        name,
        f"{name}.w14",
        f"{name}.w4",
        f"{name}.w4.halo2",
    }
    overall = table.filter(split="test", layer="all")
    assert overall.filter("trained")["window"].to_list() == [5]
    assert overall.filter("whole")["window"].to_list() == [LENGTH]
    assert (overall["low"] <= overall["reconstruction"]).all()
    assert (overall["high"] >= overall["reconstruction"]).all()


def test_passes_longer_than_the_model_are_one_pass_over_all_of_it() -> None:
    found = distinct_passes(autoencoder(window=40), LAYERS, [Pass(0), Pass(256, 32), Pass(3, 1)])
    assert found == [Pass(LENGTH), Pass(3, 1)]


def test_the_interval_counts_runs_and_not_checkpoints() -> None:
    rng = np.random.default_rng(0)
    values = np.repeat(rng.standard_normal(8), 50)
    by_run = interval(values, np.repeat(np.arange(8), 50), np.random.default_rng(1))
    by_row = interval(values, np.arange(400), np.random.default_rng(1))
    assert by_run[1] - by_run[0] > 3 * (by_row[1] - by_row[0])
    assert by_run[0] < values.mean() < by_run[1]


def test_one_latent_per_model_is_counted_once() -> None:
    weights = sum(layer.size for layer in LAYERS)
    assert latents_per_weight(autoencoder(), LAYERS) == LENGTH * 3 / weights
    one = autoencoder(window=LENGTH, bottleneck="model")
    assert latents_per_weight(one, LAYERS) == 3 / weights


def test_of_too_many_checkpoints_the_same_ones_are_drawn_every_time(
    zoo: Zoo, make_model, tmp_path: Path
) -> None:
    first, table = evaluate(zoo, make_model(), tmp_path, limit=3)
    assert table["checkpoints"].unique().to_list() == [3]
    assert evaluate(zoo, make_model(), tmp_path, limit=3)[0] == first
    assert evaluate(zoo, make_model(), tmp_path, limit=4)[0] != first


def test_tokens_of_another_size_are_refused(zoo: Zoo, make_model, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tokens must have 7 values, as in pretraining, got 4"):
        evaluate(zoo, make_model(d_t=7), tmp_path)


def test_epochs_without_checkpoints_are_refused(zoo: Zoo, make_model, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"split train must have checkpoints of epochs \[7\]"):
        evaluate(zoo, make_model(), tmp_path, epochs=(7,))
