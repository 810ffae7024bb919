"""A table of the paper from a store: read what experiments left there, collect, render."""

from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from sane_core.reporting.beside import figure5, fronts
from sane_core.reporting.beside.catalogue import CATALOGUE, STAGES, Listed, listed
from sane_core.reporting.beside.collect import Collected, collect
from sane_core.reporting.canvas import svg_of
from sane_core.reporting.rendering import as_csv, as_html, as_markdown, as_text
from sane_core.reporting.table import Table
from sane_core.reporting.table8 import table8
from schemas.errors import UserError
from tasks.outcomes import Found, outcomes_of
from tasks.store import Store

DRAWN = {"front": fronts, "figure5": figure5}
"""What has a drawing."""


@dataclass(frozen=True)
class Answer:
    """What a store has to say of a table.

    Attributes:
        asked: The table.
        collected: What there is of it.
        left_out: Artifacts that could not be used, and why.
        figure: Its drawing, where it has one.
    """

    asked: Listed
    collected: Collected
    left_out: tuple[str, ...] = ()
    figure: Figure | None = None

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is missing or left out."""
        return (*self.collected.missing, *self.left_out)

    def rendered(self, form: str) -> str:
        """Return it as text, markdown, html or csv."""
        tables = self.collected.tables
        if form == "csv":
            return as_csv(self.collected.columns, self.collected.flat)
        if form == "html":
            drawings = [svg_of(self.figure)] if self.figure else []
            return as_html(self.asked.title, tables, self.sentences, drawings)
        return (as_markdown if form == "markdown" else as_text)(tables, self.sentences)


class Shelf:
    """A store's outcomes by experiment, each read once."""

    def __init__(self, store: str) -> None:
        """Open a store.

        Raises:
            UserError: If there is none.
        """
        if "://" not in store and not Path(store).is_dir():
            raise UserError(f"store {store} is not there: give the folder of one by --store")
        self._store = Store(store)
        self._found: dict[str, Found] = {}

    def of(self, asked: Listed) -> Found:
        """Return the outcomes that may fill a table."""
        if asked.experiment not in self._found:
            self._found[asked.experiment] = outcomes_of(self._store, STAGES[asked.experiment])
        return self._found[asked.experiment]


def answer(name: str, store: str, shelf: Shelf | None = None) -> Answer:
    """Collect a table from a store.

    Args:
        name: Of a table or figure.
        store: A folder or URI.
        shelf: The store, where it has been opened.

    Raises:
        UserError: If there is no such table, or no store.
    """
    asked = listed(name)
    if asked.experiment == "preset":
        made = table8()
        flat = tuple((asked.name, *row) for row in made.rows)
        return Answer(asked, Collected((made,), flat, (), ("table", *made.columns)))
    found = (shelf or Shelf(store)).of(asked)
    if asked.name in DRAWN:
        room = DRAWN[asked.name]
        collected, figure = room.collect(asked, found.outcomes), room.figure(found.outcomes)
        return Answer(asked, collected, found.left_out, figure)
    return Answer(asked, collect(asked, found.outcomes), found.left_out)


def overview_of(store: str) -> str:
    """Return which tables there are, and which of them a store has something of."""
    shelf = Shelf(store)
    rows = []
    for asked in CATALOGUE:
        collected = answer(asked.name, store, shelf).collected
        count = "" if asked.experiment == "preset" else "there" if collected.tables else "none"
        rows.append((asked.name, asked.title, count))
    return as_text([Table(f"In {store}", ("name", "what", "in this store"), tuple(rows))])
