"""A zoo is probed as a whole: every table is there, and what is not to be had says so."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sane_core.probing import checkpoints as checkpoints_of
from sane_core.probing import features
from sane_core.probing.checkpoints import read_checkpoints
from sane_core.probing.folds import fixed_sides
from sane_core.probing.predictor import read_predictor, write_predictor
from sane_core.probing.targets import Target
from sane_core.probing.zoo import STEPS, probe_targets, probe_zoo, runs_tested
from schemas.config.embed import EmbedConfig
from schemas.config.probe import ProbeConfig
from schemas.errors import UserError
from tests.probing.conftest import Made

CONFIG = ProbeConfig(
    targets=("test_accuracy", "epoch", "generalization_gap", "hyperparameters", "architecture"),
    bootstraps=50,
    outputs=8,
    coverage=0.8,
    false_alarms=0.15,
)


def probed(made: Made, folder: Path, config: ProbeConfig = CONFIG) -> dict[str, float]:
    folder.mkdir(exist_ok=True)
    at = (made.tokens, made.model, made.embeddings, config, EmbedConfig(), 0, folder)
    steps: list[int] = []
    metrics = probe_zoo(*at, on_features=lambda: steps.append(1), zoo=made.zoo)
    assert len(steps) == STEPS
    return metrics


@pytest.fixture(scope="module")
def done(made: Made, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    folder = tmp_path_factory.mktemp("probes")
    return folder, probed(made, folder)


def test_every_claim_is_a_row_and_a_metric(done: tuple[Path, dict[str, float]]) -> None:
    folder, metrics = done
    rows = pl.read_parquet(folder / "comparisons.parquet")
    others = {"statistics", "untrained_selected", "pca_selected", "outputs", "weights"}
    for target in ("test_accuracy", "epoch", "hyperparameters.speed"):
        own = rows.filter(target=target)
        assert set(own.filter(a="sane_selected")["b"]) == others
        assert set(own.filter(a="sane_statistics")["b"]) == others | {"sane_selected"}
    for row in rows.to_dicts():
        name = f"probe.difference.{row['target']}.{row['a']}.{row['b']}"
        assert metrics[name] == row["difference"]
        assert metrics[f"{name}.low"] <= metrics[f"{name}.high"]


def test_what_grows_is_told_by_the_statistics(done: tuple[Path, dict[str, float]]) -> None:
    _, metrics = done
    assert metrics["probe.r2.test_accuracy.statistics"] > 0.9
    assert metrics["probe.kendall.test_accuracy.statistics"] > 0.7
    assert metrics["probe.r2.test_accuracy.sane_statistics"] > 0.9
    assert "probe.accuracy.hyperparameters.speed.statistics" in metrics
    assert 0 < metrics["probe.majority.hyperparameters.speed"] < 1


def test_a_missing_and_a_constant_property_are_named_and_the_rest_goes_on(
    done: tuple[Path, dict[str, float]],
) -> None:
    folder, metrics = done
    missing = {
        row["name"]: row for row in pl.read_parquet(folder / "unavailable.parquet").to_dicts()
    }
    assert missing["generalization_gap"]["reason"] == "no checkpoint's value is known"
    assert "same for all checkpoints" in missing["architecture"]["reason"]
    assert not any(".generalization_gap." in name for name in metrics)


def test_without_any_property_left_it_ends_in_one_sentence(made: Made, tmp_path: Path) -> None:
    nothing = CONFIG.model_copy(update={"targets": ("architecture", "colour")})
    with pytest.raises(
        UserError, match="got none .*colour: .*architecture: it is the same.*name others"
    ):
        probed(made, tmp_path, nothing)


def test_intervals_and_the_gate_say_what_they_did(done: tuple[Path, dict[str, float]]) -> None:
    folder, metrics = done
    intervals = pl.read_parquet(folder / "intervals.parquet")
    assert set(intervals["features"]) == {"sane_selected", "sane_statistics", "statistics"}
    assert metrics["probe.interval.test_accuracy.statistics.coverage"] > 0.5
    assert metrics["probe.interval.test_accuracy.statistics.width"] > 0
    gate = {row["networks"]: row for row in pl.read_parquet(folder / "gate.parquet").to_dicts()}
    assert gate["test"]["foreign"] <= 0.5
    assert gate["random"]["foreign"] == 1
    assert metrics["probe.gate.detected.random"] == 1


def test_too_few_runs_for_an_interval_give_none(made: Made, tmp_path: Path) -> None:
    metrics = probed(made, tmp_path, CONFIG.model_copy(update={"coverage": 0.95}))
    assert not any(name.startswith("probe.interval") for name in metrics)
    assert set(pl.read_parquet(tmp_path / "intervals.parquet")["width"]) == {float("inf")}


def test_new_networks_are_read_as_test_runs_were_unless_they_are_foreign(
    made: Made, done: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    folder, _ = done
    predictor = read_predictor(folder / "predictor.safetensors")
    test = made.embeddings.split == "test"
    vectors = {name: values[test] for name, values in made.embeddings.vectors.items()}
    beside = features.statistics(read_checkpoints(made.tokens, made.embeddings, None))[test]
    assert set(predictor.readings) == {"test_accuracy", "epoch"}
    read = predictor.predict(vectors, beside)["test_accuracy"]
    rows = pl.read_parquet(folder / "predictions.parquet")
    shown = rows.filter(features="sane_statistics", target="test_accuracy")["prediction"]
    own = ~predictor.foreign(vectors, beside)
    assert own.any()
    np.testing.assert_allclose(read.values[own], shown.to_numpy()[own], rtol=1e-6)
    assert (read.low[own] < read.values[own]).all()
    far = predictor.predict(vectors, 100 * beside)["test_accuracy"]
    assert np.isnan(far.values).all()
    write_predictor(tmp_path / "again.safetensors", predictor)
    again = read_predictor(tmp_path / "again.safetensors").predict(vectors, beside)
    np.testing.assert_array_equal(again["test_accuracy"].low, read.low)


def test_equal_inputs_give_equal_files(
    made: Made, done: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    folder, metrics = done
    assert probed(made, tmp_path) == metrics
    for file in folder.iterdir():
        assert file.read_bytes() == (tmp_path / file.name).read_bytes(), file.name


def test_folds_test_more_runs_than_the_split(made: Made, tmp_path: Path) -> None:
    folded = CONFIG.model_copy(update={"folds": 5, "targets": ("test_accuracy",)})
    probed(made, tmp_path, folded)
    rows = pl.read_parquet(tmp_path / "predictions.parquet").filter(features="statistics")
    assert rows["run"].n_unique() == 14
    whole = folded.model_copy(update={"fold_over": "all"})
    probed(made, tmp_path, whole)
    rows = pl.read_parquet(tmp_path / "predictions.parquet").filter(features="statistics")
    assert rows["run"].n_unique() == 30


def test_networks_that_cannot_be_run_have_no_outputs(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} cannot be traced")

    monkeypatch.setattr(checkpoints_of, "architecture_named", refuse)
    checkpoints = read_checkpoints(made.tokens, made.embeddings, made.zoo)
    at = (checkpoints, made.model, made.embeddings, EmbedConfig(), 8, 0)
    found, missing = features.make_features(*at)
    assert "outputs" not in found
    assert "weights" in found
    assert missing == {"outputs": "mlp[size=4] cannot be traced"}


def test_whoever_reads_a_number_of_seen_runs_is_told() -> None:
    said = runs_tested(ProbeConfig(folds=5, fold_over="all"))
    assert "SANE was trained on the weights of the train runs" in said
    assert runs_tested(ProbeConfig(folds=5)) == "validation and test runs in 5 folds over runs"
    assert runs_tested(ProbeConfig()) == "the test runs of the fixed split"
    assert runs_tested(ProbeConfig(), 4).endswith("and the PCA averaged over 4 views")


def test_new_networks_are_read_by_the_fixed_split_whatever_is_tested(
    made: Made, done: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    folder, _ = done
    probed(made, tmp_path, CONFIG.model_copy(update={"folds": 5}))
    for name in ("predictor.safetensors", "intervals.parquet", "gate.parquet"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_controls_are_pooled_as_sane_is(made: Made) -> None:
    vectors = {"sane_layers": made.embeddings.vectors["sane_layers"]}
    embeddings = replace(made.embeddings, vectors=vectors)
    checkpoints = read_checkpoints(made.tokens, embeddings, made.zoo)
    at = (checkpoints, made.model, embeddings, EmbedConfig(), 0, 0)
    found, missing = features.make_features(*at)
    assert {name for name in found if name.startswith(("pca", "untrained"))} == {
        "pca_layers",
        "untrained_layers",
    }
    assert missing == {"outputs": "probe.outputs is 0"}


@pytest.mark.parametrize("limit", ["LARGEST_W", "MOST_W"])
def test_networks_too_large_or_too_many_for_w_are_probed_without_it(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(features, limit, 100)
    metrics = probed(made, tmp_path, CONFIG.model_copy(update={"targets": ("epoch",)}))
    assert not any("weights" in name for name in metrics)
    (row,) = pl.read_parquet(tmp_path / "unavailable.parquet").to_dicts()
    assert row["name"] == "weights"
    assert row["reason"].endswith("weights, a probe of W takes at most 100")


@pytest.mark.parametrize("chosen", [True, False])
def test_the_dearest_controls_are_fitted_only_beside_the_same_of_sane(chosen: bool) -> None:
    rng = np.random.default_rng(0)
    truth, split = rng.standard_normal(90), np.repeat(["train", "validation", "test"], 30)
    good, bad = truth[:, None] + 0.1 * rng.standard_normal((90, 1)), rng.standard_normal((90, 1))
    found = {"sane_mean": bad if chosen else good, "sane_full": good if chosen else bad}
    found |= {"pca_full": bad, "pca_mean": bad, "statistics": bad}
    at = ([Target("epoch", truth)], np.arange(90), fixed_sides(split), CONFIG, 0)
    (compared,) = probe_targets(found, *at)
    assert ("pca_full" in compared.predictions) is chosen
    assert "pca_mean" in compared.predictions
