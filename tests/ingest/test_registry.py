"""Who reads a source."""

from importlib.metadata import EntryPoint

import pytest
import torch
from safetensors.torch import save_file

from sane_core.zoo.readers import registry
from sane_core.zoo.readers.reader import LAYOUT
from schemas.errors import UserError


class Other:
    """A reader that takes everything."""

    name, specificity = "other", LAYOUT

    def recognises(self, source):
        return True


def offer(monkeypatch, *entries):
    monkeypatch.setattr(registry, "entry_points", lambda group: list(entries))


@pytest.mark.parametrize("suffix", ["pt", "pth", "th", "bin"])
def test_a_folder_of_state_dicts_is_recognised(tmp_path, zoos, suffix):
    torch.save(zoos.state_dict(0), tmp_path / f"a.{suffix}")
    assert registry.reader_of(str(tmp_path)).name == "torch"


def test_a_folder_of_two_formats_is_ambiguous_and_names_the_readers(tmp_path, zoos):
    torch.save(zoos.state_dict(0), tmp_path / "a.pt")
    save_file(zoos.state_dict(0), tmp_path / "b.safetensors")
    with pytest.raises(UserError, match="which safetensors and torch recognise; name the one"):
        registry.reader_of(str(tmp_path))


def test_an_empty_folder_is_an_error_that_names_the_readers(tmp_path):
    with pytest.raises(UserError, match="none of model-zoo, sane, huggingface, pytorchcv, "):
        registry.reader_of(str(tmp_path))


def test_an_unknown_reader_is_an_error_with_the_known_ones():
    with pytest.raises(UserError, match="must be one of huggingface, model-zoo.*got 'zip'"):
        registry.reader_named("zip")


def test_a_layout_comes_before_a_format(tmp_path, zoos):
    (tmp_path / "config.json").write_text("{}")
    save_file(zoos.state_dict(0), tmp_path / "model.safetensors")
    assert registry.reader_of(str(tmp_path)).name == "huggingface"


def test_a_broken_package_stops_nothing_but_is_named_where_nobody_else_reads(
    tmp_path, zoos, monkeypatch
):
    offer(monkeypatch, EntryPoint("broken", "no_such_module:Reader", registry.GROUP))
    torch.save(zoos.state_dict(0), tmp_path / "a.pt")
    assert registry.reader_of(str(tmp_path)).name == "torch"
    (tmp_path / "a.pt").unlink()
    with pytest.raises(UserError, match="reader 'broken' .*cannot be loaded"):
        registry.reader_of(str(tmp_path))


def test_nobody_takes_the_name_of_a_built_in_reader(monkeypatch):
    offer(monkeypatch, EntryPoint("torch", "no_such_module:Reader", registry.GROUP))
    assert type(registry.reader_named("torch")).__name__ == "TorchFolder"
