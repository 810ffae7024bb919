"""Any name and any value becomes one that MLflow takes, and different ones stay different."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name

from tasks.tracking_names import LONGEST_NAME, flat_parameters, flat_tags, tidy_name


@pytest.mark.parametrize("name", ["probe.r2.epoch.sane_mean", "a b/c:d-e", "größe"])
def test_a_name_that_mlflow_takes_is_kept(name: str) -> None:
    assert tidy_name(name) == name


@given(st.text())
def test_mlflow_takes_every_tidied_name(name: str) -> None:
    tidy = tidy_name(name)

    _validate_metric_name(tidy)
    assert len(tidy) <= LONGEST_NAME


@given(st.lists(st.text("a./=\n", max_size=4), unique=True))
def test_different_names_stay_different(names: list[str]) -> None:
    assert len({tidy_name(name) for name in names}) == len(names)


def test_nested_sections_and_lists_of_sections_are_dotted() -> None:
    config = {"a": {"b": {"c": 1}}, "zoos": [{"name": "x"}, {"name": "y"}], "sizes": (1, 2.5)}

    assert flat_parameters(config) == {
        "a.b.c": "1",
        "zoos.0.name": "x",
        "zoos.1.name": "y",
        "sizes": "[1, 2.5]",
    }


def test_values_read_as_in_the_configuration_file() -> None:
    config = {"text": "a", "none": None, "yes": True, "empty": {}, "nothing": []}

    assert flat_parameters(config) == {
        "text": "a",
        "none": "null",
        "yes": "true",
        "empty": "{}",
        "nothing": "[]",
    }


def test_tags_without_a_value_are_left_out() -> None:
    assert flat_tags({"a": None, "b": "", "c": 0}) == {"c": "0"}
