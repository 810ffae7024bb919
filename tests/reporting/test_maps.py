"""Where maps stand: beside the page, one per zoo, linked from its chapter."""

import re
from pathlib import Path

from sane_core.reporting.costs import StageCost
from schemas.config.benchmark import BenchmarkConfig
from tasks.publish import ZooReport, publish_page

COSTS = [StageCost("digits-cnn", "zoo", 1.0, False)]


def published(out: Path, report: Path, *maps: Path | None) -> str:
    zoos = [
        ZooReport(f"zoo-{i}", report, metrics={}, facts={}, digests={}, map=drawn)
        for i, drawn in enumerate(maps)
    ]
    return publish_page(out, BenchmarkConfig(), zoos, COSTS, {}).read_text()


def links(page: str) -> list[str]:
    return re.findall(r'href="(map[^"]*)"', page)


def test_the_map_of_one_zoo_stands_beside_the_page(report: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "map.json"
    drawn.write_text('{"zoo":1}')
    page = published(tmp_path / "out", report, drawn)
    assert links(page) == ["map.html"]
    assert '<script type="application/json" id="data">{"zoo":1}</script>' in (
        tmp_path / "out" / "map.html"
    ).read_text(encoding="utf-8")


def test_several_zoos_have_a_map_each(report: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "map.json"
    drawn.write_text("{}")
    page = published(tmp_path / "out", report, drawn, drawn)
    assert links(page) == ["map-zoo-0.html", "map-zoo-1.html"]
    assert all((tmp_path / "out" / name).is_file() for name in links(page))


def test_without_embeddings_there_is_no_map_and_none_of_an_earlier_run(
    report: Path, tmp_path: Path
) -> None:
    drawn = tmp_path / "map.json"
    drawn.write_text("{}")
    published(tmp_path / "out", report, drawn)
    assert links(published(tmp_path / "out", report, None)) == []
    assert not (tmp_path / "out" / "map.html").exists()
