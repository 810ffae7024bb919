"""The tables of a trained autoencoder: how large it is, and what it loses in reconstruction."""

from collections.abc import Mapping

import polars as pl

from sane_core.reporting.table import Table
from sane_core.weights.shards import SPLITS

ROWS = (
    ("pretrain.parameters", "parameters of the autoencoder", "{:,.0f}"),
    ("evaluation.latents_per_weight", "latents per weight", "{:.2f}"),
    ("pretrain.best_epoch", "epoch kept", "{:.0f}"),
    ("windows.train.samples", "windows to train on", "{:,.0f}"),
    ("windows.minimum_coverage", "windows over every token, at least", "{:.0f}"),
    ("pretrain.train_reconstruction", "reconstruction in training, with noise", "{:.4f}"),
    ("pretrain.validation_reconstruction", "reconstruction in validation, both views", "{:.4f}"),
    ("pretrain.train_contrastive", "contrastive loss in training, nats", "{:.3f}"),
    ("pretrain.validation_contrastive", "contrastive loss in validation, nats", "{:.3f}"),
)
"""Metric, what it is called, how it is written."""


def trained_table(metrics: Mapping[str, float]) -> Table:
    """Show the size of the autoencoder and its losses at the epoch kept.

    Args:
        metrics: Flat metrics of all stages; those that are missing are left out.
    """
    rows = [(label, how.format(metrics[name])) for name, label, how in ROWS if name in metrics]
    return Table(
        "The trained autoencoder",
        ("at the epoch kept", "value"),
        tuple(rows),
        ("Reconstruction is in shares of the variance of the tokens' weights.",),
    )


def reconstruction_table(evaluations: Mapping[str, pl.DataFrame]) -> Table:
    """Show what is lost of clean networks, by split and by the windows they are passed in.

    Args:
        evaluations: Name of the autoencoder -> rows of its `evaluation.parquet`.
    """
    rows = []
    for name, table in evaluations.items():
        whole_networks = table.filter(layer="all")
        for window, halo in (
            whole_networks.select("window", "halo").unique(maintain_order=True).rows()
        ):
            own = whole_networks.filter(window=window, halo=halo)
            cells = [_loss(own.filter(split=split)) for split in SPLITS]
            rows.append((name, _window(own.row(0, named=True)), *cells))
    counts = _counts(next(iter(evaluations.values())))
    return Table(
        "Masked reconstruction of clean networks",
        ("autoencoder", "passed in", *(f"{split} runs" for split in SPLITS)),
        tuple(rows),
        (
            "Mean squared error over real weights, in units of the tokens (1 is the variance of "
            "standardized weights), with its 95 % interval over runs. " + counts,
        ),
    )


def _window(row: Mapping[str, object]) -> str:
    parts = ["whole networks" if row["whole"] else f"windows of {row['window']}"]
    if row["halo"]:
        parts.append(f"halo {row['halo']}")
    if row["trained"]:
        parts.append("as in training")
    return ", ".join(parts)


def _loss(rows: pl.DataFrame) -> str:
    return (
        "".join(
            f"{row['reconstruction']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"
            for row in rows.to_dicts()
        )
        or "–"
    )


def _counts(table: pl.DataFrame) -> str:
    firsts = table.filter(layer="all").unique("split", maintain_order=True).to_dicts()
    of = [f"{row['split']} {row['checkpoints']} of {row['runs']} runs" for row in firsts]
    return f"Checkpoints: {', '.join(of)}."
