"""Read run, epoch and properties off file names.

A pattern is literal text, `{field}` (one or more characters but `/`, `{epoch}` digits only) and `*`
(anything but `/`). Matching takes at most parts x length² steps, whatever the name.
"""

import re

from schemas.errors import UserError


class NamePattern:
    """A form of file names, with fields."""

    def __init__(self, text: str):
        """Read a pattern.

        Raises:
            UserError: If fields follow each other without text between, or a name comes twice.
        """
        self.text = text
        self.parts = [part for part in re.split(r"(\{\w+\}|\*)", text) if part]
        fields = [part for part in self.parts if _is_field(part)]
        touching = any(
            _is_open(a) and _is_open(b) for a, b in zip(self.parts, self.parts[1:], strict=False)
        )
        if touching or len(set(fields)) < len(fields) or re.search(r"[{}]", self._literals()):
            raise UserError(
                "a pattern must be text with {fields} of different names and text between them, "
                f"as resnet_{{run}}_epoch{{epoch}}.pt, got {text!r}"
            )

    def match(self, name: str) -> dict[str, str] | None:
        """Return field -> text, the first fields as long as they can be, or None."""
        if "/" not in self.text:
            name = name.rpartition("/")[2]
        return self._match(name, 0, 0, set())

    def _match(
        self, name: str, part: int, start: int, failed: set[tuple[int, int]]
    ) -> dict[str, str] | None:
        if part == len(self.parts):
            return {} if start == len(name) else None
        if (part, start) in failed:
            return None
        text = self.parts[part]
        for end in _ends(text, name, start):
            rest = self._match(name, part + 1, end, failed)
            if rest is not None:
                return ({text[1:-1]: name[start:end]} if _is_field(text) else {}) | rest
        failed.add((part, start))
        return None

    def _literals(self) -> str:
        return "".join(part for part in self.parts if not _is_open(part))


def _is_field(part: str) -> bool:
    return part.startswith("{") and part.endswith("}") and len(part) > 2


def _is_open(part: str) -> bool:
    return part == "*" or _is_field(part)


def _ends(part: str, name: str, start: int) -> range | list[int]:
    """Return where a part that starts here may end, the longest first."""
    if not _is_open(part):
        return [start + len(part)] if name.startswith(part, start) else []
    end = start
    while end < len(name) and _may_hold(part, name[end]):
        end += 1
    return range(end, start - (part == "*"), -1)


def _may_hold(part: str, character: str) -> bool:
    if part == "{epoch}":
        return character.isascii() and character.isdecimal()
    return character != "/"
