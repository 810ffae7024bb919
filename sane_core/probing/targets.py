"""What is read from networks: numbers and classes of the checkpoints table, hyper-parameters too.

A property that cannot be probed is not an error: it is left out, with the reason. It takes two
values or more to tell whether they were told apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sane_core.probing.folds import Sides
from sane_core.zoo.rows import rows_of

MOST_CLASSES = 50
"""Of a property in words; one with more is a name, which runs do not share."""

_NO_PROPERTIES = {
    *("zoo", "run", "run_name", "split", "source", "sha256", "licence"),
    *("first_token", "last_token"),
}


@dataclass(frozen=True)
class Target:
    """One property of checkpoints.

    Attributes:
        name: Column of the table, `<struct>.<field>` of a struct.
        values: float64 [rows]: numbers, or numbers of classes; NaN where unknown.
        classes: Names of the classes; none of a number.
    """

    name: str
    values: np.ndarray
    classes: tuple[str, ...] = ()

    @property
    def columns(self) -> np.ndarray:
        """What ridge fits: the numbers [rows, 1], or a column per class, 1 for it and -1 else."""
        if not self.classes:
            return self.values[:, None]
        return np.where(self.values[:, None] == np.arange(len(self.classes)), 1.0, -1.0)

    def take(self, rows: np.ndarray) -> "Target":
        """Return the property of some rows."""
        return replace(self, values=self.values[rows])


def read_targets(
    checkpoints: Path, runs: np.ndarray, epochs: np.ndarray, names: Sequence[str]
) -> tuple[list[Target], dict[str, str]]:
    """Read properties of checkpoints.

    Args:
        checkpoints: The checkpoints table.
        runs: int [rows].
        epochs: int [rows].
        names: Properties; the name of a struct stands for all of its fields.

    Returns:
        (properties, name -> why there is no such property).

    Raises:
        ValueError: If the table lacks one of the checkpoints.
    """
    table = pq.read_table(checkpoints)
    rows = pa.array(rows_of(table, runs, epochs))
    targets, reasons = [], {}
    for name in _expanded(table.schema, names):
        column = _column(table, name)
        if column is None:
            reasons[name] = f"the zoo knows no such property; it has {_known(table.schema)}"
        else:
            targets.append(_target(name, column.take(rows)))
    return targets, reasons


def reason_against(target: Target, sides: Sequence[Sides]) -> str | None:
    """Return why a property cannot be probed on these sides, None if it can."""
    known = np.isfinite(target.values)
    if not known.any():
        return "no checkpoint's value is known"
    if len(target.classes) > MOST_CLASSES:
        return f"it has {len(target.classes)} different values: a name, not a property of several"
    for name in ("train", "validation", "test"):
        parts = [getattr(side, name) for side in sides]
        for rows in [np.concatenate(parts)] if name == "test" else parts:
            values = np.unique(target.values[rows][known[rows]])
            if not len(values):
                return f"no checkpoint's value is known on {name} runs"
            if len(values) == 1 and (name == "train" or not target.classes):
                shown = target.classes[int(values[0])] if target.classes else f"{values[0]:g}"
                return f"it is the same for all checkpoints of {name} runs: {shown}"
    return None


def _expanded(schema: pa.Schema, names: Sequence[str]) -> list[str]:
    expanded = []
    for name in names:
        kind = schema.field(name).type if name in schema.names else None
        if kind is not None and pa.types.is_struct(kind):
            expanded += [f"{name}.{field.name}" for field in kind]
        else:
            expanded.append(name)
    return list(dict.fromkeys(expanded))


def _column(table: pa.Table, name: str) -> pa.Array | None:
    if name in table.column_names:
        return table[name].combine_chunks()
    outer, _, inner = name.partition(".")
    if outer not in table.column_names or not pa.types.is_struct(table.schema.field(outer).type):
        return None
    struct = table[outer].combine_chunks()
    if struct.type.get_field_index(inner) < 0:
        return None
    return pc.struct_field(struct, [inner])


def _target(name: str, column: pa.Array) -> Target:
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values = pc.cast(column, pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
        return Target(name, np.where(np.isfinite(values), values, np.nan))
    words = pc.cast(column, pa.string()).to_pylist()
    classes = tuple(sorted({word for word in words if word is not None}))
    number = {word: float(i) for i, word in enumerate(classes)}
    values = np.array([np.nan if word is None else number[word] for word in words])
    return Target(name, values, classes)


def _known(schema: pa.Schema) -> str:
    """List the properties of a table, without what tells checkpoints and files apart."""
    names = []
    for field in schema:
        if pa.types.is_struct(field.type):
            names += [f"{field.name}.{inner.name}" for inner in field.type]
        elif field.name not in _NO_PROPERTIES:
            names.append(field.name)
    return ", ".join(names)
