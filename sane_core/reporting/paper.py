"""The published numbers: every cell of the paper's tables of R² and of accuracy.

`paper_tables.json` keeps them as printed: R² as it is, accuracies in percent.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Published:
    """One published value; `std` is over models, where the paper gives it."""

    mean: float
    std: float | None


def published(table: str, column: str, row: str, epoch: int | None = None) -> Published | None:
    """Look up one cell.

    Args:
        table: Name of the table, as `table10`.
        column: Heading of the column.
        row: Property or method of the row.
        epoch: Epoch of fine-tuning, for tables that have epochs; None for the others.

    Returns:
        The value; None where the paper leaves the cell empty.

    Raises:
        ValueError: If there is no such table, column, epoch or row; names those there are.
    """
    contents = _choose(_grids(), table, "table")
    if column not in contents["columns"]:
        raise ValueError(f"column of {table} must be one of {contents['columns']}, got {column!r}")
    if ("epochs" in contents) != (epoch is not None):
        wanted = "an epoch" if "epochs" in contents else "no epoch"
        raise ValueError(f"{table} must be asked for with {wanted}, got epoch={epoch}")
    rows = contents.get("rows")
    if epoch is not None:
        rows = _choose(contents["epochs"], str(epoch), f"epoch of {table}")
    cell = _choose(rows, row, f"row of {table}")[column]
    return None if cell is None else Published(cell["mean"], cell.get("std"))


def published_if_any(table: str, column: str, row: str, at: str | None = None) -> Published | None:
    """Look up one cell that need not be there.

    Args:
        table: Name of a table that is a grid, as `table3`.
        column: Heading of the column.
        row: Property or method of the row.
        at: Epoch of fine-tuning as the table names it, as `25` or `end`.

    Returns:
        The value; None where the paper has no such column, row, epoch or value.

    Raises:
        ValueError: If there is no such table.
    """
    contents = _choose(_grids(), table, "table")
    rows = contents.get("rows", {}) if at is None else contents.get("epochs", {}).get(at, {})
    cell = rows.get(row, {}).get(column)
    return None if cell is None else Published(cell["mean"], cell.get("std"))


def published_columns_of(table: str) -> tuple[str, ...]:
    """Return the headings of a table that is a grid."""
    return tuple(_choose(_grids(), table, "table")["columns"])


def published_epochs(table: str) -> dict[str, tuple[str, ...]]:
    """Return epoch of fine-tuning -> methods, of a table that has epochs."""
    epochs = _choose(_grids(), table, "table").get("epochs", {})
    return {epoch: tuple(rows) for epoch, rows in epochs.items()}


def published_views(aligned: bool, first: str, second: str) -> tuple[float, float]:
    """Look up a row of Table 6: the reconstruction loss (train, test) of a setting of views.

    Args:
        aligned: Whether the zoo is.
        first: The first view, "aligned" or "permuted".
        second: The second view.

    Raises:
        ValueError: If the paper has no such setting.
    """
    for row in _tables()["table6"]["rows"]:
        if (row["aligned"], row["view1"], row["view2"]) == (aligned, first, second):
            return float(row["train"]), float(row["test"])
    raise ValueError(f"table6 has no row aligned={aligned}, views {first} and {second}")


def _grids() -> dict[str, Any]:
    """Return the tables that are a grid of values (that of hyper-parameters is not)."""
    return {name: table for name, table in _tables().items() if "columns" in table}


@cache
def _tables() -> dict[str, Any]:
    text = files("sane_core.reporting").joinpath("paper_tables.json").read_text(encoding="utf-8")
    tables: dict[str, Any] = json.loads(text)["tables"]
    return tables


def _choose(choices: Any, name: str, what: str) -> Any:
    if name not in choices:
        raise ValueError(f"{what} must be one of {list(choices)}, got {name!r}")
    return choices[name]
