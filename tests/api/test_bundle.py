"""A bundle is whole, says what it is, and is refused where it is not what it says."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sane_core.api import bundle as bundles
from sane_core.api.card import model_card
from sane_core.api.sane import Sane
from tests.api.stages import MLP, PREPROCESS, RESNET, SEED, network, write_model


@pytest.fixture(scope="module")
def saved(resnet_sane, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "tiny"
    resnet_sane.save(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(saved, tmp_path / "tiny"))


def change(folder: Path, **fields: object) -> None:
    path = folder / "sane.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_what_was_saved_is_loaded_bit_for_bit(resnet_sane, saved):
    loaded = Sane.load(saved)
    wanted, found = resnet_sane.bundle, loaded.bundle
    assert found.description.model_copy(update={"files": {}}) == wanted.description
    for name, value in wanted.model.state_dict().items():
        np.testing.assert_array_equal(found.model.state_dict()[name], value)
    for ours, theirs in zip(wanted.references, found.references, strict=True):
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    states = [network(MLP, 3), network(RESNET, 4)]
    np.testing.assert_array_equal(
        loaded.embed(states, pooling="mean").vectors,
        resnet_sane.embed(states, pooling="mean").vectors,
    )


def test_saving_twice_gives_equal_files(resnet_sane, saved, tmp_path):
    resnet_sane.save(tmp_path / "tiny")
    names = sorted(path.name for path in saved.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "tiny").iterdir())
    assert all((saved / n).read_bytes() == (tmp_path / "tiny" / n).read_bytes() for n in names)


def test_a_folder_with_anything_in_it_is_not_written_to(sane, tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(ValueError, match="must be an empty folder, or not be there"):
        sane.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_the_reference_is_the_network_as_it_was_trained(sane):
    record = sane.description.zoos[0]
    state = network(MLP, 100 * record.run + record.epoch)
    for name, values in sane.bundle.references[0].items():
        np.testing.assert_array_equal(values, state[name].numpy())


def test_without_the_zoo_the_reference_is_put_together_from_its_tokens(make, sane):
    other = make(MLP, zoos=None)
    for name, values in other.bundle.references[0].items():
        np.testing.assert_allclose(values, sane.bundle.references[0][name], atol=1e-6)
    state = network(MLP, 302)
    np.testing.assert_allclose(other.embed(state).vectors, sane.embed(state).vectors, atol=1e-4)


def test_tokens_of_another_size_than_the_models_are_refused(places, tmp_path):
    model = write_model(tmp_path / "model", d_t=30)
    with pytest.raises(ValueError, match="one token size, got d_t 30 of the model and 24 of"):
        Sane.from_artifacts(places.tokens[MLP], model, name="x", preprocess=PREPROCESS, seed=SEED)


def test_a_zoo_per_folder_of_tokens_is_needed(places, tmp_path):
    model = write_model(tmp_path / "model")
    with pytest.raises(ValueError, match="a folder of tokens per zoo, .* got 1 of tokens and 2"):
        Sane.from_artifacts(places.tokens[MLP], model, name="x", zoos=list(places.zoos.values()))


def test_a_packaged_bundle_is_loaded_by_its_name(saved, tmp_path, monkeypatch):
    shutil.copytree(saved, tmp_path / "bundles" / "tiny")
    monkeypatch.setattr(bundles, "BUNDLES", tmp_path / "bundles")
    assert Sane.load("tiny").description.name == "tiny"
    with pytest.raises(
        ValueError, match="one of tiny, or a folder with sane.json in it, got 'nope'"
    ):
        Sane.load("nope")


@pytest.mark.parametrize("name", bundles.packaged())
def test_what_ships_is_small_and_loads(name):
    size = sum(path.stat().st_size for path in (bundles.BUNDLES / name).iterdir())
    assert size <= 10_000_000
    assert Sane.load(name).description.name == name


@pytest.mark.parametrize("name", ["model.safetensors", "reference-1.safetensors"])
def test_an_altered_file_is_named(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ValueError, match=rf"{name} is damaged or of another bundle: its SHA-256"):
        Sane.load(folder)


def test_a_file_cut_off_is_named(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="model.safetensors is damaged"):
        Sane.load(folder)


def test_a_missing_file_is_named(folder):
    (folder / "reference-0.safetensors").unlink()
    with pytest.raises(ValueError, match="reference-0.safetensors must be readable, got: No such"):
        Sane.load(folder)


def test_a_pickle_in_place_of_the_weights_is_not_opened(folder):
    (folder / "model.safetensors").write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match="model.safetensors is damaged: .*"):
        Sane.load(folder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": 2}, "must describe a bundle of format 1, got format 2; use the version"),
        ({"more": 1}, "damaged or of another program: more: Extra inputs"),
        ({"name": "../x"}, "damaged or of another program: name: String should match"),
        ({"zoos": []}, "damaged or of another program: zoos: Tuple should have at least 1"),
        ({"licence": "a\nb: c"}, "damaged or of another program: licence"),
        ({"files": {}}, "its SHA-256 must be in sane.json, got"),
    ],
)
def test_a_description_that_is_not_one_is_refused(folder, fields, message):
    change(folder, **fields)
    with pytest.raises(ValueError, match=message):
        Sane.load(folder)


@pytest.mark.parametrize("text", ["[]", "{", '{"format": 1, "format": 1}'])
def test_a_foreign_description_is_refused(folder, text):
    (folder / "sane.json").write_text(text)
    with pytest.raises(ValueError, match="sane.json must (be the description|describe a bundle)"):
        Sane.load(folder)


def test_an_autoencoder_of_another_shape_is_refused_before_it_takes_memory(folder):
    described = json.loads((folder / "sane.json").read_text())
    change(folder, shape=described["shape"] | {"d_t": 10**9})
    with pytest.raises(ValueError, match=r"tokens_in.weight must have shape \(16, 1000000000\)"):
        Sane.load(folder)


def test_an_autoencoder_of_more_blocks_than_the_file_has_is_refused_before_it_is_built(folder):
    described = json.loads((folder / "sane.json").read_text())
    change(folder, autoencoder=described["autoencoder"] | {"layers": 10**9})
    with pytest.raises(ValueError, match="1000000000 blocks have more entries than"):
        Sane.load(folder)


def test_a_reference_that_does_not_fit_its_zoo_is_refused(folder):
    path = folder / "reference-0.safetensors"
    arrays = load_file(path)
    save_file({"other": np.zeros(3, np.float32), **arrays}, path)
    described = json.loads((folder / "sane.json").read_text())
    described["files"][path.name]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    change(folder, files=described["files"])
    with pytest.raises(ValueError, match="the reference of zoo mlps must fit .* got other"):
        Sane.load(folder)


def test_statistics_of_other_layers_are_refused(folder):
    described = json.loads((folder / "sane.json").read_text())
    described["zoos"][0]["statistics"]["names"][0] = "other"
    change(folder, zoos=described["zoos"])
    with pytest.raises(ValueError, match="statistics must be of the layers"):
        Sane.load(folder)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("start", 10**6, "which must be different ones below"),
        ("start", -1, "must lie within axis"),
        ("repeats", [[10**12, 1]], "must lie within axis"),
        ("repeats", [[-1, 1], [-1, 1]], "must lie within axis"),
        ("entry", "other", "must lie within axis 0 of other, which has 0 indices"),
    ],
)
def test_groups_that_reach_beyond_their_entries_are_refused(folder, field, value, message):
    described = json.loads((folder / "sane.json").read_text())
    described["zoos"][0]["groups"][0]["axes"][0][field] = value
    change(folder, zoos=described["zoos"])
    with pytest.raises(ValueError, match=message):
        Sane.load(folder)


def test_the_card_names_zoos_licence_metrics_and_how_to_load_it(saved):
    card = (saved / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert 'Sane.load("tiny")' in card
    assert "| mlps | `mlp[size=4]` |" in card
    assert "| `probe.r2.test_accuracy.sane_mean` | 0.5 |" in card


def test_the_card_of_the_sane_that_ships_tells_latents_per_weight():
    shipped = Sane.load("mnist-cnn").description
    assert shipped.latents_per_weight(shipped.zoos[0]) == pytest.approx(48 * 128 / 2464)
    card = model_card(shipped, 'Sane.load("mnist-cnn")')
    assert "| 2,464 | 2.49 | run 45" in card
    assert (bundles.BUNDLES / "mnist-cnn" / "README.md").read_text() == card
