"""Which architecture a checkpoint is of, by the names and shapes of its entries.

Equal shapes are matched once, so that it costs nothing for the other checkpoints of a zoo.
"""

from collections.abc import Mapping

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.mismatch import describe_mismatch
from sane_core.architectures.registry import architecture_named, match_shapes
from sane_core.zoo.formats.refused import Refused
from schemas.errors import UserError

Signature = tuple[str | None, tuple[tuple[str, tuple[int, ...]], ...]]
_NAMED = 4
"""Entries that a message names."""


class Matcher:
    """Finds the architectures of one zoo."""

    def __init__(self, name: str | None, mixed: bool) -> None:
        """Say what is allowed.

        Args:
            name: The architecture that every checkpoint must be of; None: found by shapes.
            mixed: Whether a zoo may have several.

        Raises:
            UserError: If there is no such architecture.
        """
        self._mixed = mixed
        self._known: dict[Signature, str | Refused] = {}
        self._first: str | None = None
        self._given: Architecture | None = None
        if name is not None:
            try:
                self._given = architecture_named(name)
                self._given.shapes()
            except (ValueError, TypeError, RuntimeError) as error:
                raise UserError(str(error)) from error

    def match(self, shapes: Mapping[str, tuple[int, ...]], hint: str | None = None) -> str:
        """Return the name of a checkpoint's architecture.

        Args:
            shapes: Entry -> shape, buffers included.
            hint: What its source calls it; taken where it is a registered architecture that fits,
                for shapes do not tell everything. A factory is never imported on a source's word.

        Raises:
            Refused: If it has none, or another than the zoo.
        """
        signature = (hint, tuple(sorted(shapes.items())))
        if signature not in self._known:
            try:
                self._known[signature] = self._name(dict(shapes), hint)
            except Refused as refused:
                self._known[signature] = refused
        found = self._known[signature]
        if isinstance(found, Refused):
            raise found
        self._first = self._first or found
        if found != self._first and not self._mixed:
            raise Refused(
                f"every network of a zoo must be of one architecture, got {found} in a zoo of "
                f"{self._first}",
                "ingest each architecture as a zoo of its own, or allow several (mixed)",
            )
        return found

    def _name(self, shapes: dict[str, tuple[int, ...]], hint: str | None) -> str:
        if self._given is not None:
            mismatch = describe_mismatch(shapes, self._given)
            if mismatch:
                raise Refused(mismatch, "name the architecture that it is of (architecture)")
            return self._given.name
        found = _hinted(shapes, hint) or match_shapes(shapes)
        if found is None:
            listed = ", ".join(f"{name} {list(shapes[name])}" for name in list(shapes)[:_NAMED])
            more = ", …" if len(shapes) > _NAMED else ""
            raise Refused(
                f"names and shapes must be those of a registered architecture, got {listed}{more}",
                "name it (architecture), as package.module:factory if it is your own",
            )
        return found.name


def _hinted(shapes: dict[str, tuple[int, ...]], hint: str | None) -> Architecture | None:
    if hint is None or ":" in hint:
        return None
    try:
        meant = architecture_named(hint)
        return None if describe_mismatch(shapes, meant) else meant
    except (ValueError, TypeError, RuntimeError):  # no architecture, or one that cannot be
        return None
