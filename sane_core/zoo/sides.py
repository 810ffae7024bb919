"""Which runs must stay on one side of a split: joined pairs, and the groups they make."""

from collections import defaultdict


class Sides:
    """Groups of runs that grow by joining two; every run starts alone."""

    def __init__(self) -> None:
        """Start with every run alone."""
        self._towards: dict[int, int] = {}

    def join(self, run: int, other: int) -> None:
        """Put two runs, and all that is joined with them, on one side."""
        low, high = sorted((self._first(run), self._first(other)))
        if low != high:
            self._towards[high] = low

    def joined(self, run: int, other: int) -> bool:
        """Say whether two runs are on one side."""
        return self._first(run) == self._first(other)

    def groups(self) -> list[frozenset[int]]:
        """Return the groups of two and more runs, by their smallest run."""
        members: dict[int, set[int]] = defaultdict(set)
        for run in self._towards:
            first = self._first(run)
            members[first] |= {first, run}
        return [frozenset(members[first]) for first in sorted(members)]

    def _first(self, run: int) -> int:
        """Return the smallest run of the group."""
        path = []
        while run in self._towards:
            path.append(run)
            run = self._towards[run]
        for passed in path:
            self._towards[passed] = run
        return run
