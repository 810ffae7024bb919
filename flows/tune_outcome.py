"""What a search leaves: the best configuration, ready to run, and a page of what was tried."""

from pathlib import Path

import yaml

from flows.tune_configuration import Search
from sane_core.reporting.study import FEWEST, StudyPage, TriedTrial, write_study_page
from schemas.errors import SaneError
from tasks.report_folder import naming_the_folder
from tasks.study import Study
from tasks.study_trials import TrialRecord

BEST_FILE = "best.yaml"


def publish(search: Search, study: Study) -> TrialRecord:
    """Write `best.yaml` and `study.html` into the study's folder; return the best trial.

    Raises:
        SaneError: No trial is complete.
        UserError: The folder cannot be written.
    """
    records, best = study.records(), study.best()
    if best is None:
        notes = [record.note for record in records if record.note]
        why = f", the last one because {notes[-1]}" if notes else ""
        raise SaneError(
            f"study {study.name} has no complete trial of {len(records)}{why}; give it more trials"
        )
    complete = sum(record.state == "complete" for record in records)
    page = StudyPage(
        name=study.name,
        objective=search.config.objective,
        maximize=search.config.target is not None,
        trials=[
            TriedTrial(r.number, r.state, r.value, r.params)
            for r in records
            if r.state not in ("waiting", "interrupted")
        ],
        importances=study.importances() if complete >= FEWEST else {},
    )
    with naming_the_folder(search.out):
        search.out.mkdir(parents=True, exist_ok=True)
        write_best(search.out / BEST_FILE, search, best)
        write_study_page(search.out, page)
    return best


def write_best(file: Path, search: Search, best: TrialRecord) -> None:
    """Write the benchmark with the best values, as a file that `sane run` takes."""
    config = search.space.configuration(best.params).model_dump(mode="json", exclude={"out"})
    config["experiments"] = list(search.written.experiments)
    config["name"] = f"{search.config.study}-best"
    head = (
        f"# Trial {best.number} of study {search.config.study}: "
        f"{search.config.objective} {best.value:.6g}.\n"
    )
    file.write_text(head + yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
