"""What is known of a tensor's axis: its units, how they are composed, and what may not move.

Every axis of every tensor in a network has a `Space`. Operations say that two axes run over the
same units (`unify`), that one lists the units of others (`concat`), or runs over all combinations
of theirs (`product`, the last factor fastest). What was a plain space until then gets this
structure, and so does every axis that shares it. A leaf, a space without structure, whose units no
operation tells apart is a group of units that may be permuted.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from math import prod
from typing import Literal, Self

Kind = Literal["concat", "product"]


class Space:
    """An axis, up to everything that was learned of it; spaces that were unified are one."""

    __slots__ = ("_kind", "_parent", "_parts", "_reason", "_unsigned", "size", "variants")

    def __init__(self, size: int, reason: str | None = None) -> None:
        """Make a space that nothing is known of.

        Args:
            size: Its number of units.
            reason: Why its units may not be permuted; None if they may.
        """
        self.size = size
        self._parent: Space | None = None
        self._kind: Kind = "concat"
        self._parts: tuple[Space, ...] = ()
        self._reason = reason
        self._unsigned = False
        self.variants: dict[Space, Sequence[Space]] = {}
        """Other axes of a tensor -> what they are at each unit of this one, if that differs."""

    def find(self) -> "Space":
        """Return the one space that stands for all that were unified with this one."""
        space = self
        while space._parent is not None:
            space = space._parent
        if space is not self:
            self._parent = space
        return space

    @property
    def kind(self) -> Kind | Literal["leaf"]:
        """How it is composed; a leaf is not."""
        space = self.find()
        return space._kind if space._parts else "leaf"

    @property
    def parts(self) -> tuple["Space", ...]:
        """What it is composed of, nested structures of its kind spliced in."""
        space = self.find()
        flat: list[Space] = []
        for part in space._parts:
            flat += part.parts if part.kind == space._kind else (part.find(),)
        return tuple(flat)

    @property
    def reason(self) -> str | None:
        """Why a leaf may not be permuted."""
        return self.find()._reason

    @property
    def unsigned(self) -> bool:
        """Whether some operation on a leaf is not odd, so that its signs must stay."""
        return self.find()._unsigned

    def leaves(self) -> Iterator["Space"]:
        """Yield the leaves it is composed of; one may come several times."""
        if self.kind == "leaf":
            yield self.find()
        for part in self.parts:
            yield from part.leaves()

    def fix(self, reason: str) -> Self:
        """Forbid permutations of all its leaves; the first reason given stays."""
        for leaf in self.leaves():
            leaf._reason = leaf._reason or reason
        return self

    def unsign(self) -> Self:
        """Forbid flipped signs of all its leaves."""
        for leaf in self.leaves():
            leaf._unsigned = True
        return self

    def _become(self, other: "Space") -> None:
        """Give what is known of this one to another and be that one from now on."""
        if self._reason:
            other.fix(self._reason)
        if self._unsigned:
            other.unsign()
        self._parent = other

    def _compose(self, kind: Kind, parts: Sequence["Space"]) -> None:
        for part in parts:
            if self._reason:
                part.fix(self._reason)
            if self._unsigned:
                part.unsign()
        self._kind, self._parts = kind, tuple(parts)


def concat(parts: Sequence[Space]) -> Space:
    """Return the axis that lists the units of the parts one after another."""
    return _composed("concat", [part for part in parts if part.size], sum(p.size for p in parts))


def product(factors: Sequence[Space]) -> Space:
    """Return the axis over all combinations of units, those of the last factor fastest."""
    return _composed("product", [f for f in factors if f.size != 1], prod(f.size for f in factors))


def unify(a: Space, b: Space) -> None:
    """Say that two axes run over the same units in the same order.

    Where their structures do not fit each other, what cannot be reconciled is fixed.

    Raises:
        ValueError: If their sizes differ.
    """
    a, b = a.find(), b.find()
    if a is b:
        return
    if a.size != b.size:
        raise ValueError(f"axes over the same units must be equally long, got {a.size}, {b.size}")
    kinds = (a.kind, b.kind)
    if "leaf" in kinds:
        leaf, other = (a, b) if kinds[0] == "leaf" else (b, a)
        leaf._become(other)
        return
    if kinds == ("product", "product"):
        _unify_products(a, b)
    else:
        for space in (a, b):
            if space.kind == "product":
                _enumerate(space)
        _unify_concats(a, b)
    a._parent = b


def _composed(kind: Kind, parts: Sequence[Space], size: int) -> Space:
    if len(parts) == 1:
        return parts[0].find()
    space = Space(size)
    if parts and size:
        space._compose(kind, parts)
    return space


def _enumerate(space: Space) -> None:
    """Tell the units of a product's outermost factor apart: it is a concatenation then."""
    outer, *inner = space.parts
    outer.fix("its units are told apart by what is concatenated")
    space._kind, space._parts = "concat", (product(inner),) * outer.size


def _unify_concats(a: Space, b: Space) -> None:
    left, right = deque(a.parts), deque(b.parts)
    while left:
        x, y = left.popleft(), right.popleft()
        if x.size != y.size:
            smaller = min(x.size, y.size)
            x, *rest_of_x = _cut(x, smaller)
            y, *rest_of_y = _cut(y, smaller)
            left.extendleft(reversed(rest_of_x))
            right.extendleft(reversed(rest_of_y))
        unify(x, y)


def _cut(space: Space, at: int) -> list[Space]:
    """Cut a space into two that are its concatenation; only one if there is nothing to cut."""
    if at == space.size:
        return [space]
    if space.kind == "leaf":
        halves = [Space(at), Space(space.size - at)]
        space.find()._compose("concat", halves)
        return halves
    if space.kind == "product":
        _enumerate(space.find())
    head: list[Space] = []
    tail = deque(space.parts)
    while at:
        part = tail.popleft()
        if part.size > at:
            part, rest = _cut(part, at)
            tail.appendleft(rest)
        head.append(part)
        at -= part.size
    return [concat(head), concat(tail)]


def _unify_products(a: Space, b: Space) -> None:
    left, right = deque(a.parts), deque(b.parts)
    while left and right:
        x, y = left.popleft(), right.popleft()
        if x.size == y.size:
            unify(x, y)
            continue
        larger, smaller, rest = (x, y, left) if x.size > y.size else (y, x, right)
        if larger.size % smaller.size:
            for space in (x, y, *left, *right):
                space.fix("it is reshaped across its units")
            return
        inner = Space(larger.size // smaller.size)
        unify(larger, product([smaller, inner]))
        rest.appendleft(inner)
