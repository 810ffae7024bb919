"""Folders and archives give the same files; what could harm is refused, and nothing is written."""

import gzip
import io
import tarfile
import tracemalloc
import zipfile

import pytest

from sane_core.images.archive import members, read_named
from schemas.errors import UserError

FILES = {"top/a.bin": b"first", "top/below/b.bin": b"second", "top/c.txt": b""}
PACKINGS = ["folder", "tar", "tar.gz", "zip"]


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_packing_gives_names_and_contents(tmp_path, pack, packing):
    source = pack[packing](tmp_path / "some", FILES)
    assert {name: read() for name, read in members(source, 10**6)} == FILES
    assert read_named(source, ["a.bin", "b.bin"], 10**6) == {"a.bin": b"first", "b.bin": b"second"}


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_missing_file_is_told(tmp_path, pack, packing):
    source = pack[packing](tmp_path / "some", FILES)
    with pytest.raises(UserError, match=r"some must hold d\.bin; get the file again"):
        read_named(source, ["a.bin", "d.bin"], 10**6)


@pytest.mark.parametrize("packing", ["tar", "tar.gz", "zip"])
def test_names_that_climb_out_are_only_compared(tmp_path, pack, packing):
    files = {"../../escaped.bin": b"x", "/tmp/escaped-absolute.bin": b"y"}
    source = pack[packing](tmp_path / "some", files)
    found = read_named(source, ["escaped.bin", "escaped-absolute.bin"], 10**6)
    assert found == {"escaped.bin": b"x", "escaped-absolute.bin": b"y"}
    assert [path.name for path in tmp_path.rglob("*")] == ["some"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, b"3"])
def test_links_and_devices_of_a_tar_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("a.bin")
    info.type, info.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "some.tar", "w") as archive:
        archive.addfile(info)
    with pytest.raises(UserError, match="must hold files and folders only, got 'a.bin'"):
        read_named(tmp_path / "some.tar", ["a.bin"], 10**6)


def test_links_of_a_zip_are_refused(tmp_path):
    info = zipfile.ZipInfo("a.bin")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match="must hold files and folders only, got 'a.bin'"):
        read_named(tmp_path / "some.zip", ["a.bin"], 10**6)


@pytest.mark.parametrize("packing", PACKINGS)
def test_no_more_is_unpacked_than_allowed(tmp_path, pack, packing):
    source = pack[packing](tmp_path / "some", {"a.bin": bytes(10**7)})
    with pytest.raises(UserError, match=r"at most 1000000 bytes"):
        read_named(source, ["a.bin"], 10**6)


def test_a_header_of_a_tar_cannot_ask_for_memory(tmp_path):
    """An extended header of 256 MB, packed into a few hundred kB."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**28
    block = header.tobuf(tarfile.USTAR_FORMAT)
    with gzip.open(tmp_path / "bomb.tar.gz", "wb", compresslevel=1) as file:
        file.write(block + bytes(2**28))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="at most 1000000 bytes when unpacked"):
            read_named(tmp_path / "bomb.tar.gz", ["a.bin"], 10**6)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("packing", ["tar", "tar.gz", "zip"])
def test_every_truncation_is_told(tmp_path, pack, packing):
    files = {f"top/{number}.bin": bytes([number + 1]) * 512 for number in range(4)}
    whole = pack[packing](tmp_path / "some", files).read_bytes()
    for length in range(0, min(len(whole), 4096), max(1, min(len(whole), 4096) // 37)):
        path = tmp_path / "cut"
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="cut "):
            for _, read in members(path, 10**6):
                read()


def test_an_archive_cut_between_two_files_is_not_taken_for_a_whole_one(tmp_path, tar):
    whole = tar(tmp_path / "some", {"a": b"\x01" * 512, "b": b"\x02" * 512}).read_bytes()
    (tmp_path / "cut").write_bytes(whole[:1024])
    with pytest.raises(UserError, match="an archive without its end"):
        list(members(tmp_path / "cut", 10**6))


def test_a_password_is_told(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.bin", "secret")
    data = bytearray(buffer.getvalue())
    data[6] |= 1  # the flag "encrypted", in the file's header and in the directory's
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "some.zip").write_bytes(data)
    with pytest.raises(UserError, match=r"some\.zip cannot be unpacked: .*password"):
        read_named(tmp_path / "some.zip", ["a.bin"], 10**6)


@pytest.mark.parametrize("data", [b"", b"nothing", b"\x1f\x8bnothing", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_is_told(tmp_path, data):
    (tmp_path / "some").write_bytes(data)
    with pytest.raises(UserError, match="some must"):
        read_named(tmp_path / "some", ["a.bin"], 10**6)
