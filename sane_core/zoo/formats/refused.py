"""Why a file cannot be used, in words that are safe to show.

Text out of a file reaches a message through `printable` only: no newline, no terminal escape.
"""

RESAVE = (
    "Where the file is trusted, save it again with torch.save(model.state_dict(), path) "
    "or convert it to safetensors"
)
FETCH_AGAIN = "Copy or download the file again"


class Refused(Exception):
    """A file cannot be used; nothing in it was run."""

    def __init__(self, reason: str, remedy: str, *, incomplete: bool = False) -> None:
        """Keep the reason and the remedy, made printable.

        Args:
            reason: What must hold and what was found, one sentence.
            remedy: What to do, one sentence.
            incomplete: True where the file looks like the first part of a good one.
        """
        self.reason = printable(reason, 600)
        self.remedy = printable(remedy, 600)
        self.incomplete = incomplete
        super().__init__(self.reason, self.remedy)  # so that it can cross processes

    def __str__(self) -> str:
        return f"{self.reason}. {self.remedy}."


def printable(text: str, limit: int = 200) -> str:
    """Return text that no terminal, log or table misreads.

    Args:
        text: Anything, lone surrogates included.
        limit: Characters kept at most.

    Returns:
        `text` with newlines, control, escape and bidirectional characters written as escapes, cut
        to `limit` characters (the last one is then "…").
    """
    head = text[: limit + 1]
    if not head.isprintable():
        head = "".join(
            c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in head
        )
    return head if len(head) <= limit else head[: limit - 1] + "…"


def is_plain_name(name: object, limit: int) -> bool:
    """Say whether a name from a file can be used as it is, in tables and messages.

    Args:
        name: Name found in a file, of any type.
        limit: Characters a name may have.
    """
    return isinstance(name, str) and 0 < len(name) <= limit and name.isprintable()
