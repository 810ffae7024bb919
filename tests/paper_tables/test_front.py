"""The headline figure shows every sampler, the known and the new, with intervals over seeds."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from flows.report_tables import answer
from sane_core.reporting.beside.fronts import gaps_table
from sane_core.reporting.canvas import save
from sane_core.reporting.front_figure import curves_of, front
from tests.paper_tables.conftest import Made

POINTS = ["sampler", "knob", "seed", "accuracy", "overlap", "candidate_accuracy"]
NOTHING = pl.DataFrame(schema={"method": pl.String, "accuracy": pl.Float64, "overlap": pl.Float64})


def points(**heights: float) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        (name, knob, seed, height - 0.1 * knob + 0.01 * rng.random(), 0.8 - knob, 0.5)
        for name, height in heights.items()
        for knob in (0.05, 0.2, 0.4)
        for seed in range(3)
    ]
    return pl.DataFrame(rows, schema=POINTS, orient="row")


def test_a_point_is_the_mean_over_seeds_and_its_bar_the_interval_of_that_mean() -> None:
    rows = points(sane=0.9)
    (curve,) = curves_of(rows)
    values = rows.filter(knob=0.2)["accuracy"].to_numpy()
    found = curve.points.filter(knob=0.2).row(0, named=True)
    assert found["accuracy"] == pytest.approx(values.mean())
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert found["accuracy_half"] == pytest.approx((high - low) / 2)
    assert found["seeds"] == 3


def test_one_seed_has_no_interval() -> None:
    (curve,) = curves_of(points(sane=0.9).filter(seed=0))
    assert set(curve.points["accuracy_half"]) == {0.0}
    (legend,) = front(points(sane=0.9).filter(seed=0), NOTHING).legends
    assert legend.get_title().get_text().startswith("one seed; ")


def test_the_legend_is_in_the_order_of_the_curves_among_what_is_new() -> None:
    drawn = front(points(noise=0.8, sub=0.85, sharpened_sub=0.95, brand_new=0.9), NOTHING)
    (legend,) = drawn.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "sharpened (labels)",
        "brand new",
        "SANE",
        "noise on weights",
    ]
    assert "95 % interval over 3 seeds" in legend.get_title().get_text()


def test_every_curve_is_labelled_at_its_end_and_labels_do_not_touch() -> None:
    names = {f"sampler_{i}": 0.9 - 0.0005 * i for i in range(6)}
    drawn = front(points(**names), NOTHING)
    (axes,) = drawn.axes
    texts = [text for text in axes.texts if ", 0.4" in text.get_text()]
    low, high = axes.get_ylim()
    heights = sorted((text.xyann[1] - low) / (high - low) for text in texts)
    assert len(heights) == 6
    assert min(np.diff(heights)) > 0.03
    assert 0 <= heights[0] <= heights[-1] <= 1


def test_points_far_below_are_counted_instead_of_shown() -> None:
    drawn = front(points(sane=0.95, poor=0.2), NOTHING)
    assert "3 points lie below" in drawn.legends[0].get_title().get_text()


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_equal_points_give_equal_files(tmp_path: Path, ending: str) -> None:
    for name in ("one", "two"):
        save(front(points(sane=0.9, noise=0.8), NOTHING), tmp_path / f"{name}.{ending}")
    one, two = ((tmp_path / f"{name}.{ending}").read_bytes() for name in ("one", "two"))
    assert one == two
    assert b"<dc:date>" not in one


def test_seeds_of_several_runs_count_together(made: Made) -> None:
    for seed in range(2):
        zoo = made.zoo(seed=seed)
        files = {"front.parquet": points(sane=0.9 + 0.01 * seed, noise=0.8)}
        made.artifact("generation", files, {}, {"tokens": zoo["tokens"]}, seed)
    found = answer("front", made.store.uri)
    table, gaps = found.collected.tables
    assert table.rows[0][:3] == ("SANE", "0.05", "6")
    assert gaps.rows[0][3] == "6"
    assert found.figure is not None
    assert "<svg" in found.rendered("html")


def test_how_far_a_front_is_above_the_baselines_is_said_with_its_interval() -> None:
    rows = points(sub=0.9, poor=0.5, noise=0.8, interpolation=0.7)
    table = gaps_table(rows, "zoo")
    assert table is not None
    above, below = table.rows
    assert above[0] == "SANE"
    assert above[1].startswith("+10.")
    assert above[2:4] == ("above", "3")
    assert below[2] == "below"
    alone = gaps_table(rows.filter(seed=0), "zoo")
    assert alone is not None
    assert alone.rows[0][2] == "one seed decides nothing"
    assert gaps_table(rows.filter(sampler="sub"), "zoo") is None


def test_no_front_is_said(made: Made) -> None:
    made.generation(made.zoo())
    found = answer("front", made.store.uri)
    assert found.figure is None
    assert "no run in this store; make one: sane run deployments/quickstart" in found.sentences[0]
