import pytest

from sane_core.reporting.paper import Published, published, published_views


def test_a_published_r2_is_found() -> None:
    assert published("table10", "SANE aggregated", "test_accuracy") == Published(0.978, None)
    assert published("table1_9", "CIFAR-10/W", "test_accuracy") == Published(-7.58, None)


def test_a_published_accuracy_has_its_spread() -> None:
    assert published("table3", "MNIST", "SANE_SUB", epoch=0) == Published(86.7, 0.8)


def test_a_cell_the_paper_leaves_empty_is_none() -> None:
    assert published("table3", "STL", "S_KDE30", epoch=0) is None


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (("table99", "MNIST", "scratch", 0), r"table must be one of \['table1_9', .*'table99'"),
        (("table3", "EMNIST", "scratch", 0), r"column of table3 must be one of .*got 'EMNIST'"),
        (("table3", "MNIST", "magic", 0), r"row of table3 must be one of .*got 'magic'"),
        (("table3", "MNIST", "scratch", 7), r"epoch of table3 must be one of .*got '7'"),
        (("table3", "MNIST", "scratch", None), r"table3 must be asked for with an epoch"),
        (("table10", "W", "epoch", 5), r"table10 must be asked for with no epoch, got epoch=5"),
        (("table8", "CNN", "d_model", None), r"table must be one of .*got 'table8'"),
    ],
)
def test_an_unknown_cell_is_an_error_that_names_the_choices(
    cell: tuple[str, str, str, int | None], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        published(*cell)


def test_a_published_setting_of_views_is_found() -> None:
    assert published_views(False, "permuted", "permuted") == (0.304, 0.167)
    assert published_views(True, "aligned", "permuted") == (0.107, 0.082)


def test_a_setting_of_views_that_the_paper_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="table6 has no row aligned=False, views aligned"):
        published_views(False, "aligned", "aligned")
