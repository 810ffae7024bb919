import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from sane_core.reporting.analysis_draw import SCALABLE
from sane_core.reporting.costs import StageCost, costs_table
from sane_core.reporting.draw import ReportSources, draw_report
from sane_core.reporting.page import ZooReport, write_page
from sane_core.reporting.table import read_tables

FIGURES = {
    "zoo_accuracy",
    "pretraining",
    "reconstruction",
    "alignment",
    "distributions",
    "fill",
    "probe_r2",
    "predictions",
    "finetuning",
    "front",
    "ablation_views",
    "ablation_sizes",
    "ablation_inference",
}
COSTS = costs_table(
    [StageCost("digits", "zoo", 61.5, True), StageCost("digits", "pretrain", 300.25, False)]
)


def page_of(report: Path, sources: ReportSources, out: Path, **provenance: str) -> str:
    zoo = ZooReport("digits-cnn", report, sources.metrics, sources.facts)
    return write_page(out, "SANE <quickstart>", [zoo], COSTS, provenance).read_text(
        encoding="utf-8"
    )


def test_every_figure_and_table_is_drawn(report: Path) -> None:
    assert {path.stem for path in (report / "figures").glob("*.png")} == FIGURES
    tables = read_tables(report / "tables.json")
    of_weights = ["alignment", "tokens"]
    of_probes = ["comparisons", "published", "classes", "intervals", "gate", "choices"]
    of_probes = ["probes", *(f"probe_{name}" for name in [*of_probes, "missing", "transfer"])]
    of_experiments = [*of_probes, "transfer_missing", "accuracy", "novelty", "front_gaps"]
    of_the_model = ["pretraining", "reconstruction"]
    of_ablations = ["ablation_views", "ablation_inference", "ablation_sizes"]
    parts = [*of_weights, *of_the_model, *of_ablations, *of_experiments]
    assert list(tables) == ["zoo", *parts]


def test_equal_data_give_equal_bytes(report: Path, sources: ReportSources, tmp_path: Path) -> None:
    draw_report(sources, tmp_path)
    files = [path.relative_to(report) for path in report.rglob("*") if path.is_file()]
    assert len(files) == len(FIGURES) + len(SCALABLE) + 1
    for file in files:
        assert (tmp_path / file).read_bytes() == (report / file).read_bytes(), file


def test_figures_name_no_software_and_no_date(report: Path) -> None:
    for path in (report / "figures").glob("*.png"):
        contents = path.read_bytes()
        assert b"tEXt" not in contents
        assert b"tIME" not in contents


def test_an_experiment_that_was_not_run_is_left_out(
    report_without_experiments: Path, sources: ReportSources, tmp_path: Path
) -> None:
    drawn = {path.stem for path in (report_without_experiments / "figures").glob("*.png")}
    assert drawn == {"zoo_accuracy", "alignment", "distributions", "fill", "pretraining"}
    page = page_of(report_without_experiments, sources, tmp_path)
    assert 'id="digits-cnn-pretraining"' in page
    assert "#digits-cnn-probing" not in page
    assert 'id="digits-cnn-generation"' not in page
    assert page.count("<img") == 5


def test_a_missing_metric_is_named(sources: ReportSources, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"needs the metric preprocess\.squared_distance\.before"):
        draw_report(replace(sources, metrics={}), tmp_path)


def test_the_page_needs_nothing_else(report: Path, sources: ReportSources, tmp_path: Path) -> None:
    link = "http://127.0.0.1:5000/#/experiments/1"
    page = page_of(report, sources, tmp_path, MLflow=link, revision="abc123")
    sources_of_page = re.findall(r'(?:src|href)="([^"]*)"', page)
    outside = {s for s in sources_of_page if not s.startswith(("#", "data:image/png;base64,"))}
    assert outside == {link}
    assert "<script" not in page
    assert "@import" not in page
    assert "url(" not in page


def test_a_value_that_is_no_web_address_is_no_link(
    report: Path, sources: ReportSources, tmp_path: Path
) -> None:
    page = page_of(report, sources, tmp_path, folder="javascript:alert(1)")
    assert "<dd>javascript:alert(1)</dd>" in page


def test_every_link_of_the_contents_leads_somewhere(
    report: Path, sources: ReportSources, tmp_path: Path
) -> None:
    page = page_of(report, sources, tmp_path)
    targets = re.findall(r'href="#([^"]*)"', page)
    assert len(targets) == 10
    assert all(f'id="{target}"' in page for target in targets)


def test_every_cell_of_every_table_is_on_the_page(
    report: Path, sources: ReportSources, tmp_path: Path
) -> None:
    page = page_of(report, sources, tmp_path)
    shown = [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", page)]
    tables = [COSTS, *read_tables(report / "tables.json").values()]
    cells = [cell for table in tables for line in (table.columns, *table.rows) for cell in line]
    assert shown == cells


def test_every_figure_says_what_it_shows(
    report: Path, sources: ReportSources, tmp_path: Path
) -> None:
    alts = re.findall(r'<img [^>]*alt="([^"]*)"', page_of(report, sources, tmp_path))
    assert len(alts) == len(set(alts)) == len(FIGURES)
    assert all(len(alt) > 40 for alt in alts)


def test_headlines_come_from_the_metrics(
    report: Path, sources: ReportSources, tmp_path: Path
) -> None:
    page = page_of(report, sources, tmp_path)
    head = page[: page.index("<nav")]
    assert "0.971 [0.951, 0.981]" in head
    assert "s(W), layer statistics: 0.989" in head
    assert "<b>93.0 %</b>" in head
    assert "prompts, all: 92.0 %" in head
    assert "noise on weights: 91.5 %" in head
    assert "<b>0.041 [0.039, 0.044]</b>" in head
    assert "validation runs, in both views: 0.039" in head
    assert "<b>1.97</b>" in head
    assert "<b>ffcv</b>" in head


def test_without_an_evaluation_the_losses_of_training_stand_in(
    report: Path, sources: ReportSources, tmp_path: Path
) -> None:
    own = {k: v for k, v in sources.metrics.items() if not k.startswith("evaluation.")}
    page = page_of(report, replace(sources, metrics=own), tmp_path)
    head = page[: page.index("<nav")]
    assert "<b>0.039</b>" in head
    assert "<b>1.96</b>" in head


def test_a_headline_without_its_metric_is_left_out(
    report: Path, sources: ReportSources, tmp_path: Path
) -> None:
    bare = replace(sources, metrics={}, facts={})
    page = page_of(report, bare, tmp_path)
    assert "<b>" not in page


def test_text_from_outside_is_escaped(report: Path, sources: ReportSources, tmp_path: Path) -> None:
    page = page_of(report, sources, tmp_path, note="<img src=x>")
    assert "<h1>SANE &lt;quickstart&gt;</h1>" in page
    assert "<img src=x>" not in page


def test_zoos_stand_one_after_the_other(
    report: Path, report_without_experiments: Path, sources: ReportSources, tmp_path: Path
) -> None:
    zoos = [
        ZooReport("first", report, sources.metrics, sources.facts),
        ZooReport("second", report_without_experiments, {}, {}),
    ]
    page = write_page(tmp_path / "new" / "folder", "Two zoos", zoos, COSTS, {}).read_text()
    assert page.index('id="first-zoo"') < page.index('id="first-front"')
    assert page.index('id="first-front"') < page.index('id="second-zoo"')
