"""A SANE goes to a hub and comes back; a server here stands for the hub."""

import base64
import json
import sys
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest

from sane_core.api import stored
from sane_core.api.bundle import read
from sane_core.api.hub import download, upload
from sane_core.api.sane import Sane
from schemas.errors import UserError
from tests.api.stages import MLP, network

COMMIT = "a" * 40


class FakeHub(BaseHTTPRequestHandler):
    """As much of the hub as it takes to make a repository, commit files and download them."""

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET(with_body=False)

    def do_GET(self, with_body=True):
        path, files = self.path.split("?")[0], self.server.files
        if "/resolve/" in path:
            name = path.rpartition("/")[2]
            self.server.fetched.add(name)
            self.answer(files[name], with_body)
        elif "/tree/" in path:
            self.answer(
                [
                    {"type": "file", "path": name, "size": len(d), "oid": sha1(d).hexdigest()}
                    for name, d in files.items()
                ]
            )
        else:
            siblings = [{"rfilename": name} for name in files]
            self.answer({"id": "me/tiny", "sha": COMMIT, "siblings": siblings, "tags": []})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.tokens.add(self.headers.get("Authorization"))
        if self.path.endswith("/repos/create"):
            self.server.made = json.loads(body)
            self.answer({"url": f"{self.server.endpoint}/me/tiny"})
        elif "/preupload/" in self.path:
            asked = [each["path"] for each in json.loads(body)["files"]]
            plain = {"uploadMode": "regular", "shouldIgnore": False}
            self.answer({"files": [{"path": name, **plain} for name in asked]})
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    self.server.files[value["path"]] = base64.b64decode(value["content"])
            url = f"{self.server.endpoint}/me/tiny/commit/{COMMIT}"
            self.answer({"success": True, "commitOid": COMMIT, "commitUrl": url})
        else:
            self.answer({"errors": [], "warnings": []})

    def answer(self, body, with_body=True):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", f'"{sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if with_body:
            self.wfile.write(data)


@pytest.fixture
def hub():
    pytest.importorskip("huggingface_hub")
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    server.files, server.fetched, server.tokens, server.made = {}, set(), set(), None
    server.endpoint = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_what_is_uploaded_comes_back_and_only_that_is_fetched(sane, hub, tmp_path):
    url = upload(sane.bundle, "me/tiny", token="hf_x", private=True, endpoint=hub.endpoint)
    assert url.endswith(f"/commit/{COMMIT}")
    assert (hub.made["name"], hub.made["organization"]) == ("tiny", "me")
    assert hub.tokens == {"Bearer hf_x"}
    assert 'Sane.from_hub("me/tiny")' in hub.files["README.md"].decode()

    hub.files["run.py"] = b"print('code')"
    folder = download("me/tiny", "main", cache=tmp_path / "cache", endpoint=hub.endpoint)
    assert hub.fetched == {"sane.json", "model.safetensors", "reference-0.safetensors"}
    state = network(MLP, 3)
    again = Sane(read(folder))
    np.testing.assert_array_equal(again.embed(state).vectors, sane.embed(state).vectors)


def test_a_file_that_was_altered_on_the_hub_is_refused(sane, hub, tmp_path):
    upload(sane.bundle, "me/tiny", token="hf_x", endpoint=hub.endpoint)
    hub.files["model.safetensors"] = hub.files["model.safetensors"][:-1] + b"\x01"
    folder = download("me/tiny", cache=tmp_path / "cache", endpoint=hub.endpoint)
    with pytest.raises(ValueError, match="model.safetensors is damaged or of another bundle"):
        read(folder)


def test_a_repository_without_a_sane_is_refused(hub, tmp_path, monkeypatch):
    hub.files["config.json"] = b"{}"
    folder = download("me/tiny", cache=tmp_path / "cache", endpoint=hub.endpoint)
    monkeypatch.setattr(stored, "download", lambda *_: folder)
    with pytest.raises(ValueError, match="a folder .*with sane.json in it, got .*snapshots"):
        Sane.from_hub("me/tiny")


def test_from_hub_loads_the_revision_asked_for(sane, tmp_path, monkeypatch):
    asked = []
    sane.save(tmp_path / "tiny")
    monkeypatch.setattr(stored, "download", lambda *a: asked.append(a) or tmp_path / "tiny")
    assert Sane.from_hub("me/tiny", revision="v1").description.name == "tiny"
    assert asked == [("me/tiny", "v1")]


def test_an_upload_that_fails_says_what_to_check(sane):
    pytest.importorskip("huggingface_hub")
    with pytest.raises(UserError, match="'not a name' cannot be written: .*; check its name"):
        upload(sane.bundle, "not a name", token="hf_x", endpoint="http://127.0.0.1:9")


def test_without_the_library_one_sentence_names_the_extra(sane, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for call in (lambda: sane.push_to_hub("me/tiny"), lambda: Sane.from_hub("me/tiny")):
        with pytest.raises(UserError, match=r"install the extra, pip install 'sane\[hub\]'"):
            call()
