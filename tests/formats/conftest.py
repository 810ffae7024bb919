"""Checkpoint files as friends and enemies write them, and a child process to read the latter in."""

import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import save as safetensors_bytes

STATE = OrderedDict(
    [
        ("conv.weight", torch.arange(12, dtype=torch.float32).reshape(2, 1, 2, 3) - 5),
        ("conv.bias", torch.tensor([0.5, -0.25])),
    ]
)


def saved(value, zipped=True):
    """Return the bytes that torch.save writes."""
    out = io.BytesIO()
    torch.save(value, out, _use_new_zipfile_serialization=zipped)
    return out.getvalue()


def text(value):
    """Return the operation that pushes a text."""
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value):
    """Return the operation that pushes an integer."""
    raw = pickle.encode_long(value)
    return b"\x8a" + bytes([len(raw)]) + raw


def numbers(values):
    """Return the operations that push a tuple of integers."""
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(values, size, stride, offset=0, key="0", kind="FloatStorage"):
    """Return the operations that push a tensor with whatever it claims."""
    storage = text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key) + text("cpu")
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(("
        + (storage + number(values) + b"tQ" + number(offset))
        + (numbers(size) + numbers(stride) + b"\x89ccollections\nOrderedDict\n)RtR")
    )


def dictionary(**entries):
    """Return the pickle of a dictionary whose values are operations."""
    items = b"".join(text(name) + value for name, value in entries.items())
    return b"\x80\x02}(" + items + b"u."


def archive(pickled, records=None, folder="archive/", compression=zipfile.ZIP_STORED, extra=()):
    """Return a zip like torch.save's around a pickle; `extra` are (ZipInfo, bytes)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        file.writestr(folder + "data.pkl", pickled)
        file.writestr(folder + "byteorder", "little")
        for key, raw in (records or {}).items():
            file.writestr(f"{folder}data/{key}", raw)
        file.writestr(folder + "version", "3\n")
        for info, raw in extra:
            file.writestr(info, raw)
    return out.getvalue()


def legacy(pickled, keys=(), storages=b""):
    """Return a file like torch.save's before 1.6 around a pickle."""
    before = saved({}, zipped=False)
    return before[: before.index(b"\x80\x02}q\x00.", 15)] + (
        pickled + pickle.dumps(list(keys), protocol=2) + storages
    )


def safetensors(header, body=b"", length=None):
    """Return a safetensors file around a header, which may be bytes or a value."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + body


@pytest.fixture(scope="session")
def forge():
    """Return the functions that write files, good and bad."""
    arrays = {name: np.asarray(values) for name, values in STATE.items()}
    return SimpleNamespace(
        state=STATE,
        good={
            "zip": saved(STATE),
            "legacy": saved(STATE, zipped=False),
            "safetensors": safetensors_bytes(arrays),
        },
        saved=saved,
        text=text,
        number=number,
        tensor=tensor,
        dictionary=dictionary,
        archive=archive,
        legacy=legacy,
        safetensors=safetensors,
    )


_CHILD = """
import json, resource, sys
from pathlib import Path
from sane_core.zoo.formats.tensors import read_tensors
from sane_core.zoo.formats.refused import Refused

read_tensors(Path(sys.argv[1]) / "good")
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 512 * 2**20,) * 2)
found = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        found[path.name] = [sorted(read_tensors(path).tensors), False]
    except Refused as refused:
        found[path.name] = [str(refused), refused.incomplete]
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="session")
def read_with_little_memory(forge, tmp_path_factory):
    """Return a function that reads files in a child with 512 MiB to spare.

    It maps the name of each file to the message it was refused with, or its entries.
    """

    def read(files):
        folder = tmp_path_factory.mktemp("files")
        (folder / "good").write_bytes(forge.good["zip"])
        for name, data in files.items():
            (folder / name).write_bytes(data)
        child = subprocess.run(
            [sys.executable, "-c", _CHILD, str(folder)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert child.returncode == 0, child.stderr[-2000:]
        return {name: answer[0] for name, answer in json.loads(child.stdout).items()}

    return read
