"""The tables of the ablations, ours beside the paper's numbers where it has them."""

import polars as pl

from sane_core.reporting.paper import published_views
from sane_core.reporting.table import Table

STAND_IN = (
    "The paper's numbers are a stand-in to compare with: they are of other networks and of another "
    "autoencoder (Table 6)."
)
CLEAN = "Train and test: clean networks as they are stored, in the windows of training, "


def views_table(views: pl.DataFrame) -> Table:
    """Show Table 6, ours beside the paper's.

    Args:
        views: Columns aligned, first, second, training, train, test, low, high.
    """
    rows = []
    for row in views.iter_rows(named=True):
        theirs = published_views(row["aligned"], row["first"], row["second"])
        rows.append(
            (
                "yes" if row["aligned"] else "no",
                row["first"],
                row["second"],
                *(f"{row[name]:.4f}" for name in ("training", "train")),
                _with_interval(row),
                *(f"{value:.3f}" for value in theirs),
            )
        )
    return Table(
        "Reconstruction loss by alignment and views",
        (
            "aligned",
            "view 1",
            "view 2",
            "in training",
            "train runs",
            "test runs",
            "paper (other networks), train",
            "paper (other networks), test",
        ),
        tuple(rows),
        (
            "In training: with noise, in the two views of the setting, at the epoch kept. "
            + CLEAN
            + "in brackets the 95 % interval over runs. Networks that were not aligned are "
            "standardized by their own statistics.",
            STAND_IN,
        ),
    )


def sizes_table(sizes: pl.DataFrame) -> Table:
    """Show the ablation of window sizes in training.

    Args:
        sizes: Columns window, batch, epochs, steps, training, train, test, low, high, whole.
    """
    rows = [
        (
            *(f"{row[name]:,}" for name in ("window", "batch", "epochs", "steps")),
            *(f"{row[name]:.4f}" for name in ("training", "train")),
            _with_interval(row),
            f"{row['whole']:.4f}",
        )
        for row in sizes.iter_rows(named=True)
    ]
    return Table(
        "Reconstruction loss by the windows trained on",
        (
            "window",
            "batch",
            "epochs",
            "steps",
            "in training",
            "train runs",
            "test runs",
            "test runs, whole networks",
        ),
        tuple(rows),
        (CLEAN + "in brackets the 95 % interval over runs. Steps leave out unfinished batches.",),
    )


def inference_table(inference: pl.DataFrame) -> Table:
    """Show the loss of one autoencoder over the windows that networks are passed in.

    Args:
        inference: Rows of `evaluation.parquet` on the test split.
    """
    overall = inference.filter(layer="all").sort("window", "halo")
    trained = overall.filter("trained")["reconstruction"].item()
    rows = [
        (
            f"{row['window']:,}" + (" (whole)" if row["whole"] else ""),
            f"{row['halo']}",
            _with_interval(row | {"test": row["reconstruction"]}),
            f"{row['reconstruction'] / trained:.2f}",
            "yes" if row["trained"] else "",
        )
        for row in overall.iter_rows(named=True)
    ]
    return Table(
        "Reconstruction loss by the windows at inference",
        (
            "tokens kept per window",
            "halo",
            "test runs",
            "of that in training windows",
            "trained on",
        ),
        tuple(rows),
        (
            "In brackets the 95 % interval over runs. In the paper, ResNet-18s trained on windows "
            "of 256 lose about twice as much when they are passed whole (Figure 6).",
        ),
    )


def _with_interval(row: dict[str, float]) -> str:
    return f"{row['test']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"
