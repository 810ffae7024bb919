"""Specifications and the options in them: `NAME` or `NAME[option=value,...]`.

Options are the keyword parameters of a builder; each has the type of its default. Two
specifications of one network have one canonical text: the options that differ from their defaults,
in the order of the builder's parameters.
"""

import inspect
import re
from collections.abc import Callable, Mapping

from torch import nn

Option = bool | int | float | str
"""What an option may be; a bool is written 0 or 1."""


def defaults_of(build: Callable[..., nn.Module]) -> dict[str, Option]:
    """Return the parameters of a builder that have a plain default: its options."""
    parameters = inspect.signature(build).parameters.values()
    return {p.name: p.default for p in parameters if isinstance(p.default, Option)}


def choose(
    name: str, given: Mapping[str, Option], defaults: Mapping[str, Option]
) -> dict[str, Option]:
    """Return every option of an architecture, in the order of the defaults.

    Args:
        name: The architecture's name, for errors.
        given: The options that are set; texts are read as the type of the default.
        defaults: Option -> default.

    Raises:
        ValueError: If an option is unknown, or its value has another type than the default.
    """
    for key in given:
        if key not in defaults:
            raise ValueError(
                f"option of architecture {name} must be one of {list(defaults)}, got {key!r}"
            )
    return {
        key: _typed(f"{name}[{key}]", given[key], default) if key in given else default
        for key, default in defaults.items()
    }


def require_at_least(what: str, value: int, smallest: int) -> None:
    """Refuse a count that is too small.

    Raises:
        ValueError: If it is.
    """
    if value < smallest:
        raise ValueError(f"{what} must be >= {smallest}, got {value}")


def write_specification(
    name: str, options: Mapping[str, Option], defaults: Mapping[str, Option]
) -> str:
    """Return the canonical specification of an architecture with these options."""
    written = [
        f"{key}={int(value) if isinstance(value, bool) else value}"
        for key, value in options.items()
        if key not in defaults or value != defaults[key]
    ]
    return f"{name}[{','.join(written)}]" if written else name


def parse_specification(text: str) -> tuple[str, dict[str, str]]:
    """Split `NAME[option=value,...]` into the name and its options.

    Raises:
        ValueError: If the text has another form, or gives an option twice.
    """
    match = re.fullmatch(r"([\w.:-]+)(?:\[([^\[\]]*)\])?", text)
    items = [item for item in (match[2] or "").split(",") if item] if match else []
    pairs = [(key.strip(), value.strip()) for key, _, value in (i.partition("=") for i in items)]
    if not match or not all(key and value for key, value in pairs):
        raise ValueError(f"an architecture must read NAME or NAME[option=value,...], got {text!r}")
    options = dict(pairs)
    if len(options) < len(pairs):
        raise ValueError(f"an architecture must give each option once, got {text!r}")
    return match[1], options


def _typed(what: str, value: Option, default: Option) -> Option:
    """Return a value as the type of its default."""
    kind = type(default)
    text = str(int(value)) if isinstance(value, bool) else str(value)
    if kind is bool and text in ("0", "1"):
        return text == "1"
    try:
        if kind is not bool:
            return kind(text)
    except ValueError:
        pass
    wanted = "0 or 1" if kind is bool else f"a value of type {kind.__name__}"
    raise ValueError(f"{what} must be {wanted}, got {value!r}")
