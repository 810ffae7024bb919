"""The tables of sampled networks on a run's page: those of `sane report`, of one outcome."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sane_core.reporting.beside import generated, transferred
from sane_core.reporting.beside.catalogue import listed
from sane_core.reporting.beside.collect import tables_of
from sane_core.reporting.beside.outcome import Outcome, Subject, target_of
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


def of_transfer(folder: Path, config: Mapping[str, Any], zoo: Subject) -> Table:
    """Return the table of one target: Table 5 or one of 13 to 17.

    Args:
        folder: Of the stage `transfer_learning`.
        config: Its configuration.
        zoo: What SANE was trained on.
    """
    facts = json.loads((folder / "target.json").read_text(encoding="utf-8"))
    onto = target_of(config, facts)
    outcome = Outcome("transfer_learning", zoo, folder, config, onto=onto, facts=facts)
    (table,) = tables_of(listed(transferred.table_of(outcome)), [outcome])
    return table
