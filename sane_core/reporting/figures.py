"""The report's figures: data in, matplotlib figure out, from the zoo to the probes (paper §5.1).

Equal data give equal bytes; nothing is read from or written to disk here.
"""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sane_core.reporting.canvas import (
    INK,
    SMALL,
    canvas,
    entitle,
    legend,
    logarithmic,
    percent,
    whole_numbers,
)
from sane_core.reporting.names import (
    BLUE,
    FEATURES,
    GREY,
    ORANGE,
    SKY,
    TARGETS,
    in_order,
    name_of,
)

PARTS = {"train": SKY, "validation": ORANGE, "test": BLUE}
LOWEST_R2 = -0.25
"""Bars end here on the left: a worse probe would squeeze all others; its number is printed."""


def zoo_accuracy(checkpoints: pl.DataFrame) -> Figure:
    """Draw accuracy per image part, and the generalization gap, over epochs.

    Args:
        checkpoints: The zoo's table, a row per (run, epoch).
    """
    figure, (accuracy, gap) = canvas(3.9, (1, 2), width_ratios=[3, 2])
    for part, colour in PARTS.items():
        _band_over_epochs(accuracy, checkpoints, f"{part}_accuracy", f"{part} images", colour)
    _band_over_epochs(gap, checkpoints, "generalization_gap", "train − test", GREY)
    entitle(accuracy, "Accuracy of the zoo's networks", "epoch", "accuracy")
    entitle(gap, "Generalization gap", "epoch", "accuracy, train − test")
    legend(accuracy, loc="lower right", title="mean and 5–95 % of networks", title_fontsize=SMALL)
    for each in (accuracy, gap):
        percent(each)
        whole_numbers(each)
    return figure


def _band_over_epochs(
    axes: Axes, table: pl.DataFrame, column: str, label: str, colour: str
) -> None:
    value = pl.col(column)
    rows = (
        table.group_by("epoch", maintain_order=True)
        .agg(
            value.mean().alias("mean"),
            value.quantile(0.05).alias("low"),
            value.quantile(0.95).alias("high"),
        )
        .sort("epoch")
    )
    axes.fill_between(
        rows["epoch"], rows["low"], rows["high"], color=colour, alpha=0.18, linewidth=0
    )
    axes.plot(rows["epoch"], rows["mean"], color=colour, linewidth=2, label=label)


def pretraining(history: pl.DataFrame) -> Figure:
    """Draw reconstruction and contrastive loss over epochs, training and validation.

    Args:
        history: A row per epoch, columns as of `EpochRecord`.
    """
    figure, axes = canvas(3.6, (1, 2))
    best = history["epoch"][int(history["validation_loss"].arg_min() or 0)]
    for each, loss, unit in zip(
        axes,
        ("reconstruction", "contrastive"),
        ("share of the weights' variance", "nats"),
        strict=True,
    ):
        for part, label in (("train", "training (noised input)"), ("validation", "validation")):
            values = history[f"{part}_{loss}"]
            each.plot(
                history["epoch"], values, color=PARTS[part], linewidth=2, marker=".", label=label
            )
        each.axvline(best, color=GREY, linewidth=1, linestyle=":", label=f"kept: epoch {best}")
        entitle(each, f"{loss.capitalize()} loss", "epoch", unit)
        whole_numbers(each)
    logarithmic(axes[0])
    legend(axes[0])
    legend(axes[1])
    return figure


def probe_r2(probes: pl.DataFrame) -> Figure:
    """Draw R² on test runs per target, a bar per kind of features, with its 95 % interval.

    Args:
        probes: A row per (features, target), columns as of `ProbeResult`.
    """
    targets = in_order(probes["target"], TARGETS)
    features = in_order(probes["features"], FEATURES)
    names = [name_of(feature, FEATURES) for feature in features]
    figure, axes = canvas(1.1 + 0.33 * len(features), (1, len(targets)), sharey=True)
    for each, target in zip(axes, targets, strict=True):
        rows = {row["features"]: row for row in probes.filter(target=target).iter_rows(named=True)}
        for at, (feature, name) in enumerate(zip(features, names, strict=True)):
            if feature in rows:
                _bar_of_r2(each, at, rows[feature], name.colour)
        least = min(row["low"] for row in rows.values())
        each.set_xlim(max(LOWEST_R2, min(0.0, least)), 1.34)
        each.set_xticks([0, 0.5, 1])
        each.grid(False, axis="y")
        entitle(each, name_of(target, TARGETS).label, "R² on test runs (better →)")
    axes[0].set_yticks(range(len(features)), [name.label for name in names])
    for tick, name in zip(axes[0].get_yticklabels(), names, strict=True):
        tick.set_fontweight("bold" if name.ours else "normal")
    axes[0].invert_yaxis()
    return figure


def _bar_of_r2(axes: Axes, at: int, row: dict[str, float], colour: str) -> None:
    low, value, high = (max(row[key], LOWEST_R2) for key in ("low", "test_r2", "high"))
    axes.barh(at, value, color=colour, height=0.68)
    axes.plot([low, high], [at, at], color=INK, linewidth=1.3)
    axes.text(
        max(high, 0) + 0.04, at, f"{row['test_r2']:.3f}", va="center", fontsize=SMALL, color=INK
    )


def predictions(table: pl.DataFrame) -> Figure:
    """Draw predicted over true values of test runs, SANE above layer statistics.

    Args:
        table: Columns features, target, truth, prediction; other features are left out.
    """
    shown = in_order(set(table["features"]) & {"sane_selected", "statistics"}, FEATURES)
    targets = in_order(table["target"], TARGETS)
    figure, axes = canvas(0.6 + 2.7 * len(shown), (len(shown), len(targets)))
    places = [(feature, target) for feature in shown for target in targets]
    for each, (feature, target) in zip(axes, places, strict=True):
        name = name_of(feature, FEATURES)
        truth = table.filter(target=target)["truth"]
        rows = table.filter(features=feature, target=target)
        each.scatter(
            rows["truth"], rows["prediction"], s=9, color=name.colour, alpha=0.45, linewidth=0
        )
        span = _padded(float(truth.min()), float(truth.max()))  # type: ignore[arg-type]
        each.plot(span, span, color=INK, linewidth=1, linestyle="--")
        each.set_xlim(*span)
        each.set_ylim(*span)
        first = target == targets[0]
        last = feature == shown[-1]
        title = name_of(target, TARGETS).label if feature == shown[0] else ""
        entitle(each, title, "true" if last else "", f"predicted by\n{name.label}" if first else "")
    return figure


def _padded(low: float, high: float) -> tuple[float, float]:
    pad = 0.08 * (high - low) or 0.05
    return low - pad, high + pad
