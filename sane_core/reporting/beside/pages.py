"""The tables of sampled networks on a run's page: those of `sane report`, of one outcome."""

from sane_core.reporting.beside import generated
from sane_core.reporting.beside.catalogue import listed
from sane_core.reporting.beside.collect import tables_of
from sane_core.reporting.beside.outcome import Outcome
from sane_core.reporting.table import Table


def of_generation(outcome: Outcome) -> dict[str, Table]:
    """Return the tables by name: accuracy (Table 3 or 4), ensembles and table7 if there are rows.

    Args:
        outcome: Of the stage `generation`.
    """
    tables = tables_of(listed(generated.table_of(outcome)), [outcome])
    found = dict(zip(("accuracy", "ensembles"), tables, strict=False))
    if generated.fits(outcome, "table7"):
        (found["table7"],) = tables_of(listed("table7"), [outcome])
    return found
