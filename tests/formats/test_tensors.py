"""A checkpoint is read whatever wrote it, with the names and values it was saved with."""

import hashlib
import os
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save as save_safetensors

from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.refused import Refused
from sane_core.zoo.formats.tensors import check_values, read_tensors


@pytest.fixture
def read(tmp_path):
    """Return a function that reads bytes as a file without an extension."""

    def read_bytes(data, limits=None):
        path = tmp_path / "checkpoints"
        path.write_bytes(data)
        return read_tensors(path, limits or Limits())

    return read_bytes


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_a_file_of_any_name_gives_the_values_saved(read, forge, form):
    found = read(forge.good[form])
    assert set(found.tensors) == set(forge.state)
    for name, values in forge.state.items():
        np.testing.assert_array_equal(found.tensors[name], values.numpy())
    assert set(found.dtypes.values()) == {"float32"}
    assert found.sha256 == hashlib.sha256(forge.good[form]).hexdigest()


@pytest.mark.parametrize("zipped", [True, False])
def test_what_training_scripts_save_beside_the_state_dict_does_no_harm(read, forge, zipped):
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 1, 2])
    found = read(
        forge.saved(
            {
                "epoch": 3,
                "arch": "linear",
                "best_acc1": torch.tensor(0.5),
                "state_dict": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "milestones": Counter(scheduler.milestones),
                "losses": [1.0, 0.5],
                "size": torch.Size([2, 3]),
                "device": torch.device("cpu"),
                "dtype": torch.float32,
            },
            zipped,
        )
    )
    assert set(found.tensors) == {"weight", "bias"}
    assert found.properties == {"epoch": 3, "arch": "linear", "best_acc1": 0.5}


def test_half_precision_is_widened_and_remembered_and_integers_stay(read, forge):
    state = {
        "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
        "brain": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "double": torch.tensor([0.1], dtype=torch.float64),
        "steps": torch.tensor(7),
        "mask": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
    }
    for data in (forge.saved(state), forge.saved(state, False), save_safetensors(state)):
        found = read(data)
        assert found.dtypes == {
            "half": "float16",
            "brain": "bfloat16",
            "double": "float64",
            "steps": "int64",
            "mask": "bool",
            "empty": "float32",
        }
        assert found.tensors["half"].dtype == found.tensors["brain"].dtype == np.float32
        np.testing.assert_array_equal(found.tensors["half"], found.tensors["brain"])
        assert found.tensors["steps"].shape == () and found.tensors["steps"] == 7
        assert found.tensors["mask"].tolist() == [True, False]
        assert found.tensors["double"][0] == 0.1
        assert found.tensors["empty"].shape == (0, 3)


@pytest.mark.parametrize("zipped", [True, False])
def test_parameters_views_and_tied_weights_are_read(read, forge, zipped):
    whole = torch.arange(6.0).reshape(2, 3)
    state = {"a": torch.nn.Parameter(whole), "b": whole.T, "c": whole[1], "d": whole}
    found = read(forge.saved(state, zipped)).tensors
    np.testing.assert_array_equal(found["b"], found["a"].T)
    np.testing.assert_array_equal(found["c"], [3, 4, 5])
    assert found["b"].flags.c_contiguous
    assert found["d"] is found["a"]


def test_an_ordered_dictionary_as_python_2_wrote_it_is_read(read, forge):
    pair = b"](" + forge.text("w") + forge.tensor(2, (2,), (1,)) + b"e"
    pickled = b"\x80\x02ccollections\nOrderedDict\n](" + pair + b"e\x85R."
    values = np.array([1, 2], "<f4").tobytes()
    assert read(forge.archive(pickled, {"0": values})).tensors["w"].tolist() == [1, 2]


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "net", "params"])
def test_wrapped_and_prefixed_state_dicts_are_unwrapped(read, forge, key):
    prefixed = {f"module._orig_mod.{name}": values for name, values in forge.state.items()}
    assert set(read(forge.saved({key: {"model": prefixed}})).tensors) == set(forge.state)


def test_a_prefix_that_only_some_entries_have_stays(read, forge):
    state = {"module.a": torch.ones(1), "b": torch.ones(1)}
    assert set(read(forge.saved(state)).tensors) == {"module.a", "b"}


def test_entries_that_become_equal_without_their_prefixes_are_refused(read, forge):
    state = {"module.a": torch.ones(1), "_orig_mod.a": torch.ones(1)}
    with pytest.raises(Refused, match="two entries are called a"):
        read(forge.saved(state))


def test_two_state_dicts_in_one_file_are_refused(read, forge):
    with pytest.raises(Refused, match="one state dict, got model, net"):
        read(forge.saved({"net": forge.state, "model": forge.state}))


@pytest.mark.parametrize(
    "value", [{}, {"epoch": 3}, [torch.ones(1)], torch.ones(2), {"a": {"b": {"c": torch.ones(1)}}}]
)
def test_a_file_without_a_state_dict_is_refused(read, forge, value):
    with pytest.raises(Refused, match=r"must hold a state dict.*torch\.save"):
        read(forge.saved(value))


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        (lambda: {"w": torch.ones(1), "best": np.float64(1)}, "scalar"),
        (lambda: {"w": torch.eye(2).to_sparse()}, "_rebuild_sparse_tensor"),
        (lambda: {"w": torch.ones(2, device="meta")}, "_rebuild_meta_tensor_no_storage"),
        (lambda: {"w": torch.ones(2, dtype=torch.complex64)}, "ComplexFloatStorage"),
        (
            lambda: {"w": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)},
            "_rebuild_qtensor",
        ),
    ],
    ids=["module", "numpy", "sparse", "meta", "complex", "quantized"],
)
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_what_is_no_plain_tensor_is_refused_with_its_name_and_the_remedy(
    read, forge, build, name, zipped
):
    with pytest.raises(Refused, match=rf"names .*{name}.*model\.state_dict\(\)"):
        read(forge.saved(build(), zipped))


@pytest.mark.parametrize("padding", range(130))
def test_a_safetensors_header_may_have_any_length(read, forge, padding):
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    assert read(forge.safetensors({"w" + "a" * padding: entry}, b"\0" * 4)).tensors


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"accuracy: 0.98\nepoch: 3\n", "unknown format"),
        (b'{"epoch": 3}', "unknown format"),
        (b"\x80\x04K\x01.          ", "another pickle"),
        (b"\x89HDF\r\n\x1a\n      ", "HDF5"),
        (b"x" * 257 + b"ustar" + b"x" * 300, "tar archive"),
    ],
)
def test_another_format_is_refused_by_its_content(read, data, reason):
    with pytest.raises(Refused, match=reason) as caught:
        read(data)
    assert not caught.value.incomplete


def test_a_torchscript_program_is_refused(read, forge):
    with pytest.raises(Refused, match="TorchScript"):
        read(forge.archive(b"\x80\x02}.", extra=[("archive/constants.pkl", b"")]))


def test_an_empty_file_looks_half_written(read):
    with pytest.raises(Refused, match="0 bytes") as caught:
        read(b"")
    assert caught.value.incomplete


def test_a_folder_and_a_pipe_are_refused_and_a_missing_file_is_an_oserror(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Refused, match="regular file, got a folder"):
        read_tensors(tmp_path)
    with pytest.raises(Refused, match="got a pipe"):
        read_tensors(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "nothing")


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize(
    "limits",
    [Limits(bytes=100), Limits(entries=1), Limits(values=3), Limits(name_length=3)],
    ids=str,
)
def test_what_asks_for_more_than_the_limits_is_refused(read, forge, form, limits):
    with pytest.raises(Refused):
        read(forge.good[form], limits)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 11.0, -11.0])
def test_values_that_no_training_of_use_ends_with_are_refused(read, forge, value):
    found = read(forge.saved({"good": torch.ones(3), "bad": torch.tensor([0.0, value])}))
    with pytest.raises(Refused, match="at most 10, got .* in bad"):
        check_values(found, 10)


def test_values_within_the_threshold_and_integers_pass(read, forge):
    state = OrderedDict(w=torch.tensor([-10.0, 10.0]), steps=torch.tensor(10**6))
    check_values(read(forge.saved(state)), 10)
