"""What is downloaded gets its name only once it is known to be whole."""

import hashlib
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import URLError

import pytest

from sane_core.images.fetch import fetch, is_published
from sane_core.images.registry import DATASETS
from sane_core.images.sources import OTHER_SOURCES, SOURCES, Source
from schemas.errors import UserError

DATA = bytes(range(256)) * 4000
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server(monkeypatch):
    """A server on this machine and the paths that were asked of it."""
    monkeypatch.setenv("no_proxy", "*")
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802 (named by http.server)
            asked.append(self.path)
            if self.path == "/absent":
                self.send_error(404)
                return
            self.send_response(200)
            if self.path != "/unsized":
                self.send_header("Content-Length", str(len(DATA)))
            self.end_headers()
            self.wfile.write(DATA[:-1] if self.path == "/cut" else DATA)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


@pytest.fixture
def source(server) -> Source:
    return Source("mnist/file.gz", f"{server[0]}/file", 2 * len(DATA), MD5, SHA256)


def test_a_file_is_fetched_checked_and_told_about(tmp_path, source):
    told = []
    (path,) = fetch("mnist", tmp_path, lambda *values: told.append(values), [source])
    assert path == tmp_path / "mnist" / "file.gz"
    assert path.read_bytes() == DATA
    assert told[-1] == ("mnist/file.gz", len(DATA), len(DATA))
    assert [file.name for file in path.parent.iterdir()] == ["file.gz"]


def test_a_file_that_is_right_is_kept_and_a_wrong_one_is_replaced(tmp_path, source, server):
    fetch("mnist", tmp_path, sources=[source])
    fetch("mnist", tmp_path, sources=[source])
    assert server[1] == ["/file"]
    (tmp_path / source.path).write_bytes(DATA[:-1])
    fetch("mnist", tmp_path, sources=[source])
    assert server[1] == ["/file", "/file"]
    assert (tmp_path / source.path).read_bytes() == DATA


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"md5": "0" * 32}, f"must have the MD5 {'0' * 32}, got {MD5}; nothing was kept"),
        ({"sha256": "0" * 64}, f"must have the SHA-256 {'0' * 64}, got {SHA256}; nothing was kept"),
        ({"limit": 1000}, r"must have at most 1000 bytes, got \d+; nothing was kept"),
        ({"url": "/cut"}, rf"must have {len(DATA)} bytes, got {len(DATA) - 1}"),
        ({"url": "/absent"}, "failed .*Not Found"),
        ({"url": "ftp://127.0.0.1/file"}, "must be http or https"),
    ],
)
def test_what_is_not_the_published_file_is_not_kept(tmp_path, source, server, change, message):
    if change.get("url", "").startswith("/"):
        change = {"url": server[0] + change["url"]}
    with pytest.raises(UserError, match=message):
        fetch("mnist", tmp_path, sources=[replace(source, **change)])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_wrong_answer_does_not_destroy_what_was_there(tmp_path, source):
    (tmp_path / "mnist").mkdir()
    (tmp_path / source.path).write_bytes(b"older")
    with pytest.raises(UserError, match="nothing was kept"):
        fetch("mnist", tmp_path, sources=[replace(source, md5="0" * 32)])
    assert (tmp_path / source.path).read_bytes() == b"older"


def test_a_server_that_does_not_say_how_much_is_bounded_too(tmp_path, source, server):
    unsized = replace(source, url=f"{server[0]}/unsized")
    fetch("mnist", tmp_path, sources=[unsized])
    (tmp_path / source.path).unlink()
    with pytest.raises(UserError, match="at most 1000 bytes"):
        fetch("mnist", tmp_path, sources=[replace(unsized, limit=1000)])


def test_without_a_network_the_address_and_the_path_are_told(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", fail)
    with pytest.raises(UserError) as error:
        fetch("stl10", tmp_path)
    (source,) = SOURCES["stl10"]
    assert str(error.value) == (
        f"dataset stl10 must be downloaded from {source.url}, which failed "
        "(Name or service not known); with no network, copy the file to "
        f"{tmp_path / 'stl10' / 'stl10_binary.tar.gz'}"
    )


def test_what_is_not_published_as_files_cannot_be_fetched(tmp_path):
    with pytest.raises(UserError, match="digits cannot be fetched: comes with scikit-learn"):
        fetch("digits", tmp_path)
    with pytest.raises(ValueError, match=r"dataset must be digits, mnist.*got 'imagenet'"):
        fetch("imagenet", tmp_path)


def test_what_is_fetched_is_what_is_read_first():
    for name, sources in SOURCES.items():
        assert set(DATASETS[name].layouts[0].files) == {source.path for source in sources}
        assert all(source.url.startswith("http") and source.md5 for source in sources)


def test_what_is_recognized_is_read():
    for name, sources in OTHER_SOURCES.items():
        readable = {file for layout in DATASETS[name].layouts for file in layout.files}
        assert {source.path for source in sources} <= readable


def test_the_real_mnist_has_the_published_checksums(real):
    for source in SOURCES["mnist"]:
        assert source.md5 and source.sha256
        assert is_published(real / source.path, source)
        assert (real / source.path).stat().st_size <= source.limit
