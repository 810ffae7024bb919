"""Properties of any kind; what cannot be probed says why."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sane_core.probing.folds import fixed_sides
from sane_core.probing.targets import Target, read_targets, reason_against

SPLIT = np.repeat(["train", "validation", "test"], 4)
SIDES = fixed_sides(SPLIT)
RUNS, EPOCHS = np.arange(12), np.zeros(12, int)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """Rows in another order than they are asked for."""
    order = np.random.default_rng(0).permutation(12)
    struct = [
        {"rate": 0.1 * i, "activation": ("relu", "tanh")[i % 2], "flip": i % 3 == 0, "none": None}
        for i in order
    ]
    columns = {
        "run": order,
        "epoch": np.zeros(12, int),
        "accuracy": np.where(order == 3, np.nan, order / 12).astype(np.float32),
        "constant": np.ones(12),
        "hyperparameters": struct,
    }
    path = tmp_path / "checkpoints.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_numbers_words_and_flags_are_read_in_the_order_asked_for(checkpoints: Path) -> None:
    names = ("hyperparameters.rate", "hyperparameters.activation", "hyperparameters.flip")
    (rate, activation, flip), reasons = read_targets(checkpoints, RUNS, EPOCHS, names)
    np.testing.assert_allclose(rate.values, 0.1 * RUNS)
    assert activation.classes == ("relu", "tanh")
    np.testing.assert_array_equal(activation.values, RUNS % 2)
    assert flip.classes == ("false", "true")
    assert reasons == {}


def test_a_struct_stands_for_its_fields(checkpoints: Path) -> None:
    targets, _ = read_targets(checkpoints, RUNS, EPOCHS, ("hyperparameters",))
    assert [target.name.split(".")[1] for target in targets] == [
        "rate",
        "activation",
        "flip",
        "none",
    ]


def test_a_property_that_is_not_there_is_a_reason_and_no_error(checkpoints: Path) -> None:
    names = ("accuracy", "colour", "hyperparameters.depth")
    targets, reasons = read_targets(checkpoints, RUNS, EPOCHS, names)
    assert [target.name for target in targets] == ["accuracy"]
    assert [*reasons] == ["colour", "hyperparameters.depth"]
    assert reasons["colour"].startswith("the zoo knows no such property; it has epoch, accuracy")
    assert "hyperparameters.rate" in reasons["colour"]


def test_a_checkpoint_that_the_table_lacks_is_an_error(checkpoints: Path) -> None:
    with pytest.raises(ValueError, match="got none of run 0, epoch 7; take the zoo"):
        read_targets(checkpoints, RUNS, EPOCHS + 7, ("accuracy",))


def test_an_unknown_value_leaves_its_checkpoint_out(checkpoints: Path) -> None:
    (accuracy,), _ = read_targets(checkpoints, RUNS, EPOCHS, ("accuracy",))
    assert np.flatnonzero(np.isnan(accuracy.values)).tolist() == [3]
    assert reason_against(accuracy, SIDES) is None


@pytest.mark.parametrize(
    ("values", "classes", "reason"),
    [
        (np.ones(12), (), "it is the same for all checkpoints of train runs: 1"),
        (np.zeros(12), ("adam",), "the same for all checkpoints of train runs: adam"),
        (np.full(12, np.nan), (), "no checkpoint's value is known"),
        (np.r_[np.arange(8), np.ones(4)], (), "the same for all checkpoints of test runs: 1"),
        (np.r_[np.arange(4), [np.nan] * 4, np.arange(4)], (), "is known on validation runs"),
        (np.arange(12), tuple(map(str, range(60))), "it has 60 different values: a name"),
    ],
)
def test_what_cannot_be_told_apart_says_why(
    values: np.ndarray, classes: tuple[str, ...], reason: str
) -> None:
    found = reason_against(Target("it", values.astype(float), classes), SIDES)
    assert found is not None
    assert reason in found


def test_a_class_may_be_the_same_on_test_runs() -> None:
    values = np.r_[[0, 1, 0, 1], np.ones(8)]
    assert reason_against(Target("it", values, ("a", "b")), SIDES) is None
