"""What did not change is not computed again, and the same input gives the same content."""

import sqlite3
from contextlib import closing
from pathlib import Path


def test_again_unchanged_computes_nothing_and_ends_the_same(reference, small: Path, sane) -> None:
    before = reference.results
    commits = {p: p.stat().st_mtime_ns for p in reference.store.glob("*/*/manifest.json")}
    done = sane("run", small, cwd=reference.folder)
    assert done.returncode == 0, done.stderr
    assert reference.results == before
    assert {p: p.stat().st_mtime_ns for p in reference.store.glob("*/*/manifest.json")} == commits

    with closing(sqlite3.connect(reference.folder / "mlruns/mlflow.db")) as database:
        runs = database.execute("SELECT COUNT(*) FROM runs").fetchone()
        tags = database.execute("SELECT key FROM tags WHERE key LIKE 'cached.%'").fetchall()
    stages = {*reference.content}
    assert runs == (1 + len(stages) + 1,), "a run each time, and a child per stage made"
    assert {key for (key,) in tags} == {f"cached.digits-cnn.{stage}" for stage in stages}


def test_results_are_flat_and_name_the_reader(reference) -> None:
    results = reference.results
    assert results["windows.reader"] == "ffcv"
    assert {type(value) for value in results.values()} <= {str, int, float}
    digests = {f"digest.{stage}": digest for stage, (digest, _) in reference.content.items()}
    metrics = {k: v for _, values in reference.content.values() for k, v in values.items()}
    assert digests.items() <= results.items()
    assert metrics.keys() <= results.keys()


def test_a_changed_option_computes_only_what_depends_on_it(reference, store, run_all) -> None:
    probe = reference.config.probe.model_copy(update={"lambdas": (5.0,)})
    again = run_all(store, reference.config.model_copy(update={"probe": probe}))
    assert again.made == {"probes", "report"}
    kept = reference.content.keys() - again.made
    assert {stage: again.content[stage] for stage in kept} == {
        stage: reference.content[stage] for stage in kept
    }


def test_the_same_seed_elsewhere_and_by_numpy_gives_the_same_content(
    reference, tmp_path: Path, run_all
) -> None:
    reader = reference.config.windows.model_copy(update={"reader": "numpy"})
    elsewhere = run_all(tmp_path / "store", reference.config.model_copy(update={"windows": reader}))
    assert elsewhere.made == reference.content.keys()
    differing = {"report"}  # it names the reader
    assert {s: c for s, c in elsewhere.content.items() if s not in differing} == {
        s: c for s, c in reference.content.items() if s not in differing
    }


def test_another_seed_gives_other_content_in_every_stage(
    reference, tmp_path: Path, run_all
) -> None:
    config = reference.config.model_copy(update={"seed": 1})
    reader = config.windows.model_copy(update={"reader": "numpy"})
    other = run_all(tmp_path / "store", config.model_copy(update={"windows": reader}))
    same = {
        stage
        for stage, (digest, _) in other.content.items()
        if digest == reference.content[stage][0]
    }
    assert same == set()
