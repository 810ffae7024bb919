"""The page of a map: whole in itself, silent, and deaf to what files say."""

import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

from sane_core.analysis.map import draw_map
from sane_core.analysis.map_page import write_map_page


class Elements(HTMLParser):
    """Collects elements with their attributes, and the text of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data


@pytest.fixture
def drawn(zoo) -> dict:
    return draw_map(zoo.embeddings, zoo.checkpoints)


@pytest.fixture
def page(drawn, tmp_path: Path) -> Elements:
    write_map_page(tmp_path / "map.html", "a <zoo>", json.dumps(drawn))
    elements = Elements()
    elements.feed((tmp_path / "map.html").read_text(encoding="utf-8"))
    return elements


def test_nothing_is_loaded_from_anywhere(page):
    loading = ("src", "href", "action", "data", "poster", "srcset", "background")
    assert not [(tag, name) for tag, own in page.elements for name in own if name in loading]
    assert not {"link", "iframe", "object", "embed", "img", "base"} & {t for t, _ in page.elements}


def test_the_browser_is_told_to_ask_nobody(page):
    (policy,) = (
        own["content"]
        for tag, own in page.elements
        if tag == "meta" and own.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["form-action"] == "'none'"
    assert not re.search(r"https?:|\*", policy)


def test_our_own_part_names_no_address_and_uploads_nothing():
    ours = [
        files("sane_core.analysis").joinpath(name).read_text()
        for name in ("map_page.html", "map_page.js")
    ]
    assert not any(re.search(r"https?://|@import|url\(|fetch\(", text) for text in ours)
    assert "showSendToCloud: false" in ours[1]
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(", ours[1])


def test_text_of_files_is_data_and_never_markup(page, drawn):
    assert [tag for tag, _ in page.elements].count("script") == 3
    data, _, program = page.scripts
    assert json.loads(data) == drawn
    assert not set(data) & set("<>&")
    assert any("onerror" in name for name in drawn["runs"])
    assert "onerror" not in program


def test_the_zoos_name_is_escaped(drawn, tmp_path: Path):
    write_map_page(tmp_path / "map.html", "</title><img src=x>", json.dumps(drawn))
    text = (tmp_path / "map.html").read_text(encoding="utf-8")
    assert "<title>Map of &lt;/title&gt;&lt;img src=x&gt;</title>" in text


def test_equal_maps_are_equal_pages(drawn, tmp_path: Path):
    for name in ("one.html", "two.html"):
        write_map_page(tmp_path / name, "zoo", json.dumps(drawn))
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
