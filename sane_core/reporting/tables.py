"""The report's tables, built from the artifacts' data; cells are text, ready to be read.

Accuracies are in percent, as in the paper; R² and overlaps are not. The paper's value stands
beside ours wherever it has a counterpart.
"""

import numpy as np
import polars as pl

from sane_core.reporting.counterpart import STAND_IN as STAND_IN_ZOO
from sane_core.reporting.counterpart import Counterpart
from sane_core.reporting.names import FEATURES, METHODS, TARGETS, in_order, name_of
from sane_core.reporting.paper import published
from sane_core.reporting.probe_tables import published_columns
from sane_core.reporting.table import Table

MISSING = "–"
_TABLE_OF = {False: "Tables 1 and 9", True: "Table 2"}
STAND_IN = (
    "The paper's numbers are a stand-in to compare with: its {zoo} zoo is the nearest to this one, "
    "but was trained on other images ({table})."
)


def zoo_table(checkpoints: pl.DataFrame) -> Table:
    """Describe the zoo at its last epoch, per split of its runs.

    Args:
        checkpoints: The zoo's table, a row per (run, epoch).
    """
    last = int(checkpoints["epoch"].to_numpy().max())
    rows = []
    for split in ("train", "validation", "test"):
        runs = checkpoints.filter(split=split)
        final = runs.filter(epoch=last)
        columns = ("train_accuracy", "validation_accuracy", "test_accuracy", "generalization_gap")
        scores = [_percent(final[column]) for column in columns]
        rows.append((split, str(runs["run"].n_unique()), str(len(runs)), *scores))
    return Table(
        f"The zoo at epoch {last}",
        ("runs", "networks", "checkpoints", "train acc.", "validation acc.", "test acc.", "gap"),
        tuple(rows),
        (
            "Mean ± standard deviation over networks, in percent; the gap is train minus test "
            "accuracy. Runs are split, never checkpoints of one run.",
            "Architecture: " + ", ".join(checkpoints["architecture"].unique().sort()) + ".",
        ),
    )


def probes_table(
    probes: pl.DataFrame, beside: Counterpart = STAND_IN_ZOO, tested: str = ""
) -> Table:
    """Show R² and Kendall's τ on test runs, features by targets, beside the paper's R².

    Args:
        probes: A row per (features, target), columns as of `ProbeResult`.
        beside: The published zoo.
        tested: Which runs were tested.
    """
    targets = in_order(probes["target"], TARGETS)
    rows = []
    for feature in in_order(probes["features"], FEATURES):
        cells = [name_of(feature, FEATURES).label]
        for target in targets:
            found = probes.filter(features=feature, target=target)
            cells += [
                "".join(
                    f"{r['test_r2']:.3f} [{r['low']:.3f}, {r['high']:.3f}]"
                    for r in found.to_dicts()
                )
                or MISSING,
                "".join(f"{r['kendall']:.2f}" for r in found.to_dicts()) or MISSING,
                _published_r2(feature, target, beside),
            ]
        rows.append(tuple(cells))
    headings = [[name_of(target, TARGETS).label, "Kendall τ", beside.heading] for target in targets]
    return Table(
        "Linear probes: R² on test runs",
        ("features", *(heading for pair in headings for heading in pair)),
        tuple(rows),
        (
            "In brackets the 95 % interval over test runs. The selected pooling is, per target, "
            "the one best on the validation runs. Kendall τ is 1 where the order is right.",
            *([f"Tested on {tested}."] * bool(tested)),
            *([STAND_IN.format(zoo=beside.zoo, table=_TABLE_OF[beside.resnet])] * beside.far),
        ),
    )


def choices_table(probes: pl.DataFrame) -> Table:
    """Show what was chosen on the validation runs: λ, and the R² it was chosen by.

    Args:
        probes: A row per (features, target), columns as of `ProbeResult`.
    """
    targets = in_order(probes["target"], TARGETS)
    headings = ["features"]
    for target in targets:
        label = name_of(target, TARGETS).label
        headings += [f"{label}: dim.", "λ", "validation R²"]
    rows = []
    for feature in in_order(probes["features"], FEATURES):
        cells = [name_of(feature, FEATURES).label]
        for target in targets:
            found = probes.filter(features=feature, target=target).to_dicts()
            cells += (
                [
                    str(found[0]["dimensions"]),
                    f"{found[0]['regularization']:g}",
                    f"{found[0]['validation_r2']:.3f}",
                ]
                if found
                else [MISSING] * 3
            )
        rows.append(tuple(cells))
    return Table("Linear probes: chosen on the validation runs", tuple(headings), tuple(rows))


_NOVELTY = ("overlap", "mutual_overlap", "distance", "pairwise_distance")


def novelty_table(samples: pl.DataFrame) -> Table:
    """Show how good and how new the models of each method are before any fine-tuning.

    Args:
        samples: Columns method, repeat, validation_accuracy, candidate_accuracy, overlap,
            mutual_overlap, distance, pairwise_distance.
    """
    rows = []
    for method in in_order(samples["method"], METHODS):
        own = samples.filter(method=method)
        rows.append(
            (
                name_of(method, METHODS).label,
                _percent(own["candidate_accuracy"], spread=False),
                _percent(own["validation_accuracy"], spread=False),
                *(_mean(own[column]) for column in _NOVELTY),
            )
        )
    return Table(
        "Selection and novelty, zero-shot",
        (
            "models",
            "validation acc., all candidates",
            "validation acc., kept",
            "error overlap",
            "mutual overlap",
            "nearest distance",
            "mutual distance",
        ),
        tuple(rows),
        (
            "Error overlap: the largest intersection over union of the wrongly classified test "
            "images with those of any training model; mutual overlap: the same between models of "
            "one set; nearest distance: Euclidean, to the nearest training model; mutual distance: "
            "between models of one set. Lower overlap and larger distance are newer. Prompts are "
            "training models themselves.",
        ),
    )


def _published_r2(feature: str, target: str, beside: Counterpart) -> str:
    if target not in TARGETS:
        return MISSING
    for table, columns in published_columns(beside).items():
        if feature in columns:
            found = published(table, columns[feature], target)
            return f"{found.mean:.3f}" if found else MISSING
    return MISSING


def _percent(values: pl.Series, spread: bool = True) -> str:
    """Return the mean of fractions in percent, and the standard deviation of several."""
    known = _known(values)
    if not len(known):
        return MISSING
    text = f"{100 * known.mean():.1f}"
    return f"{text} ± {100 * known.std():.1f}" if spread and len(known) > 1 else text


def _mean(values: pl.Series) -> str:
    known = _known(values)
    return f"{known.mean():.2f}" if len(known) else MISSING


def _known(values: pl.Series) -> np.ndarray:
    floats = values.cast(pl.Float64).drop_nulls().to_numpy()
    return floats[np.isfinite(floats)]
