"""Hugging Face folders and repositories.

A function stands for the network, and once, where huggingface_hub is installed, a server here.
"""

import json
import sys
from functools import partial
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from safetensors.torch import save_file

from sane_core.zoo.ingest import source_digest
from sane_core.zoo.readers.huggingface import HuggingFace, licence_of
from sane_core.zoo.readers.reader import ScanOptions
from sane_core.zoo.readers.repository import download_repository
from schemas.config.ingest import IngestConfig
from schemas.errors import SaneError, UserError

README = "---\nlanguage: en\nlicense: MIT\ntags:\n- x\n---\n# A model\nlicense: no\n"


def write_model(folder, zoos, readme=README, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "x"}))
    save_file(zoos.state_dict(seed), folder / "model.safetensors")
    if readme:
        (folder / "README.md").write_text(readme)
    return folder


class Hub:
    """Serves one folder, and notes what was asked for."""

    def __init__(self, folder):
        self.folder, self.asked = folder, []

    def __call__(self, repository, revision, patterns):
        self.asked.append((repository, revision, patterns))
        return self.folder


def test_a_folder_gives_the_model_and_its_licence(tmp_path, take, zoos):
    (row,) = take(write_model(tmp_path / "net-0.5b", zoos)).rows
    assert (row["run_name"], row["licence"]) == ("net-0.5b", "mit")


def test_models_in_subfolders_are_runs(tmp_path, take, zoos):
    for i, name in enumerate(["b", "a", "c"]):
        write_model(tmp_path / "z" / name, zoos, seed=i)
    result = take(tmp_path / "z")
    assert [row["run_name"] for row in result.rows] == ["a", "b", "c"]


def test_licences_that_are_not_accepted_are_quarantined_with_the_reason(tmp_path, take, zoos):
    write_model(tmp_path / "z" / "free", zoos)
    write_model(tmp_path / "z" / "closed", zoos, README.replace("MIT", "other"))
    write_model(tmp_path / "z" / "unknown", zoos, None)
    result = take(tmp_path / "z", licences=("mit",), max_quarantined=1.0)
    assert [row["run_name"] for row in result.rows] == ["free"]
    assert [row["reason"] for row in result.quarantine] == [
        "its licence must be one of mit, got other",
        "its licence must be one of mit, got none",
    ]


def test_a_repository_is_downloaded_at_the_revision_asked_for(tmp_path, take, zoos):
    hub = Hub(write_model(tmp_path / "m", zoos))
    (row,) = take("hf:owner/net@v1.0", reader=HuggingFace(download=hub)).rows
    assert row["run_name"] == "owner/net@v1.0"
    assert {(repository, revision) for repository, revision, _ in hub.asked} == {
        ("owner/net", "v1.0")
    }


def test_no_weights_are_downloaded_under_a_licence_that_is_not_accepted(tmp_path, take, zoos):
    hub = Hub(write_model(tmp_path / "m", zoos))
    with pytest.raises(SaneError, match="its licence must be one of apache-2.0, got mit"):
        take("hf:owner/net", reader=HuggingFace(download=hub), licences=("apache-2.0",))
    assert [patterns for _, _, patterns in hub.asked] == [("README.md",)]


def test_a_repository_id_must_be_one():
    with pytest.raises(UserError, match="must read hf:owner/name"):
        list(HuggingFace(download=Hub(None)).state("hf:../../etc", ScanOptions()))


def test_without_the_library_one_sentence_says_how_to_install_it(take, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match="pip install huggingface_hub"):
        take("hf:owner/net")


def test_the_links_of_a_download_cache_are_followed_within_it(tmp_path, take, zoos):
    cache = tmp_path / "models--owner--net"
    snapshot = write_model(cache / "snapshots" / "abc", zoos)
    (cache / "blobs").mkdir()
    blob = (snapshot / "model.safetensors").rename(cache / "blobs" / "123")
    (snapshot / "model.safetensors").symlink_to(blob)
    assert len(take(snapshot).rows) == 1


def shard(folder, zoos):
    """Write a model of two shards in place of the single file."""
    (folder / "model.safetensors").unlink()
    entries, weight_map = zoos.state_dict(0), {}
    for i, names in enumerate((list(entries)[:3], list(entries)[3:])):
        save_file({name: entries[name] for name in names}, folder / f"model-{i}.safetensors")
        weight_map |= dict.fromkeys(names, f"model-{i}.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    return entries


def test_shards_in_a_download_cache_are_one_model(tmp_path, take, zoos):
    cache = tmp_path / "models--owner--net"
    snapshot = write_model(cache / "snapshots" / "abc", zoos)
    entries = shard(snapshot, zoos)
    (cache / "blobs").mkdir()
    for path in list(snapshot.iterdir()):
        path.symlink_to(path.rename(cache / "blobs" / f"blob-{path.name}"))
    result = take(snapshot)
    assert len(result.rows) == 1
    assert {row["name"] for row in result.weights} == set(entries)


def test_a_shard_that_is_a_link_out_of_the_source_is_not_opened(tmp_path, take, zoos):
    cache = tmp_path / "models--owner--net"
    snapshot = write_model(cache / "snapshots" / "abc", zoos)
    shard(snapshot, zoos)
    path = snapshot / "model-1.safetensors"
    path.symlink_to(path.rename(tmp_path / "secret"))
    index = snapshot / "model.safetensors.index.json"
    index.symlink_to(index.rename(cache / "blob"))
    with pytest.raises(SaneError, match="a link must end inside the source"):
        take(snapshot, max_quarantined=0.9)


def test_a_link_out_of_a_folder_that_is_no_cache_is_not_followed(tmp_path, take, zoos):
    folder = write_model(tmp_path / "m", zoos)
    outside = (folder / "model.safetensors").rename(tmp_path / "secret")
    (folder / "model.safetensors").symlink_to(outside)
    with pytest.raises(SaneError, match="a link must end inside the source"):
        take(folder)


def test_pickled_shards_are_rejected_with_the_way_to_convert_them(tmp_path, take, zoos):
    folder = write_model(tmp_path / "m", zoos)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model-00001-of-00002.bin").write_bytes(b"")
    with pytest.raises(SaneError, match="save_pretrained"):
        take(folder)


@pytest.mark.parametrize(
    "text, licence",
    [
        ("---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        ("---\nlicense:\n- mit\n- x\n---\n", "mit"),
        ("---\nlicense: 'MIT' # yes\n---\n", "mit"),
        ("---\r\nlicence: mit\r\n---\r\n", "mit"),
        ("license: mit\n", None),
        ("---\nother: 1\n---\nlicense: mit\n", None),
        ("---\nlicense: mit\n", None),
    ],
)
def test_the_licence_is_that_of_the_front_matter(tmp_path, text, licence):
    (tmp_path / "README.md").write_bytes(text.encode())
    assert licence_of(tmp_path / "README.md") == licence


def test_the_digest_of_a_source_changes_with_its_files(tmp_path, zoos):
    folder = write_model(tmp_path / "m", zoos)
    config = IngestConfig(name="z", source=str(folder))
    before = source_digest(folder, HuggingFace(), config)
    assert source_digest(folder, HuggingFace(), config) == before
    write_model(folder / "more", zoos)
    assert source_digest(folder, HuggingFace(), config) != before


class FakeHub(BaseHTTPRequestHandler):
    """As much of the hub as a download needs: one repository at one commit."""

    files: dict[str, bytes] = {}
    commit = "a" * 40

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body):
        path = self.path.split("?")[0]
        self.server.asked.append(path)
        if "/resolve/" in path:
            body = self.files[path.rpartition("/")[2]]
        elif path.startswith("/api/models/owner/net/tree"):
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": sha1(data).hexdigest()}
                for name, data in self.files.items()
            ]
            body = json.dumps(entries).encode()
        else:
            siblings = [{"rfilename": name} for name in self.files]
            facts = {"id": "owner/net", "sha": self.commit, "siblings": siblings, "tags": []}
            body = json.dumps(facts).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", f'"{sha1(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.commit)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture
def hub(tmp_path, zoos):
    folder = write_model(tmp_path / "remote", zoos)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "run.py").write_text("print('code')")
    FakeHub.files = {path.name: path.read_bytes() for path in folder.iterdir()}
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    server.asked = []
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_through_the_library_only_weights_and_small_files_are_downloaded(
    tmp_path, take, hub, capfd
):
    pytest.importorskip("huggingface_hub")
    endpoint = f"http://127.0.0.1:{hub.server_port}"
    download = partial(download_repository, cache=tmp_path / "cache", endpoint=endpoint)
    (row,) = take("hf:owner/net@main", reader=HuggingFace(download=download)).rows
    assert row["licence"] == "mit"
    fetched = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert fetched == {"README.md", "config.json", "model.safetensors"}
    assert capfd.readouterr().err == ""
