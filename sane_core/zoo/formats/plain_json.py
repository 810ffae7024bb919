"""JSON from strangers: bounded in size and depth, without duplicate keys.

The depth is counted before the parser sees the text, so deep nesting costs one pass and no stack.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from sane_core.zoo.formats.refused import FETCH_AGAIN, Refused, printable
from sane_core.zoo.formats.whole_file import read_file

# A string that never ends is one token too: each byte is looked at once, whatever the text.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
_REMEDY = "Write the file again as plain JSON"


@dataclass(frozen=True)
class Lines:
    """The values of a JSON lines file."""

    values: list[Any]
    """A value per line."""
    half_written: bool
    """True where the last line is cut off; it is not among the values."""


def read_json(source: Path | bytes, limit_bytes: int = 16 * 2**20, limit_depth: int = 64) -> Any:
    """Return the value of a JSON text.

    Args:
        source: File, or the text in UTF-8.
        limit_bytes: Bytes the text may have.
        limit_depth: Levels its lists and objects may be nested.

    Returns:
        Dictionaries, lists, texts, numbers (`NaN` and `Infinity` included), booleans and None.

    Raises:
        Refused: If it is too large, too deep, repeats a key or is not JSON.
        OSError: If the file cannot be read.
    """
    text = read_file(source, limit_bytes) if isinstance(source, Path) else source
    if len(text) > limit_bytes:
        raise Refused(f"JSON must have at most {limit_bytes} bytes, got {len(text)}", _REMEDY)
    _check_depth(text, limit_depth)
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise Refused(f"the text must be JSON, got: {printable(str(error))}", _REMEDY) from None


def read_json_lines(
    source: Path | bytes, limit_bytes: int = 64 * 2**20, limit_depth: int = 64
) -> Lines:
    """Return the values of a file with one JSON text per line; empty lines are skipped.

    Args:
        source: File, or its bytes.
        limit_bytes: Bytes all lines may have together.
        limit_depth: Levels each line may be nested.

    Returns:
        The values, and whether the last line is half-written: it has no newline and is no whole
        object or list.

    Raises:
        Refused: If it is too large or another line is not JSON; the message says which.
        OSError: If the file cannot be read.
    """
    text = read_file(source, limit_bytes) if isinstance(source, Path) else source
    if len(text) > limit_bytes:
        raise Refused(f"JSON lines must have at most {limit_bytes} bytes, got {len(text)}", _REMEDY)
    *lines, last = text.split(b"\n")
    values = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                values.append(read_json(line, limit_bytes, limit_depth))
            except Refused as refused:
                raise Refused(f"line {number}: {refused.reason}", FETCH_AGAIN) from None
    if not last.strip():
        return Lines(values, half_written=False)
    try:
        value = read_json(last, limit_bytes, limit_depth)
    except Refused:
        return Lines(values, half_written=True)
    # 12 may be the start of 123; an object that ends is whole.
    if not isinstance(value, dict | list):
        return Lines(values, half_written=True)
    return Lines([*values, value], half_written=False)


def _check_depth(text: bytes, limit: int) -> None:
    """Refuse a text nested deeper than `limit`; brackets inside strings do not count."""
    depth = 0
    for token in _TOKEN.finditer(text):
        first = token[0][0]
        if first in b"[{":
            depth += 1
            if depth > limit:
                raise Refused(f"JSON must be nested at most {limit} levels, got more", _REMEDY)
        elif first in b"]}":
            depth -= 1


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object whose keys differ; readers disagree on which of two equal keys counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = max(Counter(key for key, _ in pairs).items(), key=itemgetter(1))[0]
        raise ValueError(f"the key {twice!r} stands there twice")
    return found
