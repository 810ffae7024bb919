"""Draw a zoo's report: `zoo.html`, which needs nothing else, `figures/*.png` and `tables.json`.

Equal zoos give equal bytes. All text from files is escaped; the page runs no script.
"""

import base64
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from sane_core.reporting.canvas import save
from sane_core.reporting.page import Picture
from sane_core.reporting.table import Table, write_tables
from sane_core.reporting.zoo_report import figures, tables
from sane_core.reporting.zoo_report.cells import shown
from sane_core.reporting.zoo_report.facts import ZooFacts, read_zoo
from sane_core.reporting.zoo_report.sections import NOT_LOOKED_FOR, SECTIONS, ZooSection
from sane_core.reporting.zoo_report.summary import zoo_headlines


@dataclass(frozen=True)
class Part:
    """A section and what it shows; `empty` says what it means that there is nothing."""

    section: ZooSection
    pictures: tuple[Picture, ...]
    tables: tuple[Table, ...]
    lists: tuple[Table, ...]
    empty: str


def draw_zoo_report(zoo: Path, out: Path, dataset: str | None = None) -> Path:
    """Draw the report of any zoo, trained here or ingested.

    Args:
        zoo: Folder with `checkpoints.parquet` and `weights/*.parquet`; `quarantine.parquet` and
            `duplicates.parquet` are shown where they are.
        out: Folder to write to; made if it is not there.
        dataset: Name of the images that the networks were trained on, as "mnist"; where the paper
            has a zoo on them, its accuracy stands beside.

    Returns:
        The page.

    Raises:
        ValueError: If the folder is no zoo.
    """
    facts = read_zoo(zoo)
    folder = out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {"over_epochs": figures.over_epochs(facts, dataset), "last": figures.at_the_end(facts)}
    for name, figure in drawn.items():
        path = folder / f"{name}.png"
        path.unlink(missing_ok=True)
        if figure:
            save(figure, path)
    written = _tables(facts, dataset)
    write_tables(out / "tables.json", written)
    page = _template().render(
        title=f"Zoo {shown(facts.checkpoints['zoo'][0])}",
        headlines=zoo_headlines(facts, dataset),
        parts=[_part(section, facts, folder, written) for section in SECTIONS],
    )
    path = out / "zoo.html"
    path.write_text(page, encoding="utf-8")
    return path


def _tables(facts: ZooFacts, dataset: str | None) -> dict[str, Table]:
    return {
        "splits": tables.splits_table(facts),
        "architectures": tables.architectures_table(facts),
        "accuracy": tables.accuracy_table(facts, dataset),
        "hyperparameters": tables.hyperparameters_table(facts),
        "quarantine": tables.quarantine_table(facts),
        "duplicates": tables.duplicates_table(facts),
        "licences": tables.licences_table(facts),
    }


def _part(section: ZooSection, facts: ZooFacts, folder: Path, written: dict[str, Table]) -> Part:
    drawn = {name: folder / f"{name}.png" for name in section.figures}
    filled = {name: table for name, table in written.items() if table.rows}
    searched = section.anchor != "duplicates" or facts.duplicates is not None
    return Part(
        section,
        tuple(
            Picture(section.figures[name], _data_uri(path))
            for name, path in drawn.items()
            if path.exists()
        ),
        tuple(filled[name] for name in section.tables if name in filled),
        tuple(filled[name] for name in section.lists if name in filled),
        section.empty if searched else NOT_LOOKED_FOR,
    )


def _template() -> Template:
    """Put the page into the frame of the report's: its head, styles, macros and end."""
    room = files("sane_core.reporting")
    frame = room.joinpath("template.html").read_text(encoding="utf-8")
    own = room.joinpath("zoo_report", "page.html").read_text(encoding="utf-8")
    head, header, _ = frame.partition("<header>")
    _, main, tail = frame.rpartition("</main>")
    if not header or not main:
        raise ValueError("template.html must have a <header> and a <main> to share its frame")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.lstrip_blocks = True
    return environment.from_string(head + own + main + tail)


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
