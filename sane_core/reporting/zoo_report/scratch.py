"""The paper's "scratch" rows of Table 3: what its zoos reached on the same data set, by epoch."""

from sane_core.reporting.paper import Published, published

EPOCHS = (0, 1, 5, 25, 50)
_COLUMNS = {"mnist": "MNIST", "svhn": "SVHN", "cifar10": "CIFAR-10", "stl": "STL", "stl10": "STL"}


def column_of(dataset: str | None) -> str | None:
    """Return the column of Table 3 for a data set's name, however it is spelt; None without one."""
    plain = "".join(c for c in (dataset or "").lower() if c.isalnum())
    return _COLUMNS.get(plain)


def scratch(column: str | None, epoch: int) -> Published | None:
    """Return test accuracy in percent; None where Table 3 has nothing."""
    if column is None or epoch not in EPOCHS:
        return None
    return published("table3", column, "scratch", epoch)
