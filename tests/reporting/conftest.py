"""Tiny artifacts with plausible numbers, as the stages write them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sane_core.reporting.draw import ReportSources, draw_report
from schemas.config.ablate import VIEW_SETTINGS
from schemas.tables import CHECKPOINTS, DISTANCES, LAYERS, tokens_schema

EPOCHS = 6
SPLITS = ("train",) * 5 + ("validation",) * 2 + ("test",) * 2
TARGETS = ("test_accuracy", "epoch", "generalization_gap")
FEATURES = (
    "weights",
    "statistics",
    "sane_mean",
    "sane_layers",
    "sane_selected",
    "untrained_mean",
    "untrained_layers",
    "pca_mean",
    "pca_layers",
)
METHODS = (
    "sub",
    "kde30",
    "boot",
    "gauss",
    "prompts",
    "prompts_selected",
    "best_prompt",
    "noise",
    "interpolation",
    "average",
    "reconstruction",
    "scratch",
)


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> ReportSources:
    """Write every artifact a report is drawn from."""
    root = tmp_path_factory.mktemp("artifacts")
    rng = np.random.default_rng(0)
    for name, write in (
        ("zoo", _write_zoo),
        ("tokens", _write_tokens),
        ("model", _write_history),
        ("probe", _write_probes),
        ("generation", _write_generation),
        ("evaluation", _write_evaluation),
        ("baseline", _write_evaluation),
        ("ablation", _write_ablation),
        ("transfer", _write_transfer),
    ):
        (root / name).mkdir()
        write(root / name, rng)
    metrics = {
        "preprocess.squared_distance.before": 80.5,
        "preprocess.squared_distance.after": 53.25,
        "preprocess.groups": 4.0,
        "preprocess.units": 38.0,
        "preprocess.fill_rate": 0.7843,
        "preprocess.constant_layers": 1.0,
        "preprocess.aligned_fully": 0.875,
        "preprocess.largest_logit_change": 1.9616e-6,
        "pretrain.validation_reconstruction": 0.039,
        "pretrain.latents_per_weight": 1.96,
        "pretrain.parameters": 1_430_000.0,
        "evaluation.test.reconstruction": 0.0413,
        "evaluation.test.reconstruction.low": 0.0391,
        "evaluation.test.reconstruction.high": 0.0442,
        "evaluation.latents_per_weight": 1.97,
        "generation.accuracy.sub.epoch0": 0.9301,
        "generation.accuracy.prompts.epoch0": 0.9202,
        "generation.accuracy.noise.epoch0": 0.9153,
        "probe.r2.epoch.sane_selected": 0.9712,
        "probe.r2.epoch.sane_selected.low": 0.9511,
        "probe.r2.epoch.sane_selected.high": 0.9813,
        "probe.r2.epoch.statistics": 0.9894,
    }
    facts = {"windows.reader": "ffcv", "pretrain.precision": "bfloat16"}
    folders = [root / name for name in ("zoo", "tokens", "model", "probe", "generation")]
    more = {name: root / name for name in ("evaluation", "baseline", "ablation", "transfer")}
    return ReportSources(*folders, metrics=metrics, facts=facts, **more)


@pytest.fixture(scope="session")
def report(sources: ReportSources, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw the whole report once."""
    folder = tmp_path_factory.mktemp("report")
    draw_report(sources, folder)
    return folder


@pytest.fixture(scope="session")
def report_without_experiments(
    sources: ReportSources, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Draw the report of a run that only pretrained."""
    folder = tmp_path_factory.mktemp("report")
    names = ("probe", "generation", "evaluation", "baseline", "ablation", "transfer")
    nothing = dict.fromkeys(names)
    draw_report(replace(sources, **nothing), folder)
    return folder


def _write_zoo(folder: Path, rng: np.random.Generator) -> None:
    rows = [
        {"run": run, "epoch": epoch, "split": split, "architecture": "digits-cnn"}
        | {
            f"{part}_accuracy": 1 - 0.9 / (epoch + 1 + rng.random())
            for part in ("train", "validation")
        }
        | {"test_accuracy": 1 - 0.95 / (epoch + 1 + rng.random()), "generalization_gap": 0.01}
        for run, split in enumerate(SPLITS)
        for epoch in range(EPOCHS)
    ]
    table = pa.Table.from_pylist(rows, schema=CHECKPOINTS)
    pq.write_table(table, folder / "checkpoints.parquet")


def _write_tokens(folder: Path, rng: np.random.Generator) -> None:
    names = {"conv1": (8, 25, 0.31), "conv2": (6, 50, 0.22), "fc1": (20, 36, 0), "fc2": (10, 20, 1)}
    layers = [
        {"architecture": "digits-cnn", "l": i, "name": name, "weight": f"{name}.weight"}
        | {"bias": f"{name}.bias", "has_bias": True, "shape": [c_out, c_r]}
        | {"c_out": c_out, "c_r": c_r, "tokens": c_out, "mean": 0.1, "std": std}
        | {"minimum": 0.1 - 4 * std, "maximum": 0.1 + 5 * std, "offset": 0.1, "scale": std or 1.0}
        | {"variance": float(std > 0)}
        for i, (name, (c_out, c_r, std)) in enumerate(names.items())
    ]
    before = 80 * rng.random(len(SPLITS)).round(3) * (np.arange(len(SPLITS)) > 0)
    distances = [
        {"run": run, "split": split, "before": before[run], "after": 0.6 * before[run]}
        for run, split in enumerate(SPLITS)
    ]
    pq.write_table(pa.Table.from_pylist(layers, schema=LAYERS), folder / "layers.parquet")
    pq.write_table(pa.Table.from_pylist(distances, schema=DISTANCES), folder / "distances.parquet")
    for split in set(SPLITS):
        part = folder / "tokens" / f"split={split}" / "part-00000.parquet"
        part.parent.mkdir(parents=True)
        pq.write_table(tokens_schema(51).empty_table(), part)


def _write_history(folder: Path, rng: np.random.Generator) -> None:
    falling = np.geomspace(1, 0.05, 8)
    columns = {"epoch": np.arange(1, 9), "learning_rate": falling * 1e-3}
    for part in ("train", "validation"):
        for loss, size in (("loss", 1), ("reconstruction", 1), ("contrastive", 3)):
            columns[f"{part}_{loss}"] = size * falling * (1 + 0.05 * rng.random(8))
    pl.DataFrame(columns).write_parquet(folder / "history.parquet")


def _evaluation_rows(*passes: tuple[int, int, bool]) -> list[dict[str, object]]:
    """Return rows for passes (window, halo, as in training) of networks of 48 tokens."""
    rows = []
    for i, (window, halo, trained) in enumerate(passes):
        for split in ("train", "validation", "test"):
            for l, layer in enumerate(("all", "conv1", "conv2", "fc1", "fc2"), start=-1):
                loss = 0.04 + 0.01 * i + 0.003 * l + 0.004 * (split == "test")
                rows.append(
                    {"split": split, "window": window, "halo": halo, "trained": trained}
                    | {"whole": window == 48, "layer": layer, "l": l, "reconstruction": loss}
                    | {"low": loss - 0.002, "high": loss + 0.003, "checkpoints": 12, "runs": 2}
                )
    return rows


def _write_evaluation(folder: Path, rng: np.random.Generator) -> None:
    del rng
    rows = _evaluation_rows((16, 0, True), (48, 0, False))
    pl.DataFrame(rows).write_parquet(folder / "evaluation.parquet")


def _write_ablation(folder: Path, rng: np.random.Generator) -> None:
    del rng
    losses = {"training": 0.11, "train": 0.05, "test": 0.06, "low": 0.05, "high": 0.07}
    views = [
        {"aligned": setting.aligned, "first": setting.first, "second": setting.second}
        | {name: value * (1 - 0.1 * i) for name, value in losses.items()}
        for i, setting in enumerate(VIEW_SETTINGS)
    ]
    sizes = [
        {"window": window, "batch": 512 // window, "epochs": 8, "steps": 1200}
        | losses
        | {"whole": 0.08}
        for window in (8, 16, 48)
    ]
    passes = [(16, 0, True), (8, 0, False), (8, 4, False), (48, 0, False)]
    inference = [row for row in _evaluation_rows(*passes) if row["split"] == "test"]
    for name, rows in (("views", views), ("window_sizes", sizes), ("inference", inference)):
        pl.DataFrame(rows).write_parquet(folder / f"{name}.parquet")


def _write_probes(folder: Path, rng: np.random.Generator) -> None:
    probes, predictions = [], []
    for target in TARGETS:
        for i, features in enumerate(FEATURES):
            r2 = 0.95 - 0.07 * i if (features, target) != ("weights", "epoch") else -7.58
            probes.append(
                {"features": features, "target": target, "dimensions": 10 * (i + 1)}
                | {"regularization": 0.003, "validation_r2": r2 + 0.011, "test_r2": r2}
                | {"low": r2 - 0.031, "high": r2 + 0.022, "kendall": 0.9 * r2, "chosen": ""}
            )
            truth = np.tile(np.linspace(0, 1, EPOCHS), 2)
            found = truth + 0.05 * rng.standard_normal(len(truth))
            predictions += [
                {"features": features, "target": target, "run": 7 + row // EPOCHS}
                | {"epoch": row % EPOCHS, "truth": truth[row], "prediction": found[row]}
                for row in range(len(truth))
            ]
    pl.DataFrame(probes).write_parquet(folder / "probes.parquet")
    pl.DataFrame(predictions).write_parquet(folder / "predictions.parquet")
    _write_judgements(folder)


def _write_judgements(folder: Path) -> None:
    """Write what the probe stage says of classes, claims, intervals and the gate."""
    pair = {"a": "sane_selected", "measure": "r2", "difference": 0.03, "runs": 2}
    claims = [
        pair | {"target": target, "b": b, "low": low, "high": low + 0.04, "share_above": 0.9}
        for target in TARGETS
        for b, low in (("statistics", 0.01), ("untrained_selected", -0.02), ("weights", -0.1))
    ]
    classes = [
        {"features": features, "target": "hyperparameters.activation", "dimensions": 5}
        | {"regularization": 0.1, "validation_accuracy": 0.8, "test_accuracy": 0.75}
        | {"low": 0.6, "high": 0.85, "majority": 0.5, "classes": 2, "chosen": ""}
        for features in ("sane_selected", "statistics")
    ]
    held = {"asked": 0.9, "coverage": 0.94, "calibration_runs": 9, "tested_runs": 2}
    intervals = [
        held | {"features": "sane_selected", "target": target, "width": width}
        for target, width in zip(TARGETS, (0.05, 12.5, float("inf")), strict=True)
    ]
    gate = [
        {"networks": networks, "foreign": share, "distance": 1.5, "count": 12, "runs": 2}
        | {"asked": 0.05}
        for networks, share in (("test", 0.04), ("random", 1.0), ("shuffled", 0.25))
    ]
    missing = [{"kind": "features", "name": "outputs", "reason": "no network to run"}]
    for name, rows in (
        ("comparisons", claims),
        ("classes", classes),
        ("intervals", intervals),
        ("gate", gate),
        ("unavailable", missing),
    ):
        pl.DataFrame(rows).write_parquet(folder / f"{name}.parquet")


def _write_transfer(folder: Path, rng: np.random.Generator) -> None:
    del rng
    rows = [
        {"source": "digits", "zoo": "others", "features": features, "target": target}
        | {"test_r2": -0.4, "low": -0.6, "high": -0.1, "kendall": 0.7, "chosen": "", "runs": 2}
        for features in ("sane_selected", "statistics")
        for target in TARGETS
    ]
    missing = [{"kind": "transfer", "name": "digits → odd", "reason": "token sizes differ"}]
    pl.DataFrame(rows).write_parquet(folder / "transfer.parquet")
    pl.DataFrame(missing).write_parquet(folder / "unavailable.parquet")


def _write_generation(folder: Path, rng: np.random.Generator) -> None:
    start = {"scratch": 0.1, "gauss": 0.62, "average": 0.71, "reconstruction": 0.89}
    accuracy, samples, front = [], [], []
    for i, method in enumerate(METHODS):
        for repeat in range(3):
            first = start.get(method, 0.93 - 0.004 * i)
            for model in range(1 if method in ("average", "best_prompt") else 4):
                for epoch, left in ((0, 1.0), (1, 0.7), (5, 0.4), (25, 0.1)):
                    value = 0.955 - (0.955 - first) * left + 0.006 * rng.standard_normal()
                    accuracy.append((method, repeat, model, epoch, float(value)))
            overlap = 1.0 if "prompt" in method else 0.4 + 0.02 * i
            samples.append((method, repeat, first + 0.01, first - 0.02, overlap, 0.4, 2.0 + i, 1.5))
    for i, sampler in enumerate(("sub", "noise", "interpolation")):
        for knob in (0.05, 0.1, 0.2, 0.3, 0.5):
            for seed in range(3):
                value, overlap = 0.95 - (0.1 + 0.02 * i) * knob, 0.7 - 0.6 * knob
                jitter = 0.005 * rng.standard_normal(2)
                front.append(
                    (sampler, knob, seed, value + jitter[0], overlap + jitter[1], value - 0.02)
                )
    keys = ["method", "repeat"]
    scores = ["validation_accuracy", "candidate_accuracy", "overlap", "mutual_overlap"]
    scores += ["distance", "pairwise_distance"]
    points = ["sampler", "knob", "seed", "accuracy", "overlap", "candidate_accuracy"]
    for name, rows, columns in (
        ("accuracy", accuracy, [*keys, "model", "epoch", "test_accuracy"]),
        ("samples", samples, keys + scores),
        ("front", front, points),
    ):
        frame = pl.DataFrame(rows, schema=columns, orient="row")
        frame.write_parquet(folder / f"{name}.parquet")
