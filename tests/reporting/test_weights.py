from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes

from sane_core.architectures.registry import architecture_named
from sane_core.reporting import weights_figures
from sane_core.reporting.draw import ReportSources
from sane_core.reporting.weights_tables import (
    EXPECTED,
    LONGEST,
    alignment_table,
    fixed_table,
    tokens_table,
)
from sane_core.weights.symmetry.derive import symmetries_of
from sane_core.weights.symmetry.groups import Fixed

COLUMNS = ["split", "before", "after"]


@pytest.fixture
def layers(sources: ReportSources) -> pl.DataFrame:
    return pl.read_parquet(sources.tokens / "layers.parquet")


def frame(rows: Sequence[tuple[str, float, float]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def deep(layers: pl.DataFrame, copies: int) -> pl.DataFrame:
    return pl.concat([layers] * copies).with_columns(
        l=pl.int_range(pl.len()), name=pl.format("block{}.conv", pl.int_range(pl.len()))
    )


def widths(axes: Axes, label: str) -> list[float]:
    (bars,) = [bars for bars in axes.containers if bars.get_label() == label]
    return [bar.get_width() for bar in bars]


def test_the_reference_does_not_count_as_a_run_that_came_closer() -> None:
    rows = [("train", 0.0, 0.0), ("train", 10.0, 5.0), ("train", 10.0, 7.0), ("test", 8.0, 2.0)]
    figure = weights_figures.alignment(frame(rows))
    pairs, left = figure.axes
    labels = left.get_legend_handles_labels()[1]
    assert labels == ["train runs: 60 % left on average", "test runs: 25 % left on average"]
    assert left.get_title("left") == "On average 48 % of the distance is left"
    assert sum(len(points.get_offsets()) for points in pairs.collections) == 3


def ticks(axes: Axes) -> list[float]:
    left, right = axes.get_xlim()
    return [place for place in axes.get_xticks() if left <= place <= right]


def test_ticks_in_percent_are_round_and_not_crowded(layers: pl.DataFrame) -> None:
    share, _ = weights_figures.fill(layers, 51).axes
    assert ticks(share) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    _, left = weights_figures.alignment(frame([("train", 10.0, 5.6), ("train", 10.0, 8.1)])).axes
    assert ticks(left) == pytest.approx([0.6, 0.7, 0.8, 0.9, 1])


def test_a_zoo_of_the_reference_alone_is_drawn() -> None:
    figure = weights_figures.alignment(frame([("train", 0.0, 0.0)]))
    assert figure.axes[1].get_title("left") == ""


def test_a_run_that_moved_away_is_on_the_picture() -> None:
    figure = weights_figures.alignment(frame([("train", 10.0, 13.0)]))
    pairs, left = figure.axes
    assert pairs.get_ylim()[1] > 13
    assert left.get_xlim()[1] > 1.3


def test_standardized_layers_have_mean_0_and_std_1(layers: pl.DataFrame) -> None:
    raw, standardized = weights_figures.distributions(layers).axes
    assert widths(raw, "mean ± one std") == pytest.approx([0.62, 0.44, 0, 2])
    assert widths(standardized, "mean ± one std") == pytest.approx([2, 2, 0, 2])
    assert widths(standardized, "smallest to largest, train runs") == pytest.approx([9, 9, 0, 9])
    (means,) = [line for line in standardized.lines if line.get_label() == "mean"]
    assert np.allclose(means.get_xdata(), 0)


def test_padding_and_weights_are_all_values(layers: pl.DataFrame) -> None:
    share, amount = weights_figures.fill(layers, 51).axes
    weights, padding = widths(amount, "real weights"), widths(amount, "padding")
    assert weights == [8 * 26, 6 * 51, 20 * 37, 10 * 21]
    assert np.add(weights, padding).tolist() == [8 * 51, 6 * 51, 20 * 51, 10 * 51]
    assert share.get_title("left") == "Fill rate: 65 % of all values (dashed)"
    assert [text.get_text() for text in share.texts] == ["51 %", "100 %", "73 %", "41 %"]


def test_a_layer_that_is_hardly_filled_is_not_called_empty(layers: pl.DataFrame) -> None:
    share, _ = weights_figures.fill(layers, 10_000).axes
    assert share.texts[0].get_text() == "0.3 %"


def test_a_layer_without_tokens_is_left_out(layers: pl.DataFrame) -> None:
    nothing = layers.with_columns(tokens=pl.when(pl.col("l") == 0).then(0).otherwise("tokens"))
    for figure in (weights_figures.distributions(nothing), weights_figures.fill(nothing, 51)):
        assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == [
            "conv2",
            "fc1",
            "fc2",
        ]


@pytest.mark.parametrize("copies", [1, 5, 30])
def test_labels_of_layers_never_overlap(layers: pl.DataFrame, copies: int) -> None:
    many = deep(layers, copies)
    for figure in (weights_figures.distributions(many), weights_figures.fill(many, 51)):
        figure.draw_without_rendering()
        boxes = [tick.get_window_extent() for tick in figure.axes[0].get_yticklabels()]
        assert all(above.y0 >= below.y1 for above, below in zip(boxes, boxes[1:], strict=False))
        assert figure.get_size_inches()[1] < 13


def test_the_tables_hold_the_metrics(sources: ReportSources, layers: pl.DataFrame) -> None:
    aligned = dict(alignment_table(sources.metrics).rows)
    assert aligned["groups of units that may be reordered"] == "4"
    assert aligned["units in them"] == "38"
    assert aligned["squared distance to the reference, as trained"] == "80.5"
    assert aligned["squared distance to the reference, aligned"] == "53.25"
    assert aligned["runs that no further step brings closer"] == "88 %"
    assert aligned["largest change of a logit by the reordering"] == "2.0e-06"
    tokens = dict(tokens_table(layers, 51, sources.metrics).rows)
    assert tokens["weights"] == "1464"
    assert tokens["tokens"] == "44"
    assert tokens["fill rate"] == "78.4 %"
    assert tokens["constant layers"] == "1"


def test_what_every_network_keeps_in_order_is_not_listed() -> None:
    assert fixed_table(symmetries_of(architecture_named("resnet18")).fixed) is None
    assert fixed_table([Fixed("conv.weight", 2, reason) for reason in EXPECTED]) is None


def test_what_a_network_keeps_in_order_for_other_reasons_is_listed() -> None:
    table = fixed_table(symmetries_of(architecture_named("vit")).fixed)
    assert table is not None
    assert table.rows == (("pos_embed", "1", "one of its units is picked by its number"),)


def test_a_long_list_of_what_is_kept_says_how_long_it_is() -> None:
    table = fixed_table([Fixed(f"w{i}", 0, "operation f is not known") for i in range(LONGEST + 7)])
    assert table is not None
    assert len(table.rows) == LONGEST
    assert table.notes[-1] == "So are 7 further rows."
