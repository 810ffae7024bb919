"""A store keeps what was committed, whole, and gives it back verified."""

import json
import subprocess
from pathlib import Path

import pytest

from schemas.config.windows import WindowsConfig
from schemas.errors import DamagedArtifact, StoreError
from schemas.records import Artifact, Manifest
from tasks.store import Store
from tasks.store_records import Job, git_revision


def fail(job: Job) -> None:
    (job.folder / "half.parquet").write_bytes(b"half")
    (job.scratch / "epoch-3").write_text("3")
    raise RuntimeError("diverged")


def never(job: Job) -> None:
    pytest.fail("the artifact was there")


def test_what_was_written_is_read_back(any_store: Store, make, key) -> None:
    artifact, cached = make(any_store)
    opened = any_store.open(artifact)
    assert not cached
    assert opened.file("split=train/part-0.parquet").read_bytes() == b"tokens" * 1000
    assert any_store.find("tokens", key) == artifact
    assert artifact.kind == "tokens"


def test_a_second_request_is_served_from_the_store(any_store: Store, make) -> None:
    artifact, _ = make(any_store)
    assert make(any_store, never) == (artifact, True)


def test_the_manifest_records_where_an_artifact_came_from(any_store: Store, make, key) -> None:
    upstream, _ = make(any_store)
    with any_store.stage(
        "windows",
        key,
        kind="beton",
        config=WindowsConfig(length=48),
        inputs={"tokens": upstream},
        seed=7,
    ) as job:
        (job.folder / "w.beton").write_bytes(b"w")
        job.metrics["loss"] = float("nan")
        job.facts["reader"] = "numpy"
    manifest = any_store.manifest(job.artifact)
    assert manifest.inputs == {"tokens": upstream}
    assert manifest.config["length"] == 48
    assert (manifest.seed, manifest.kind, manifest.facts) == (7, "beton", {"reader": "numpy"})
    assert manifest.metrics["loss"] != manifest.metrics["loss"]
    assert {"python", "torch", "numpy", "pyarrow"} <= manifest.versions.keys()
    assert manifest.files["w.beton"].size == 1


def test_the_same_files_have_the_same_digest_in_any_store(store: Store, remote: Store, make):
    assert make(store)[0].digest == make(remote)[0].digest


@pytest.mark.parametrize(("name", "text"), [("a", b"2"), ("b", b"1")])
def test_another_name_or_content_has_another_digest(tmp_path: Path, make, name, text) -> None:
    one, _ = make(Store(tmp_path / "one"), lambda job: (job.folder / "a").write_bytes(b"1"))
    two, _ = make(Store(tmp_path / "two"), lambda job: (job.folder / name).write_bytes(text))
    assert one.digest != two.digest


def test_a_failed_stage_commits_nothing_and_keeps_its_scratch(any_store: Store, make, key) -> None:
    with pytest.raises(RuntimeError, match="diverged"):
        make(any_store, fail)
    assert any_store.find("tokens", key) is None

    def resume(job: Job) -> None:
        assert [*job.folder.iterdir()] == []
        (job.folder / "model").write_text((job.scratch / "epoch-3").read_text())

    artifact, _ = make(any_store, resume)
    assert any_store.open(artifact).file("model").read_text() == "3"
    assert not (any_store._local / ".work" / f"tokens-{key}").exists()


def test_what_a_discarded_attempt_left_is_gone(any_store: Store, make, key) -> None:
    with pytest.raises(RuntimeError, match="diverged"):
        make(any_store, fail)
    assert (any_store._local / ".work" / f"tokens-{key}" / "scratch").exists()
    any_store.discard("tokens", key)
    assert not (any_store._local / ".work" / f"tokens-{key}").exists()


def test_a_stage_that_writes_nothing_is_refused(any_store: Store, make) -> None:
    with pytest.raises(ValueError, match="stage tokens wrote no data file"):
        make(any_store, lambda job: None)


@pytest.mark.parametrize("name", ["manifest.json", "prefect-result", "a\\b", "new\nline"])
def test_names_that_the_store_keeps_are_refused(store: Store, make, name: str) -> None:
    with pytest.raises(ValueError, match="a data file cannot be called"):
        make(store, lambda job: (job.folder / name).write_text("x"))


def test_links_are_refused(store: Store, make) -> None:
    with pytest.raises(ValueError, match="plain files only, got passwd"):
        make(store, lambda job: (job.folder / "passwd").symlink_to("/etc/passwd"))


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".work"])
def test_stage_names_cannot_lead_out_of_the_store(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match="stage and key must match"):
        store.find(name, "k")
    with pytest.raises(StoreError, match="URI ends in <stage>/<key>"):
        store.open(Artifact(uri=f"/s/{name}/..", digest="d", kind="k"))


def test_a_moved_store_still_opens_its_artifacts(store: Store, make, tmp_path: Path) -> None:
    artifact, _ = make(store)
    (tmp_path / "store").rename(tmp_path / "moved")
    opened = Store(tmp_path / "moved").open(artifact)
    assert opened.folder.is_relative_to(tmp_path / "moved")


def test_the_orchestrators_result_is_no_part_of_the_artifact(store: Store, make, key) -> None:
    artifact, _ = make(store)
    place = store.result_key("tokens", key)
    assert place == f"tokens/{key}/prefect-result"
    (Path(store.uri) / place).write_text("{}")
    assert store.find("tokens", key) == artifact
    assert store.open(artifact).artifact == artifact


def test_a_stray_file_is_named_and_costs_nothing(store: Store, make, key) -> None:
    artifact, _ = make(store)
    stray = Path(artifact.uri) / "split=train" / "part-9.parquet"
    stray.write_bytes(b"?")
    with pytest.raises(StoreError, match=r"split=train/part-9\.parquet is not in the manifest"):
        store.open(artifact)
    stray.unlink()
    assert store.open(artifact)


def test_a_file_that_is_not_there_is_named(store: Store, make) -> None:
    with pytest.raises(KeyError, match=r"has no file model\.safetensors, only"):
        store.open(make(store)[0]).file("model.safetensors")


def test_each_file_is_hashed_once_per_process(store: Store, make, monkeypatch) -> None:
    artifact, _ = make(store)
    store.open(artifact)
    monkeypatch.setattr("tasks.store_files._hash", never)
    assert store.open(artifact)


def test_a_file_url_is_a_local_store(tmp_path: Path, make) -> None:
    artifact, _ = make(Store(f"file://{tmp_path}/s"))
    assert Path(artifact.uri).is_dir()


@pytest.mark.parametrize("below", ["file", "file/below"])
def test_a_store_that_is_a_file_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"store .*file.* cannot be written \(.*\): choose") as got:
        Store(tmp_path / below).check_writable()
    assert got.value.exit_code == 2


def test_an_unwritable_place_is_refused() -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        Store("/proc/sane-store").check_writable()


def test_an_unknown_kind_of_storage_is_refused() -> None:
    with pytest.raises(StoreError, match="store nowhere://x cannot be reached"):
        Store("nowhere://x")


def test_a_writable_store_is_left_empty(any_store: Store) -> None:
    any_store.check_writable()
    if Path(any_store.uri).is_dir():
        assert [*Path(any_store.uri).iterdir()] == []


def test_the_git_revision_is_that_of_the_checkout(tmp_path: Path) -> None:
    assert git_revision(tmp_path) is None
    run = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run([*run, "init", "-q"], cwd=tmp_path, check=True)
    git_revision.cache_clear()
    assert git_revision(tmp_path) is None
    subprocess.run([*run, "commit", "-q", "--allow-empty", "-m", "x"], cwd=tmp_path, check=True)
    git_revision.cache_clear()
    assert len(git_revision(tmp_path) or "") == 40


def test_the_manifest_is_plain_json(store: Store, make) -> None:
    artifact, _ = make(store)
    text = (Path(artifact.uri) / "manifest.json").read_text()
    assert Manifest.model_validate_json(text).digest == json.loads(text)["digest"]


def test_a_manifest_of_other_content_is_damage(store: Store, make) -> None:
    artifact, _ = make(store)
    other = artifact.model_copy(update={"digest": "0" * 64})
    with pytest.raises(DamagedArtifact, match=r"manifest\.json has digest .* expected 0000"):
        store.manifest(other)
