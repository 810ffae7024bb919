"""Turn pydantic's report on a `BenchmarkConfig` into one sentence in the words of the house.

`pretrain.epochs must be >= 1, got 0` instead of four lines and a link.
"""

import difflib
from collections.abc import Iterable

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.config.benchmark import BenchmarkConfig

_RULES = {
    "greater_than": "be > {gt}",
    "greater_than_equal": "be >= {ge}",
    "less_than": "be < {lt}",
    "less_than_equal": "be <= {le}",
    "multiple_of": "be a multiple of {multiple_of}",
    "finite_number": "be a finite number",
    "literal_error": "be {expected}",
    "string_pattern_mismatch": "match the pattern {pattern}",
    "too_short": "have length >= {min_length}",
    "too_long": "have length <= {max_length}",
}
_KINDS = {
    "int": "be a whole number",
    "float": "be a number",
    "bool": "be true or false",
    "string": "be text",
    "tuple": "be a list",
    "list": "be a list",
    "model": "be a mapping of keys to values",
    "dict": "be a mapping of keys to values",
}


def sentence_for(error: ValidationError) -> str:
    """Return what is wrong, for the first error; a misspelt key comes before what it leaves out."""
    details = sorted(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
    return _sentence(details[0])


def suggest(step: str, valid: Iterable[str], above: tuple[str, ...]) -> str:
    """Return, in brackets, where this key exists, or else the nearest, or else the valid keys."""
    known = list(valid)
    meant = [key for key in _all_keys(_defaults()) if key.split(".")[-1] == step]
    meant = meant or [
        ".".join((*above, key)) for key in difflib.get_close_matches(step, known, n=1)
    ]
    if meant:
        return f" (did you mean {' or '.join(meant)}?)"
    return f" (valid keys: {', '.join(known)})" if known else ""


def _sentence(detail: ErrorDetails) -> str:
    path = tuple(str(step) for step in detail["loc"] if not _is_alternative(step))
    key = ".".join(path)
    if detail["type"] == "extra_forbidden":
        *above, step = path
        return f"unknown key {key}{suggest(step, _keys_at(tuple(above)), tuple(above))}"
    if detail["type"] == "value_error":
        return _under(path, str(detail["ctx"]["error"]))
    if detail["type"] == "invalid_key":
        return f"keys must be text, got {_shown(detail['input'])}"
    if detail["type"] == "missing":
        return f"{key} must be given"
    return f"{key} must {_rule(detail)}, got {_shown(detail['input'])}"


def _is_alternative(step: int | str) -> bool:
    """Return whether a step names one of several kinds that a value may have, and is no key."""
    return isinstance(step, str) and (not step.isidentifier() or step in ("float", "tuple"))


def _rule(detail: ErrorDetails) -> str:
    """Return what must hold, as the words after "must"."""
    if detail["type"] in _RULES:
        return _RULES[detail["type"]].format(**detail["ctx"])
    kind = detail["type"].split("_")[0]
    return _KINDS.get(kind, f"be valid ({detail['msg']})")


def _shown(value: object) -> str:
    """Return the value as it is told to the user, cut to a line."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _under(path: tuple[str, ...], message: str) -> str:
    """Return a validator's own message, its first word completed to a full key if it is one."""
    if not path:
        return message
    first = message.split(" ", 1)[0]
    joint = "." if first in _keys_at(path) else ": "
    return ".".join(path) + joint + message


def _defaults() -> dict[str, object]:
    return BenchmarkConfig().model_dump(mode="json")


def _keys_at(path: tuple[str, ...]) -> list[str]:
    """Return the valid keys under `path`; all entries of a list have those of its first."""
    node: object = _defaults()
    for step in path:
        if isinstance(node, list):
            node = node[0] if node else None
        else:
            node = node.get(step) if isinstance(node, dict) else None
    return list(node) if isinstance(node, dict) else []


def _all_keys(node: object, above: str = "") -> list[str]:
    """Return every dotted key under `node`."""
    if isinstance(node, list):
        node = {str(index): entry for index, entry in enumerate(node)}
    if not isinstance(node, dict):
        return []
    keys = []
    for step, entry in node.items():
        keys += [above + step, *_all_keys(entry, f"{above}{step}.")]
    return keys
