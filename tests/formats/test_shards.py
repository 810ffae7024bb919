"""A sharded checkpoint is one: each entry lies in the shard the index says, in its folder."""

import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.refused import Refused
from sane_core.zoo.formats.tensors import read_tensors

A, B = np.arange(3, dtype=np.float32), np.ones((2, 2), np.float32)


@pytest.fixture
def folder(tmp_path):
    """Return a folder with two shards."""
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"module.a": A}, folder / "1.safetensors")
    save_file({"module.b": B}, folder / "2.safetensors")
    return folder


def index(folder, metadata=None, **weight_map):
    """Write an index and return its path."""
    path = folder / "model.safetensors.index.json"
    names = {f"module.{entry}": shard for entry, shard in weight_map.items()}
    path.write_text(json.dumps({"metadata": metadata or {}, "weight_map": names}))
    return path


def test_all_shards_together_are_the_checkpoint(folder):
    path = index(folder, {"total_size": 28}, b="2.safetensors", a="1.safetensors")
    found = read_tensors(path)
    assert list(found.tensors) == ["b", "a"]
    np.testing.assert_array_equal(found.tensors["a"], A)
    np.testing.assert_array_equal(found.tensors["b"], B)
    assert found.properties == {"total_size": 28}
    files = [path, folder / "1.safetensors", folder / "2.safetensors"]
    together = b"".join(file.read_bytes() for file in files)
    assert found.sha256 == hashlib.sha256(together).hexdigest()


@pytest.mark.parametrize(
    "shard", ["../1.safetensors", "/etc/passwd", "sub/1.safetensors", "..", "", "a\\b", "a\nb", 7]
)
def test_a_shard_that_is_no_plain_name_is_refused(folder, shard):
    with pytest.raises(Refused, match="name of a file beside the index"):
        read_tensors(index(folder, a="1.safetensors", b=shard))


def test_a_link_out_of_the_folder_is_refused_and_one_inside_is_followed(folder, tmp_path):
    (folder / "2.safetensors").rename(tmp_path / "outside")
    (folder / "2.safetensors").symlink_to(tmp_path / "outside")
    path = index(folder, a="1.safetensors", b="2.safetensors")
    with pytest.raises(Refused, match="link out of the folder"):
        read_tensors(path)
    (folder / "2.safetensors").unlink()
    (tmp_path / "outside").rename(folder / "3.safetensors")
    (folder / "2.safetensors").symlink_to("3.safetensors")
    assert set(read_tensors(path).tensors) == {"a", "b"}


def test_a_missing_and_a_cut_off_shard_are_incomplete(folder):
    path = index(folder, a="1.safetensors", b="2.safetensors")
    shard = folder / "2.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(Refused, match="2.safetensors: the file must have") as caught:
        read_tensors(path)
    assert caught.value.incomplete
    shard.unlink()
    with pytest.raises(Refused, match="2.safetensors is missing") as caught:
        read_tensors(path)
    assert caught.value.incomplete


@pytest.mark.parametrize(
    "weight_map",
    [
        {"a": "1.safetensors", "b": "1.safetensors"},
        {"a": "1.safetensors", "b": "2.safetensors", "c": "2.safetensors"},
        {"a": "2.safetensors", "b": "1.safetensors"},
    ],
)
def test_a_shard_that_holds_other_entries_than_the_index_says_is_refused(folder, weight_map):
    with pytest.raises(Refused, match="must hold the entries the index says"):
        read_tensors(index(folder, **weight_map))


def test_the_size_limit_counts_all_shards_together(folder):
    size = (folder / "1.safetensors").stat().st_size
    path = index(folder, a="1.safetensors", b="2.safetensors")
    with pytest.raises(Refused, match="at most"):
        read_tensors(path, Limits(bytes=size + 20))


def test_an_index_without_entries_is_refused(folder):
    with pytest.raises(Refused, match="weight_map"):
        read_tensors(index(folder))
