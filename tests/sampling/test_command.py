"""`sane sample` and `sane zoo unpack`: from what ships to files that load anywhere."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sane_core.architectures.registry import architecture_named
from sane_core.samples import sample_zoo
from sane_core.zoo.files import read_checkpoint
from schemas.errors import UserError
from tests.api.stages import network
from tests.commands import run
from tests.sampling.conftest import CNN

MNIST = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("unpacked") / "prompts"
    said = run("zoo", "unpack", "sample:mnist-cnn", out, "--runs", 4, "--split", "train")
    assert said.startswith("Networks: 4,")
    return out


@pytest.fixture
def npz(tmp_path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 28, 28), np.uint8)
    np.savez(tmp_path / "own.npz", pixels=pixels, labels=np.arange(60) % 10)
    return tmp_path / "own.npz"


def test_unpacked_networks_are_those_of_the_zoo(unpacked):
    paths = sorted(unpacked.iterdir())
    assert [path.name for path in paths][0] == "run-0001-epoch-025.safetensors"
    entries, _ = read_checkpoint(sample_zoo("mnist-cnn") / "weights", 1, 25)
    state = load_file(paths[0])
    architecture_named("cnn").build().load_state_dict(state)
    assert all((state[name].numpy() == values).all() for name, values in entries.items())


def test_unpacked_networks_with_batch_norms_load_too(tmp_path):
    run("zoo", "unpack", "sample:cifar10-resnet18-narrow", tmp_path / "a", "--runs", 1)
    (path,) = (tmp_path / "a").iterdir()
    architecture_named("resnet18[size=16,width=8]").build().load_state_dict(load_file(path))


def test_a_zoo_without_such_checkpoints_is_not_unpacked(tmp_path, unpacked):
    with pytest.raises(UserError, match="checkpoints of epochs 7 in the zoo, it has 0, 1, 3"):
        run("zoo", "unpack", "sample:mnist-cnn", tmp_path / "x", "--epochs", "7")
    with pytest.raises(UserError, match="must not be there yet"):
        run("zoo", "unpack", "sample:mnist-cnn", unpacked)


def test_files_and_patterns_become_samples_with_provenance(unpacked, npz, tmp_path):
    out, pattern = tmp_path / "out", str(unpacked / "*.safetensors")
    small = ("-n", 2, "--candidates", 4, "--out")
    said = run("sample", "--prompts", pattern, "--data", f"npz:{npz}", *small, out)
    for row in ("prompts selected", "noise", "samples (sub)", "all candidates"):
        assert row in said
    assert "too high; not finite: 0" in said
    told = json.loads((out / "samples.json").read_text())
    assert len(told["prompt_accuracy"]) == len(told["provenance"]["prompts"]) == 4
    for i, record in enumerate(told["samples"]):
        with safe_open(out / record["file"], "pt") as file:
            header = json.loads(file.metadata()["sane"])
        assert header == {
            **{name: record[name] for name in ("sample", "prompt", "validation_accuracy")},
            "provenance": told["provenance"],
        }
        assert header["sample"] == i
        architecture_named("cnn").build().load_state_dict(load_file(out / record["file"]))
    files = sorted(unpacked.iterdir())
    as_shells_do = ("--prompts", *files, "--data", f"npz:{npz}")
    run("sample", *as_shells_do, *small, tmp_path / "again")
    assert json.loads((tmp_path / "again" / "samples.json").read_text()) == told


def test_without_data_or_prompts_the_answer_says_what_is_not_known(unpacked, tmp_path):
    said = run("sample", "--prompts", unpacked / "*.safetensors", "-n", 2, "--out", tmp_path / "a")
    assert "2 networks were drawn (sub) and none selected: without --data" in said
    run("sample", "--method", "gauss", "-n", 2, "--out", tmp_path / "b")
    assert len(list((tmp_path / "b").glob("*.safetensors"))) == 2


def test_a_folder_with_anything_in_it_is_not_written_to(unpacked, tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(UserError, match="must be an empty folder, or not be there"):
        run("sample", "--prompts", unpacked / "*.safetensors", "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--prompts", "no/*.pt"), "--prompts must name files, got no/\\*.pt, which fits none"),
        (("--prompts", "no.pt"), "no.pt must be a checkpoint file"),
        (("--bandwidth", "wide"), "bandwidth must be a number, scott or validation, got wide"),
        (("--data", "fancy"), "dataset must be digits, mnist"),
        (("--refine", 2, "--refine-rate", 0), "--refine: learning_rate must be greater than 0"),
        ((), "method sub draws around prompts, got none"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, options, message):
    with pytest.raises(UserError, match=message) as raised:
        run("sample", "--out", tmp_path / "out", *options)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_samples_of_what_ships_read_digits(unpacked, tmp_path):
    if not (MNIST / "mnist").exists():
        pytest.skip(f"no images in {MNIST}")
    out = tmp_path / "out"
    pattern, data = str(unpacked / "*.safetensors"), ("--data", "mnist", "--data-folder", MNIST)
    small = ("-n", 2, "--candidates", 6, "--validation", 200)
    run("sample", "--prompts", pattern, *data, *small, "--out", out)
    told = json.loads((out / "samples.json").read_text())
    assert min(each["validation_accuracy"] for each in told["samples"]) > 0.7
    assert told["provenance"]["data"]["validation"] == 200


def test_moments_are_measured_into_a_sane_of_its_own(saved, tmp_path):
    save_file(network(CNN, 2), tmp_path / "a.safetensors")
    said = run("model", "latents", saved, tmp_path / "a.safetensors", "--out", tmp_path / "known")
    assert "latents of 1 networks measured" in said
    described = json.loads((tmp_path / "known" / "sane.json").read_text())
    assert [zoo["latents"] is None for zoo in described["zoos"]] == [True, False, True]
