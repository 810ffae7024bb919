"""What cannot be embedded is refused in a sentence that names it."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.api.stages import MLP, network


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_is_named(sane, value):
    state = network(MLP, 0)
    state["module_list.3.bias"][1] = value
    with pytest.raises(
        ValueError,
        match=rf"finite in float32, got {value} in module_list.3.bias of models\[1\]",
    ):
        sane.embed([network(MLP, 1), state])


def test_a_weight_too_large_for_float32_is_named(sane):
    state = {k: v.double() for k, v in network(MLP, 0).items()}
    state["module_list.3.bias"][1] = 1e300
    with pytest.raises(ValueError, match="got inf in module_list.3.bias of the network"):
        sane.embed(state)


def test_an_empty_list_is_refused(sane):
    with pytest.raises(ValueError, match="at least one network, got an empty list"):
        sane.embed([])


def test_an_empty_state_dict_and_a_module_without_weights_are_refused(sane):
    for empty in ({}, nn.ReLU()):
        with pytest.raises(ValueError, match="the network must have weights, got none"):
            sane.embed(empty)


def test_a_checkpoint_in_place_of_its_state_dict_is_refused(sane):
    with pytest.raises(ValueError, match="entry model of the network must be a tensor .* got dict"):
        sane.embed({"model": network(MLP, 0), "epoch": 3})


def test_something_else_is_refused_with_its_place(sane):
    with pytest.raises(ValueError, match=r"models\[1\] must be a module, a state dict or .* int"):
        sane.embed([network(MLP, 0), 3])


def test_a_file_that_is_no_checkpoint_is_named_with_the_reason(sane, tmp_path):
    (tmp_path / "notes.txt").write_text("not a network at all")
    with pytest.raises(ValueError, match="notes.txt cannot be read as a checkpoint: unknown form"):
        sane.embed(tmp_path / "notes.txt")


def test_a_file_that_is_not_there_is_named(sane, tmp_path):
    with pytest.raises(ValueError, match="none.pt must be a checkpoint file, got: No such file"):
        sane.embed([tmp_path / "none.pt"])


def test_a_folder_is_no_checkpoint(sane, tmp_path):
    with pytest.raises(ValueError, match="must be a regular file, got a folder"):
        sane.embed(tmp_path)


def test_a_file_with_code_in_it_is_refused_and_not_run(sane, tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "whole.pt")
    with pytest.raises(ValueError, match="whole.pt cannot be read as a checkpoint"):
        sane.embed(tmp_path / "whole.pt")


def test_weights_that_are_no_floating_point_numbers_are_refused(sane):
    state = {k: (v * 10).int() for k, v in network(MLP, 0).items()}
    with pytest.raises(ValueError, match="must be of floating point, got int32"):
        sane.embed(state)


def test_a_sparse_tensor_is_refused(sane):
    state = {"a.weight": torch.eye(3).to_sparse()}
    with pytest.raises(ValueError, match="a tensor must be plain and dense"):
        sane.embed(state)


def test_a_file_is_named_where_its_weights_are_not_finite(sane, tmp_path):
    state = network(MLP, 0)
    state["module_list.1.weight"][0, 0] = np.nan
    save_file(state, tmp_path / "bad.safetensors")
    with pytest.raises(ValueError, match="got nan in module_list.1.weight of .*bad.safetensors"):
        sane.embed([tmp_path / "bad.safetensors"])


def test_a_device_that_is_not_there_is_refused(sane):
    with pytest.raises(ValueError, match="device must be there, got 'nothing'"):
        type(sane)(sane.bundle, "nothing")
