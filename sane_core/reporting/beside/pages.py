"""The tables of sampled networks on a run's page: those of `sane report`, of one outcome."""

from sane_core.reporting.beside import generated
from sane_core.reporting.beside.catalogue import listed
from sane_core.reporting.beside.collect import table_of
from sane_core.reporting.beside.entries import PERCENT
from sane_core.reporting.beside.layout import beside_table
from sane_core.reporting.beside.outcome import Outcome
from sane_core.reporting.table import Table


def of_generation(outcome: Outcome) -> dict[str, Table]:
    """Return the tables by name: accuracy (Table 3 or 4), table7 and ensembles if there are rows.

    Args:
        outcome: Of the stage `generation`.
    """
    found = {"accuracy": table_of(listed(generated.table_of(outcome)), [outcome])}
    if generated.fits(outcome, "table7"):
        found["table7"] = table_of(listed("table7"), [outcome])
    if ensembles := generated.ensemble_entries(outcome):
        note = "Percent: test accuracy of the mean logits of n networks, ± over draws."
        found["ensembles"] = beside_table(
            "Ensembles of sampled networks", "start", ensembles, PERCENT, (note,)
        )
    return found
