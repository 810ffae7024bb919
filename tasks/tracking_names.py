"""What MLflow takes: flat parameters, plain names, texts of bounded length, finite metrics.

Two names stay two names: one that had to be changed ends in a hash of what it was.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

LONGEST_NAME = 250
LONGEST_PARAMETER = 6000
LONGEST_TAG = 8000
_FORBIDDEN = re.compile(r"[^\w.\- :/]")


def tidy_name(name: str) -> str:
    """Return a name that MLflow accepts; a good one is returned as it is."""
    parts = _FORBIDDEN.sub("_", name).split("/")
    tidy = "/".join(part for part in parts if part not in {"", ".", ".."})
    if name and tidy == name and len(name) <= LONGEST_NAME:
        return name
    ending = "-" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return tidy[: LONGEST_NAME - len(ending)] + ending


def clip(text: str, longest: int) -> str:
    """Return a text of at most so many characters; a clipped one ends in an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def flat_parameters(config: BaseModel | Mapping[str, object]) -> dict[str, str]:
    """Return a nested configuration as dotted names and texts.

    Lists of sections count through, `zoos.0.members`; other lists are one JSON text.
    """
    leaves = _leaves(to_jsonable_python(config)) if config else ()
    return {tidy_name(".".join(path)): clip(text, LONGEST_PARAMETER) for path, text in leaves}


def flat_tags(tags: Mapping[str, object]) -> dict[str, str]:
    """Return tags with names and texts that MLflow accepts; those without a value are left out."""
    return {
        tidy_name(name): clip(str(value), LONGEST_TAG)
        for name, value in tags.items()
        if value not in (None, "")
    }


def split_metrics(metrics: Mapping[str, float]) -> tuple[dict[str, float], dict[str, str]]:
    """Return the finite metrics, and a tag for each of the others.

    MLflow's databases hold no infinity (it becomes 1.8e308) and its charts break on NaN.
    """
    finite: dict[str, float] = {}
    tags: dict[str, str] = {}
    for name, value in metrics.items():
        if math.isfinite(value):
            finite[tidy_name(name)] = float(value)
        else:
            tags[f"not_finite.{name}"] = str(value)
    return finite, flat_tags(tags)


def _leaves(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    match value:
        case {**section} if section:
            for name, inner in section.items():
                yield from _leaves(inner, (*path, str(name)))
        case [*entries] if any(isinstance(entry, dict) for entry in entries):
            for number, inner in enumerate(entries):
                yield from _leaves(inner, (*path, str(number)))
        case str(text):
            yield path, text
        case _:
            yield path, json.dumps(value)
