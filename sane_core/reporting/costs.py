"""What a run cost, as a table: it stands on the page, never in a cached artifact."""

from collections.abc import Sequence
from dataclasses import dataclass

from sane_core.reporting.table import Table


@dataclass(frozen=True)
class StageCost:
    """What a stage cost.

    Attributes:
        zoo: Name of the zoo it worked on.
        stage: Name of the stage.
        seconds: Time it took to compute, whenever that was.
        cached: Whether this run took it from the store.
    """

    zoo: str
    stage: str
    seconds: float
    cached: bool


def costs_table(costs: Sequence[StageCost]) -> Table:
    """Show what every stage cost, and the sum."""
    rows = [
        (cost.zoo, cost.stage, f"{cost.seconds:.1f}", "yes" if cost.cached else "no")
        for cost in costs
    ]
    total = sum(cost.seconds for cost in costs)
    fresh = sum(cost.seconds for cost in costs if not cost.cached)
    return Table(
        "What each stage cost",
        ("zoo", "stage", "seconds", "cached"),
        (*rows, ("all", "in this run", f"{fresh:.1f}", "no"), ("all", "ever", f"{total:.1f}", "–")),
        ("Seconds are those of computing the stage, also where this run took it from the store.",),
    )
