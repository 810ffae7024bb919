"""A damaged artifact is named, un-committed, and healed by the same command."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from schemas.errors import DamagedArtifact
from schemas.records import FileEntry
from tasks.store import Store
from tasks.store_files import content_digest

PART = "split=train/part-0.parquet"
HEAL = "; run the same command again: the stage will be rebuilt"


def flip(path: Path) -> None:
    path.write_bytes(b"T" + path.read_bytes()[1:])


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:10])


@pytest.mark.parametrize(
    ("damage", "name", "message", "still_found"),
    [
        (flip, PART, f"{PART} was altered: its SHA-256 is not the manifest's", True),
        (truncate, PART, f"{PART} has 10 bytes, its manifest says 6000", False),
        (Path.unlink, PART, f"{PART} is missing", False),
        (Path.unlink, "manifest.json", "manifest.json is missing", False),
        (truncate, "manifest.json", "manifest.json cannot be read", False),
    ],
)
def test_local_damage_is_named_and_healed(
    store: Store, make, key, damage: Callable[[Path], object], name, message, still_found
) -> None:
    artifact, _ = make(store)
    store.open(artifact)
    folder = Path(artifact.uri)
    (folder / "prefect-result").write_text("{}")
    damage(folder / name)
    assert (store.find("tokens", key) is not None) is still_found

    with pytest.raises(DamagedArtifact, match=re.escape(f"{artifact.uri}: {message}{HEAL}")):
        store.open(artifact)
    assert store.find("tokens", key) is None
    assert not (folder / "manifest.json").exists()
    assert not (folder / "prefect-result").exists()

    assert make(store) == (artifact, False)
    assert store.open(artifact).file(PART).read_bytes() == b"tokens" * 1000


def test_a_link_out_of_the_store_is_damage(store: Store, make, tmp_path: Path) -> None:
    artifact, _ = make(store)
    path = Path(artifact.uri) / PART
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(DamagedArtifact, match="part-0.parquet is missing"):
        store.open(artifact)


def test_a_file_altered_after_it_was_verified_is_noticed(store: Store, make) -> None:
    artifact, _ = make(store)
    path = store.open(artifact).file(PART)
    flip(path)
    with pytest.raises(DamagedArtifact, match="was altered"):
        store.open(artifact)


@pytest.mark.parametrize("name", ["../../escape", "/etc/passwd", "a/../../b", "a//b", "C:/x", "."])
def test_a_manifest_that_leads_out_of_its_folder_is_damage(
    any_store: Store, make, name: str
) -> None:
    artifact, _ = make(any_store)
    files = fsspec.filesystem("memory" if "://" in artifact.uri else "file")
    manifest = json.loads(files.cat_file(f"{artifact.uri}/manifest.json"))
    manifest["files"] = {name: {"sha256": "0" * 64, "size": 1}}
    manifest["digest"] = content_digest({name: FileEntry(sha256="0" * 64, size=1)})
    files.pipe_file(f"{artifact.uri}/manifest.json", json.dumps(manifest).encode())
    forged = artifact.model_copy(update={"digest": manifest["digest"]})
    with pytest.raises(DamagedArtifact, match="which is no name of a data file"):
        any_store.open(forged)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("files", {}, "manifest.json was altered: its digest is not that of its files"),
        ("digest", "0" * 64, "manifest.json was altered: its digest is not that of its files"),
        ("key", "other", "manifest.json is that of tokens/other"),
        ("seed", "none", "manifest.json cannot be read"),
    ],
)
def test_an_altered_manifest_is_damage(store: Store, make, field, value, message) -> None:
    artifact, _ = make(store)
    path = Path(artifact.uri) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(DamagedArtifact, match=re.escape(message)):
        store.open(artifact)


def test_damage_in_a_store_that_cannot_be_written_says_what_to_delete(
    store: Store, make, monkeypatch
) -> None:
    artifact, _ = make(store)
    (Path(artifact.uri) / PART).unlink()

    def refuse(self, place):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tasks.store_folders.LocalFolders.withdraw", refuse)
    with pytest.raises(DamagedArtifact, match=re.escape(f"delete {artifact.uri} (it could not")):
        store.open(artifact)


@pytest.mark.parametrize("content", [b"tokenz" * 1000, b"short", None])
def test_remote_damage_is_named_and_healed(remote: Store, make, key, content) -> None:
    artifact, _ = make(remote)
    files = fsspec.filesystem("memory")
    place = f"{artifact.uri}/{PART}"
    files.pipe_file(place, content) if content else files.rm_file(place)
    files.pipe_file(f"{artifact.uri}/prefect-result", b"{}")
    with pytest.raises(DamagedArtifact, match=f"{PART} (is missing|has 5 bytes|was altered)"):
        remote.open(artifact)
    assert not files.exists(f"{artifact.uri}/manifest.json")
    assert not files.exists(f"{artifact.uri}/prefect-result")
    assert make(remote) == (artifact, False)
    assert remote.open(artifact)


def test_a_damaged_local_copy_is_fetched_again(remote: Store, make) -> None:
    artifact, _ = make(remote)
    path = remote.open(artifact).file(PART)
    flip(path)
    assert remote.open(artifact).file(PART).read_bytes() == b"tokens" * 1000
