"""The properties of any zoo as one struct column: its fields are whatever the files know.

Integers are int64, numbers float64, anything else text; a field that mixes them takes the widest.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from sane_core.zoo.formats.contents import Property
from sane_core.zoo.formats.refused import printable

MOST = 256
"""Fields of a zoo; further ones, by name, are left out."""
_TEXT = 500


def hyperparameter_types(rows: Sequence[Mapping[str, Property]]) -> dict[str, pa.DataType]:
    """Return field -> type, by name.

    Args:
        rows: The properties of every checkpoint; rows of one run may be one object.
    """
    types: dict[str, pa.DataType] = {}
    for row in {id(row): row for row in rows}.values():
        for name, value in row.items():
            types[name] = _wider(types.get(name), _type_of(value))
    return dict(sorted(types.items())[:MOST])


def hyperparameter_array(
    rows: Sequence[Mapping[str, Property]], types: Mapping[str, pa.DataType]
) -> pa.Array:
    """Return the struct column of `types` with a row per checkpoint, null where nothing is known.

    Names of fields are printable; of two that become equal, the first by name counts.
    """
    fields: dict[str, str] = {}
    for name in types:
        fields.setdefault(printable(name), name)
    arrays = {
        shown: pa.array([_as(row.get(name), types[name]) for row in rows], types[name])
        for shown, name in fields.items()
    }
    return pa.StructArray.from_arrays(list(arrays.values()), list(arrays))


def _type_of(value: Property) -> pa.DataType:
    if isinstance(value, int):
        return pa.int64() if abs(value) < 2**63 else pa.string()
    return pa.float64() if isinstance(value, float) else pa.string()


def _wider(a: pa.DataType | None, b: pa.DataType) -> pa.DataType:
    if a is None or a == b:
        return b
    return pa.string() if pa.string() in (a, b) else pa.float64()


def _as(value: Property | None, kind: pa.DataType) -> Property | None:
    if value is None:
        return None
    if kind == pa.string():
        return printable(str(value), _TEXT)
    return float(value) if kind == pa.float64() else value
