"""The report as one HTML page that needs nothing else: figures and styles are inside it.

Costs and links enter only here, because they differ between runs of equal results.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined

from sane_core.reporting.headlines import Headline, headlines
from sane_core.reporting.sections import SECTIONS, Section
from sane_core.reporting.table import Table, read_tables


class ZooReport(NamedTuple):
    """One zoo's part of the page.

    Attributes:
        name: The zoo.
        folder: What `draw_report` wrote.
        metrics: Flat metrics of all stages.
        facts: What is worth saying in words.
        map: File beside the page that its map is in; None if there is none.
    """

    name: str
    folder: Path
    metrics: Mapping[str, float]
    facts: Mapping[str, str]
    map: str | None = None


@dataclass(frozen=True)
class Picture:
    """A figure as the page holds it: what it shows in words, and its data URI."""

    alt: str
    source: str


@dataclass(frozen=True)
class Part:
    """A section that has something to show."""

    anchor: str
    section: Section
    pictures: tuple[Picture, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Chapter:
    """One zoo of the page."""

    name: str
    headlines: list[Headline]
    parts: list[Part]
    values: list[tuple[str, str]]
    map: str | None = None


def write_page(
    out: Path, title: str, zoos: Sequence[ZooReport], costs: Table, provenance: Mapping[str, str]
) -> Path:
    """Write `report.html`.

    Args:
        out: Folder to write to; made if it is not there.
        title: Heading of the page.
        zoos: What was drawn for every zoo.
        costs: What every stage cost.
        provenance: Where it all came from; values that are web addresses become links.

    Returns:
        The file.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.lstrip_blocks = True
    source = files("sane_core.reporting").joinpath("template.html").read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        title=title,
        chapters=[_chapter(ZooReport(*zoo)) for zoo in zoos],
        costs=costs,
        provenance=[
            (name, value, value.startswith(("http://", "https://")))
            for name, value in provenance.items()
        ],
    )
    out.mkdir(parents=True, exist_ok=True)
    path = out / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _chapter(zoo: ZooReport) -> Chapter:
    tables = read_tables(zoo.folder / "tables.json")
    parts = [_part(zoo, section, tables) for section in SECTIONS]
    values = [(name, f"{value:.6g}") for name, value in sorted(zoo.metrics.items())]
    values += sorted(zoo.facts.items())
    return Chapter(
        zoo.name,
        headlines(zoo.metrics, zoo.facts),
        [part for part in parts if part.pictures or part.tables],
        values,
        zoo.map,
    )


def _part(zoo: ZooReport, section: Section, tables: Mapping[str, Table]) -> Part:
    drawn = {name: zoo.folder / "figures" / f"{name}.png" for name in section.figures}
    pictures = [
        Picture(section.figures[name], _data_uri(path))
        for name, path in drawn.items()
        if path.exists()
    ]
    shown = [
        table
        for name in section.tables
        for key, table in tables.items()
        if key == name or key.startswith(f"{name}:")
    ]
    return Part(f"{zoo.name}-{section.anchor}", section, tuple(pictures), tuple(shown))


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
