"""Archives of one file: nothing is unpacked that was not asked for."""

import io
import zipfile

import pytest

from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.packed import unpack
from sane_core.zoo.formats.refused import Refused


def archive(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as packed:
        for name, data in members:
            packed.writestr(name, data)
    return made.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_file_comes_out_as_it_went_in(method):
    assert unpack(archive(("a.pth", b"weights" * 99), method=method), "a.pth") == b"weights" * 99


def test_a_bomb_is_refused_before_it_is_unpacked():
    bomb = archive(("a.pth", bytes(10**7)))
    with pytest.raises(Refused, match="must have at most 1000 bytes"):
        unpack(bomb, "a.pth", Limits(bytes=1000))


def test_a_size_that_lies_unpacks_no_more_than_it_says():
    data = bytearray(archive(("a.pth", bytes(10**6))))
    for at in (data.find(b"PK\x03\x04") + 22, data.find(b"PK\x01\x02") + 24):
        data[at : at + 4] = (100).to_bytes(4, "little")
    with pytest.raises(Refused, match="must be a whole zip archive"):
        unpack(bytes(data), "a.pth", Limits(bytes=1000))


def test_an_encrypted_file_and_another_method_are_refused():
    data = bytearray(archive(("a.pth", b"x")))
    data[data.find(b"PK\x01\x02") + 8] |= 1
    for given in (bytes(data), archive(("a.pth", b"x"), method=zipfile.ZIP_BZIP2)):
        with pytest.raises(Refused, match="must be plain or deflated"):
            unpack(given, "a.pth")


@pytest.mark.parametrize("name", ["../a.pth", "/a.pth", "b/a.pth", "A.PTH"])
def test_another_name_is_refused(name):
    with pytest.raises(Refused, match="must hold one file, a.pth, got"):
        unpack(archive((name, b"x")), "a.pth")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", archive(("a.pth", b"x" * 100))[:-10]])
def test_what_is_no_whole_archive_is_refused(data):
    with pytest.raises(Refused, match="must be a whole zip archive"):
        unpack(data, "a.pth")
