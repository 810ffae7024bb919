"""Ablations side by side: the numbers in the tables are those of the variants."""

from pathlib import Path

import polars as pl
import pytest

from sane_core.ablation.collect import Trained, collect_inference, collect_sizes, collect_views
from schemas.config.ablate import VIEW_SETTINGS


def trained(folder: Path, loss: float, windows: int = 10) -> Trained:
    """Write what a training leaves; its second epoch is the best, and of four passes one counts."""
    folder.mkdir(parents=True)
    pl.DataFrame(
        {"validation_loss": [0.9, 0.2, 0.3], "train_reconstruction": [9.0, loss + 0.5, 8.0]}
    ).write_parquet(folder / "history.parquet")
    rows = [
        {"split": split, "window": 16 if whole else 4, "halo": 0, "trained": not whole}
        | {"whole": whole, "layer": layer, "reconstruction": value + 10 * whole + 100 * (l >= 0)}
        | {"low": value - 0.1, "high": value + 0.1, "l": l}
        for whole in (True, False)
        for split, value in (("train", loss), ("test", loss + 1))
        for layer, l in (("a", 0), ("all", -1))
    ]
    pl.DataFrame(rows).write_parquet(folder / "evaluation.parquet")
    return Trained(folder, folder, windows)


def test_views_stand_in_the_order_of_the_settings(tmp_path: Path) -> None:
    made = [trained(tmp_path / str(i), float(i)) for i in range(len(VIEW_SETTINGS))]
    metrics = collect_views(VIEW_SETTINGS, made, tmp_path / "views.parquet")
    table = pl.read_parquet(tmp_path / "views.parquet")
    assert table["aligned"].to_list() == [False, True, True, True]
    assert table["training"].to_list() == [0.5, 1.5, 2.5, 3.5]
    assert table["train"].to_list() == [0, 1, 2, 3]
    assert table["test"].to_list() == [1, 2, 3, 4]
    assert metrics["ablate.views.aligned-aligned-permuted.test"] == 3
    assert metrics["ablate.views.aligned-aligned-permuted.low"] == pytest.approx(2.9)


def test_sizes_say_how_many_steps_were_taken(tmp_path: Path) -> None:
    made = [trained(tmp_path / "4", 1.0, windows=10), trained(tmp_path / "8", 2.0, windows=5)]
    metrics = collect_sizes([(4, 3), (8, 2)], made, tmp_path / "sizes.parquet")
    table = pl.read_parquet(tmp_path / "sizes.parquet")
    assert table["steps"].to_list() == [3 * 3, 3 * 2]
    assert table["whole"].to_list() == [12, 13]
    assert metrics["ablate.window_sizes.w8.whole"] == 13


def test_windows_at_inference_are_those_of_test_runs(tmp_path: Path) -> None:
    made = trained(tmp_path / "model", 1.0)
    metrics = collect_inference(made.evaluation, tmp_path / "inference.parquet")
    assert metrics == {"ablate.inference.w16": 12, "ablate.inference.w4": 2}
    assert set(pl.read_parquet(tmp_path / "inference.parquet")["split"]) == {"test"}


def test_an_evaluation_without_the_windows_of_training_is_refused(tmp_path: Path) -> None:
    made = trained(tmp_path / "model", 1.0)
    rows = pl.read_parquet(made.evaluation / "evaluation.parquet").filter(~pl.col("trained"))
    rows.write_parquet(made.evaluation / "evaluation.parquet")
    with pytest.raises(ValueError, match=r"must have a row with .*'trained': True"):
        collect_views(VIEW_SETTINGS[:1], [made], tmp_path / "views.parquet")
