"""Numbers and names as the cells of the zoo report's tables.

Text from a zoo's files reaches a cell through `shown` only: printable, and not too long.
"""

from collections.abc import Sequence

import polars as pl

from sane_core.reporting.paper import Published
from sane_core.reporting.tables import MISSING
from sane_core.zoo.formats.refused import printable

_UNITS = ("B", "kB", "MB", "GB", "TB")


def shown(text: object, limit: int = 60) -> str:
    """Return text from a file as it may be shown; null is missing."""
    return MISSING if text is None else printable(str(text), limit)


def count(number: int) -> str:
    """Return a count with separators."""
    return f"{number:,}"


def number(value: float) -> str:
    """Return a number in as few digits as tell it."""
    return f"{value:,}" if float(value).is_integer() and abs(value) < 1e6 else f"{value:.4g}"


def size(amount: int) -> str:
    """Return an amount of bytes in the unit that fits, 1000 to the next."""
    value, unit = float(amount), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {_UNITS[unit]}"


def spread(values: pl.Series, scale: float = 1.0, digits: int = 1) -> str:
    """Return mean ± standard deviation of what is known.

    Args:
        values: Numbers, null where unknown.
        scale: Factor; 100 turns fractions into percent.
        digits: Digits after the point.
    """
    known = values.drop_nulls().cast(pl.Float64).to_numpy() * scale
    if not len(known):
        return MISSING
    mean = round(float(known.mean()), digits) + 0.0  # never "-0.0"
    text = f"{mean:.{digits}f}"
    return f"{text} ± {known.std():.{digits}f}" if len(known) > 1 else text


def printed(found: Published | None) -> str:
    """Return a published value."""
    if found is None:
        return MISSING
    return f"{found.mean:.1f}" if found.std is None else f"{found.mean:.1f} ± {found.std:.1f}"


def span(values: Sequence[int]) -> str:
    """Return the first and the last of ascending numbers."""
    return f"{values[0]}–{values[-1]}" if len(values) > 1 else str(values[0])
