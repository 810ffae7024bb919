"""Put the ablations of one zoo side by side: a table each, and its numbers as metrics.

The loss in training is that of what was trained on: with noise, in the views of the setting. The
others are of clean networks as they are stored, in the windows of training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.ablation.evaluate import ALL
from schemas.config.ablate import ViewSetting


@dataclass(frozen=True)
class Trained:
    """What one training of an ablation left.

    Attributes:
        model: Folder of the pretrain stage.
        evaluation: Folder of the evaluation stage.
        windows: Windows that there were to train on.
    """

    model: Path
    evaluation: Path
    windows: int


@dataclass(frozen=True)
class Losses:
    """Reconstruction at the best epoch.

    Attributes:
        training: As trained on: with noise, in the views of training, on train runs.
        train: Clean, on train runs.
        test: Clean, on test runs.
        low: Lower end of the 95 % interval of `test` over runs.
        high: Upper end.
    """

    training: float
    train: float
    test: float
    low: float
    high: float


def collect_views(
    settings: Sequence[ViewSetting], trained: Sequence[Trained], path: Path
) -> dict[str, float]:
    """Write the rows of Table 6.

    Args:
        settings: Alignment and views of each.
        trained: What came of them.
        path: Parquet file to write: aligned, first, second, and the fields of `Losses`.

    Returns:
        Metrics `ablate.views.<setting>.<loss>`.
    """
    rows: list[dict[str, Any]] = []
    metrics: dict[str, float] = {}
    for setting, each in zip(settings, trained, strict=True):
        losses = asdict(losses_of(each))
        rows.append(setting.model_dump() | losses)
        metrics |= {f"ablate.views.{setting.name}.{name}": v for name, v in losses.items()}
    _write(path, rows)
    return metrics


def collect_sizes(
    sizes: Sequence[tuple[int, int]], trained: Sequence[Trained], path: Path
) -> dict[str, float]:
    """Write a row per length of the windows that were trained on.

    Args:
        sizes: (window, batch) of each.
        trained: What came of them.
        path: Parquet file to write: window, batch, epochs, steps, the fields of `Losses`, and
            `whole`, the loss on test runs passed whole.

    Returns:
        Metrics `ablate.window_sizes.w<window>.<loss>`.
    """
    rows: list[dict[str, Any]] = []
    metrics: dict[str, float] = {}
    for (window, batch), each in zip(sizes, trained, strict=True):
        epochs = pq.read_metadata(each.model / "history.parquet").num_rows
        losses = asdict(losses_of(each)) | {"whole": _loss(each.evaluation, whole=True)}
        steps = epochs * (each.windows // batch)
        rows.append({"window": window, "batch": batch, "epochs": epochs, "steps": steps} | losses)
        metrics |= {f"ablate.window_sizes.w{window}.{name}": v for name, v in losses.items()}
    _write(path, rows)
    return metrics


def collect_inference(evaluation: Path, path: Path) -> dict[str, float]:
    """Write the curve of Figure 6.

    Args:
        evaluation: Folder of the evaluation stage.
        path: Parquet file to write: the rows of the test runs, over all layers and per layer.

    Returns:
        Metrics `ablate.inference.w<window>[.halo]`.
    """
    rows = [row for row in _rows(evaluation) if row["split"] == "test"]
    _write(path, rows)
    return {
        f"ablate.inference.w{row['window']}{'.halo' if row['halo'] else ''}": row["reconstruction"]
        for row in rows
        if row["layer"] == ALL
    }


def losses_of(trained: Trained) -> Losses:
    """Return the losses of a training at its best epoch."""
    history = pq.read_table(trained.model / "history.parquet").to_pylist()
    best = min(history, key=lambda record: record["validation_loss"])
    train, test = (_row(trained.evaluation, split, trained=True) for split in ("train", "test"))
    return Losses(
        training=float(best["train_reconstruction"]),
        train=train["reconstruction"],
        test=test["reconstruction"],
        low=test["low"],
        high=test["high"],
    )


def _loss(evaluation: Path, **wanted: object) -> float:
    return float(_row(evaluation, "test", **wanted)["reconstruction"])


def _row(evaluation: Path, split: str, **wanted: object) -> dict[str, Any]:
    named: Mapping[str, object] = {"split": split, "layer": ALL, **wanted}
    for row in _rows(evaluation):
        if all(row[name] == value for name, value in named.items()):
            return row
    raise ValueError(f"evaluation.parquet must have a row with {dict(named)}")


def _rows(evaluation: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(evaluation / "evaluation.parquet").to_pylist()
    return rows


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)
