"""Tables of the probes: beside the paper's, claims in words, classes, intervals, the gate.

Cells are text, ready to be read; R² and shares are fractions as in the paper.
"""

from typing import Any

import polars as pl

from sane_core.probing.conformal import runs_needed
from sane_core.probing.foreign import KINDS
from sane_core.reporting.counterpart import Counterpart
from sane_core.reporting.likeness import explained
from sane_core.reporting.names import FEATURES, TARGETS, in_order, name_of
from sane_core.reporting.paper import published
from sane_core.reporting.table import Table
from sane_core.reporting.verdict import verdict

MISSING = "–"
_SHORT = {"weights": "W", "statistics": "s(W)", "sane_mean": "SANE"}
_LONG = {
    "weights": "W",
    "statistics": "s(W)",
    "sane_mean": "SANE aggregated",
    "sane_full": "SANE full sequence",
    "global": "E_c+D published 2021",
}
_EARLIER = "published 2021"
"""Ends the headings of what Table 10 repeats of earlier work."""
_FULL = {"MNIST": "table10", "SVHN": "table11", "CIFAR-10": "table12"}
"""Small CNNs' zoo -> the table of its full sequence."""
_CALLED = {
    "table1_9": "Tables 1, 9",
    "table2": "Table 2",
    "table10": "Table 10",
    "table11": "Table 11",
    "table12": "Table 12",
}


def published_table(probes: pl.DataFrame, beside: Counterpart) -> Table:
    """Show ours beside every published cell of the nearest zoo, with the difference.

    Args:
        probes: A row per (features, target), columns as of `ProbeResult`.
        beside: The published zoo.
    """
    ours = {(row["features"], row["target"]): row for row in probes.to_dicts()}
    rows = []
    for number, target, feature, value in _cells(beside):
        row = ours.get((feature, target))
        rows.append(
            (
                number,
                name_of(target, TARGETS).label,
                name_of(feature, FEATURES).label,
                _with_interval(row, "test_r2") if row else "not available",
                f"{value:.3f}",
                f"{row['test_r2'] - value:+.3f}" if row else MISSING,
                beside.likeness,
            )
        )
    kind = "ResNet-18s" if beside.resnet else "small CNNs"
    return Table(
        f"R² beside the paper's: {beside.zoo}, {kind}",
        ("paper", "property", "features", "ours", "paper's", "ours − paper's", "compared"),
        tuple(rows),
        (
            *explained({beside.likeness}),
            "published 2021: earlier work, as Table 10 repeats it. "
            "The paper names no interval, and its split of runs is not published.",
        ),
    )


def published_columns(beside: Counterpart) -> dict[str, dict[str, str]]:
    """Return table -> features -> column, of every table that the paper has of a zoo."""
    short = {feature: f"{beside.zoo}/{column}" for feature, column in _SHORT.items()}
    if beside.resnet:
        return {"table2": {name: column for name, column in short.items() if name != "weights"}}
    columns = {"table1_9": short}
    if beside.zoo in _FULL:
        columns[_FULL[beside.zoo]] = {
            feature: column
            for feature, column in _LONG.items()
            if feature != "global" or beside.zoo == "MNIST"
        }
    return columns


def _cells(beside: Counterpart) -> list[tuple[str, str, str, float]]:
    """Return (table, property, features, value) of every published cell of a zoo."""
    cells = []
    for table, columns in published_columns(beside).items():
        pairs = [*columns.items()]
        if table == "table10":
            pairs.append(("statistics", f"s(W) {_EARLIER}"))
        for feature, column in pairs:
            number = _CALLED[table] + (f", {_EARLIER}" if column.endswith(_EARLIER) else "")
            for target in TARGETS:
                if found := published(table, column, target):
                    cells.append((number, target, feature, found.mean))
    return cells


def comparisons_table(comparisons: pl.DataFrame) -> Table:
    """Say of every claim whether it holds, in words.

    Args:
        comparisons: A row per claim, columns as of `Difference`.
    """
    rows = []
    for row in _by_target(comparisons):
        rows.append(
            (
                name_of(row["target"], TARGETS).label,
                name_of(row["a"], FEATURES).label,
                verdict(row["low"], row["high"]),
                name_of(row["b"], FEATURES).label,
                f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]",
                _share(row["share_above"]),
            )
        )
    runs = max(comparisons["runs"].to_list(), default=0)
    return Table(
        "Which features tell more",
        ("property", "these", "are", "those", "difference", "resamples above"),
        tuple(rows),
        (
            "Difference of R² (of accuracy, for a property in words) on tested runs, with the 95 % "
            f"interval of a paired bootstrap over {runs} runs. above or below: the interval "
            "excludes 0; undecided: it does not. Claims are tested one by one: of twenty that are "
            "undecided in truth, one looks decided.",
        ),
    )


def classes_table(classes: pl.DataFrame) -> Table:
    """Show the accuracy of linear classifiers of properties in words.

    Args:
        classes: A row per (features, target), columns as of `ClassResult`.
    """
    targets = sorted(classes["target"].unique().to_list())
    rows = [("the commonest class", *(_majority(classes, target) for target in targets))]
    for feature in in_order(classes["features"], FEATURES):
        cells = []
        for target in targets:
            found = classes.filter(features=feature, target=target).to_dicts()
            cells.append(_with_interval(found[0], "test_accuracy") if found else MISSING)
        rows.append((name_of(feature, FEATURES).label, *cells))
    return Table(
        "Linear classifiers: accuracy on test runs",
        ("features", *targets),
        tuple(rows),
        (
            "Ridge on one column per class; the largest answer counts. The first row is what "
            "always naming the train runs' commonest class scores. In brackets the 95 % interval "
            "over runs.",
        ),
    )


def intervals_table(intervals: pl.DataFrame) -> Table:
    """Show what calibrated intervals held.

    Args:
        intervals: A row per (features, target), columns as of `Coverage`.
    """
    rows = []
    for row in _by_target(intervals):
        few = row["width"] == float("inf")
        rows.append(
            (
                name_of(row["target"], TARGETS).label,
                name_of(row["features"], FEATURES).label,
                _share(row["asked"]),
                f"not available: {_needed(row)}" if few else _share(row["coverage"]),
                MISSING if few else f"{row['width']:.3g}",
                f"{row['calibration_runs']}, {row['tested_runs']}",
            )
        )
    return Table(
        "Intervals for new networks",
        ("property", "features", "asked", "held", "mean width", "runs calibrated, tested on"),
        tuple(rows),
        (
            "Split conformal, a run counting once however many checkpoints it has: the share of a "
            "new run's checkpoints that lie within. Calibrated on the validation runs, which also "
            "chose λ and the pooling. Width in the property's own units.",
        ),
    )


def _needed(row: dict[str, Any]) -> str:
    return f"it takes {runs_needed(row['asked'])} runs"


def gate_table(gate: pl.DataFrame) -> Table:
    """Show which networks the gate calls foreign.

    Args:
        gate: A row per set of networks, columns as of `Alarms`, with `asked`.
    """
    rows = []
    for row in gate.to_dicts():
        own = row["networks"] == "test"
        rows.append(
            (
                "test runs: the zoo's own" if own else row["networks"].replace("_", " "),
                "all epochs" if own else KINDS.get(row["networks"], ""),
                str(row["count"]),
                _share(row["foreign"]),
                f"{row['distance']:.2f}",
            )
        )
    asked = gate["asked"][0] if len(gate) else float("nan")
    return Table(
        "Networks unlike the zoo",
        ("networks", "what they are", "n", "called foreign", "distance / threshold"),
        tuple(rows),
        (
            "Mahalanobis distance of embedding or s(W), whichever is larger, from the train runs. "
            f"The threshold is what {_share(1 - asked)} of the validation runs' checkpoints stay "
            "below; of the test runs about as many should. Foreign networks are made of the test "
            "runs' last epoch and aligned like any new one. The distance is a median.",
        ),
    )


def unavailable_table(unavailable: pl.DataFrame) -> Table | None:
    """List what could not be had, and why; None if all could.

    Args:
        unavailable: Columns kind, name, reason.
    """
    if not len(unavailable):
        return None
    rows = tuple(
        (
            "property" if row["kind"] == "target" else row["kind"],
            name_of(row["name"], TARGETS | FEATURES).label,
            f"not available: {row['reason']}",
        )
        for row in unavailable.to_dicts()
    )
    return Table("Not probed", ("what", "name", "why"), rows)


def transfer_table(transfer: pl.DataFrame) -> Table:
    """Show probes fitted on one zoo and tested on others.

    Args:
        transfer: A row per (source, zoo, features, target), columns as of `TransferResult`.
    """
    targets = in_order(transfer["target"], TARGETS)
    rows = []
    for source, zoo in sorted(set(transfer.select("source", "zoo").rows())):
        own = transfer.filter(source=source, zoo=zoo)
        for feature in in_order(own["features"], FEATURES):
            cells = [f"{source} → {zoo}", name_of(feature, FEATURES).label]
            for target in targets:
                found = own.filter(features=feature, target=target).to_dicts()
                cells += (
                    [_with_interval(found[0], "test_r2"), f"{found[0]['kendall']:.2f}"]
                    if found
                    else [MISSING] * 2
                )
            rows.append(tuple(cells))
    headings = [(name_of(target, TARGETS).label, "Kendall τ") for target in targets]
    return Table(
        "Probes on another zoo: R² on its test runs",
        ("from → to", "features", *(heading for pair in headings for heading in pair)),
        tuple(rows),
        (
            "Everything is fitted and chosen on the first zoo's train and validation runs; of the "
            "second zoo only test runs are seen. R² below 0: worse than its own mean, which the "
            "probe does not know. Kendall τ asks for the order alone.",
            "The paper has no such table: its probes are of one zoo each.",
        ),
    )


def _by_target(table: pl.DataFrame) -> list[dict[str, Any]]:
    order = {target: i for i, target in enumerate(in_order(table["target"], TARGETS))}
    return sorted(table.to_dicts(), key=lambda row: order[row["target"]])


def _with_interval(row: dict[str, Any], name: str) -> str:
    return f"{row[name]:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _majority(classes: pl.DataFrame, target: str) -> str:
    return f"{classes.filter(target=target)['majority'][0]:.3f}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"
