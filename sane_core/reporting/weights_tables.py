"""The tables of the weights on their way to tokens: what was found, and what stays as it is."""

from collections.abc import Mapping, Sequence

import polars as pl

from sane_core.reporting.table import Table
from sane_core.reporting.weights_figures import weights_of
from sane_core.weights.symmetry.groups import Fixed
from sane_core.weights.symmetry.interpreter import INPUT, OUTPUT
from sane_core.weights.symmetry.rules.linear import PIXELS

EXPECTED = (INPUT, OUTPUT, PIXELS)
"""Why axes of every network stay: images and classes are ordered."""
LONGEST = 20
"""Rows of the table of what is fixed."""


def alignment_table(metrics: Mapping[str, float]) -> Table:
    """Show what may be reordered, and what reordering it did.

    Args:
        metrics: Flat metrics of the preprocess stage.

    Raises:
        ValueError: If one of them is missing.
    """

    def of(name: str) -> float:
        return _metric(metrics, name)

    before, after = of("squared_distance.before"), of("squared_distance.after")
    rows = (
        ("groups of units that may be reordered", f"{of('groups'):.0f}"),
        ("units in them", f"{of('units'):.0f}"),
        ("squared distance to the reference, as trained", f"{before:.4g}"),
        ("squared distance to the reference, aligned", f"{after:.4g}"),
        ("runs that no further step brings closer", f"{100 * of('aligned_fully'):.0f} %"),
        ("largest change of a logit by the reordering", f"{of('largest_logit_change'):.1e}"),
    )
    return Table(
        "What was aligned",
        ("over all runs", "value"),
        rows,
        (
            "Distances are means over runs, the reference among them, at their last epoch. The "
            "change of a logit is relative to the largest logit, on random images: rounding, if "
            "the function is kept.",
        ),
    )


def fixed_table(fixed: Sequence[Fixed]) -> Table | None:
    """Show what is kept in its order for other reasons than in every network; None if nothing is.

    Args:
        fixed: Of the network's symmetries.
    """
    others = [each for each in fixed if each.reason not in EXPECTED]
    if not others:
        return None
    more = len(others) - LONGEST
    return Table(
        "What cannot be reordered",
        ("entry", "axis", "why"),
        tuple((each.entry, str(each.axis), each.reason) for each in others[:LONGEST]),
        (
            "Inputs, outputs and places in images or sequences, which are ordered in every "
            "network, are left out.",
            *((f"So are {more} further rows.",) if more > 0 else ()),
        ),
    )


def tokens_table(layers: pl.DataFrame, d_t: int, metrics: Mapping[str, float]) -> Table:
    """Show what a network looks like as tokens.

    Args:
        layers: The layers table.
        d_t: Token size.
        metrics: Flat metrics of the preprocess stage.

    Raises:
        ValueError: If one of them is missing.
    """
    cut = layers.filter(pl.col("tokens") > 0)
    rows = (
        ("layers", str(len(cut))),
        ("constant layers", f"{_metric(metrics, 'constant_layers'):.0f}"),
        ("weights", str(weights_of(cut).sum())),
        ("tokens", str(cut["tokens"].sum())),
        ("values per token", str(d_t)),
        ("fill rate", f"{100 * _metric(metrics, 'fill_rate'):.1f} %"),
    )
    return Table(
        "A network as tokens",
        ("per network", "value"),
        rows,
        (
            "Weights are those cut into tokens, biases included. The fill rate is the mean over "
            "tokens of the share of real weights. A layer is constant if all train checkpoints "
            "agree on one value.",
        ),
    )


def _metric(metrics: Mapping[str, float], name: str) -> float:
    name = f"preprocess.{name}"
    if name not in metrics:
        raise ValueError(f"the report needs the metric {name}, got {sorted(metrics)}")
    return metrics[name]
