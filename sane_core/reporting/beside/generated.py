"""Entries of sampled networks: accuracy over fine-tuning beside Tables 3, 4 and 7 (§5.2, A)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from sane_core.reporting.beside.entries import PERCENT, Entry, Measured
from sane_core.reporting.beside.outcome import Outcome
from sane_core.reporting.counterpart import published_recipe, training_agrees
from sane_core.reporting.likeness import Agreement, Likeness, likeness, loosest
from sane_core.reporting.names import METHODS, in_order, name_of
from sane_core.reporting.paper import Published, published_epochs, published_if_any

HALO_AND_CONDITIONING = ("naive", "halo", "bn_cond", "halo_bn_cond")
"""Methods of Table 7."""
SCRATCH = "scratch"
PROMPT_EPOCH = 25
"""Epoch of the published prompts of Tables 3, 4 and 7."""


@dataclass(frozen=True)
class Grid:
    """A published table of accuracies, and which of our methods stand in which of its rows.

    Attributes:
        name: Of the table.
        rows: Our method -> its row.
        ensembles: Our method -> the row of its ensemble.
    """

    name: str
    rows: dict[str, str]
    ensembles: dict[str, str] = field(default_factory=dict)

    @property
    def tuned(self) -> int:
        """Epochs that the paper fine-tunes samples for."""
        return max(
            int(epoch)
            for epoch, rows in published_epochs(self.name).items()
            if epoch.isdigit() and {*rows} - {SCRATCH}
        )


_SAMPLED = {"scratch": SCRATCH, "kde30": "SANE_KDE30", "sub": "SANE_SUB"}
GRIDS = {
    "table3": Grid("table3", _SAMPLED | {"global_kde30": "S_KDE30", "gauss": "SANE_GAUSS"}),
    "table4": Grid("table4", _SAMPLED | {"boot": "SANE_BOOT"}),
    "table7": Grid(
        "table7",
        {SCRATCH: SCRATCH}
        | {name: name for name in HALO_AND_CONDITIONING[:3]}
        | {"halo_bn_cond": "halo+bn_cond"},
    ),
}


def table_of(outcome: Outcome) -> str:
    """Return which table's zoos an outcome's zoo is like: Table 3's CNNs or Table 4's ResNets."""
    return "table4" if outcome.zoo.beside.resnet else "table3"


def fits(outcome: Outcome, table: str) -> bool:
    """Return whether generation on a zoo belongs into a table."""
    if not outcome.has("accuracy.parquet"):
        return False
    if table == "table7":
        methods = pl.read_parquet(outcome.folder / "accuracy.parquet", columns=["method"])
        return bool({*methods["method"]} & {*HALO_AND_CONDITIONING})
    return table_of(outcome) == table


def entries(outcome: Outcome, table: str) -> list[Entry]:
    """Return a row per method and a cell per epoch, beside the paper's.

    Args:
        outcome: Of the stage `generation`, with `accuracy.parquet`.
        table: `table3`, `table4` or `table7`.

    Returns:
        Our methods in their fixed order; behind them the paper's that were not run.
    """
    grid, heading = GRIDS[table], column(outcome, table)
    accuracy = pl.read_parquet(outcome.folder / "accuracy.parquet")
    methods = of_table(accuracy["method"].unique(), table)
    accuracy = accuracy.filter(pl.col("method").is_in(methods))
    label = _label(outcome, grid, accuracy)
    epochs = epochs_of(accuracy["epoch"].unique().to_list(), table)
    found = []
    for method in methods:
        own = accuracy.filter(method=method)
        for epoch in epochs:
            ours = measured(own.filter(epoch=epoch)["test_accuracy"])
            paper = _paper(grid, heading, grid.rows.get(method), epoch)
            found.append(_entry(outcome, name_of(method, METHODS).label, epoch, ours, paper, label))
    return found + not_run(grid, heading, methods, epochs, label)


def ensemble_entries(outcome: Outcome, table: str) -> list[Entry]:
    """Return a row per method whose networks were put together by their mean logits.

    Args:
        outcome: Of generation, with `ensembles.parquet` or without.
        table: As of `entries`; Table 7 has none.
    """
    if table == "table7" or not outcome.has("ensembles.parquet"):
        return []
    ensembles = pl.read_parquet(outcome.folder / "ensembles.parquet").filter(pl.col("models") > 1)
    label = outcome.zoo.beside.likeness
    found = []
    for method in in_order(ensembles["method"], METHODS):
        own = ensembles.filter(method=method)
        for epoch in ensembles["epoch"].unique().sort().to_list():
            ours = together(own.filter(epoch=epoch))
            found.append(_entry(outcome, name_of(method, METHODS).label, epoch, ours, None, label))
    return found


def notes(outcome: Outcome, table: str) -> tuple[str, ...]:
    """Say how the values are to be read, and how samples were drawn."""
    told = [
        "Percent, mean ± standard deviation over n models; epoch 0 is zero-shot. Several draws "
        "count together; prompts are the same in every draw.",
    ]
    config = outcome.config.get("generate", {})
    if {"prompt_epoch", "candidates", "keep"} <= {*config}:
        told.append(
            f"Prompts of epoch {config['prompt_epoch']}; the best {config['keep']} of "
            f"{config['candidates']} candidates on validation images are kept"
            + (f"; bandwidth {config['bandwidth']:g}." if "bandwidth" in config else ".")
        )
    return (*told, f"The paper fine-tunes samples for {GRIDS[table].tuned} epochs.")


def of_table(methods: Iterable[str], table: str) -> list[str]:
    """Return the methods that a table shows, in their fixed order."""
    shown = in_order(methods, METHODS)
    if table == "table7":
        return [method for method in shown if method in GRIDS[table].rows]
    return [method for method in shown if method not in HALO_AND_CONDITIONING]


def epochs_of(ours: Sequence[int], table: str) -> list[int]:
    """Return our epochs, and those that the paper has samples at."""
    theirs = {
        int(epoch)
        for epoch, rows in published_epochs(table).items()
        if epoch.isdigit() and {*rows} - {SCRATCH}
    }
    return sorted({*ours} | theirs)


def measured(values: pl.Series) -> Measured | None:
    """Return mean and standard deviation over models, of fractions in percent."""
    known = PERCENT.factor * values.cast(pl.Float64).drop_nulls().to_numpy()
    known = known[np.isfinite(known)]
    if not len(known):
        return None
    std = float(known.std()) if len(known) > 1 else None
    return Measured(float(known.mean()), len(known), std)


def together(rows: pl.DataFrame) -> Measured | None:
    """Return the accuracy of ensembles, a row per draw; `n` is the models of one."""
    found = measured(rows["test_accuracy"])
    return found and Measured(found.mean, int(rows["models"][0]), found.std)


def not_run(
    grid: Grid,
    heading: str,
    methods: Sequence[str],
    epochs: Sequence[int],
    label: Likeness,
) -> list[Entry]:
    """Return the paper's rows of methods that were not run."""
    found = []
    for method, row in grid.rows.items():
        cells = [(epoch, _paper(grid, heading, row, epoch)) for epoch in epochs]
        if method not in methods and any(paper for _, paper in cells):
            name = f"{name_of(method, METHODS).label} (not run)"
            found += [Entry(name, f"epoch {e}", None, paper, label) for e, paper in cells]
    return found


def column(outcome: Outcome, table: str) -> str:
    """Return the paper's column that an outcome is read beside."""
    return "CIFAR-10" if table == "table7" else outcome.zoo.beside.zoo


def _label(outcome: Outcome, grid: Grid, accuracy: pl.DataFrame) -> Likeness:
    """Return how alike zoo, images, prompts and fine-tuning are to the published ones."""
    beside = outcome.zoo.beside
    if grid.name == "table7" and (not beside.resnet or beside.zoo != "CIFAR-10"):
        return "stand-in"
    tuned = accuracy["epoch"].max() or grid.tuned
    config = outcome.config.get("generate", {})
    prompts = config.get("prompt_epoch", PROMPT_EPOCH)
    published = published_recipe(beside.zoo, beside.resnet)
    images = published.images.model_dump(mode="json")
    recipe = outcome.config.get("recipe")
    drawn = Agreement(
        dataset=outcome.images is None or dict(outcome.images) == images,
        recipe=recipe is None or training_agrees(recipe, published),
        epochs=prompts == PROMPT_EPOCH and tuned == grid.tuned,
    )
    return loosest(beside.likeness, likeness(drawn))


def _paper(grid: Grid, heading: str, row: str | None, epoch: int) -> Published | None:
    return None if row is None else published_if_any(grid.name, heading, row, str(epoch))


def _entry(
    outcome: Outcome,
    row: str,
    epoch: int,
    ours: Measured | None,
    paper: Published | None,
    label: Likeness,
) -> Entry:
    return Entry(row, f"epoch {epoch}", ours, paper, label, outcome.source)
