"""A trained SANE on disk: it loads as it was, and holds nothing of the machine."""

import json

import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file

from sane_core.pretraining.files import load, read_config, save
from sane_core.pretraining.train import pretrain
from tests.pretraining.toy import CONFIG, SHAPE, Memory, configured


def write(folder, config=CONFIG, seed=0):
    folder.mkdir()
    trained = pretrain(Memory(0), Memory(1), SHAPE, config, seed)
    save(folder, trained, config)
    return trained


def test_a_saved_model_loads_as_it_was(tmp_path):
    trained = write(tmp_path / "model")
    for last, wanted in ((False, trained.model.state_dict()), (True, trained.last)):
        loaded = load(tmp_path / "model", last=last)
        assert not loaded.training
        assert all(torch.equal(value, loaded.state_dict()[n]) for n, value in wanted.items())
    assert read_config(tmp_path / "model") == (SHAPE, CONFIG.autoencoder)


def test_a_loaded_model_may_be_changed_and_its_file_stays(tmp_path):
    write(tmp_path / "model")
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    loaded = load(tmp_path / "model")
    with torch.no_grad():
        for parameter in loaded.parameters():
            assert parameter.requires_grad
            parameter.zero_()
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == before
    assert any(value.any() for value in load(tmp_path / "model").state_dict().values())


def test_the_moments_of_every_weight_are_kept(tmp_path):
    trained = write(tmp_path / "model")
    moments = load_file(tmp_path / "model" / "optimizer.safetensors")
    for name, value in trained.model.named_parameters():
        assert moments[f"{name}.exp_avg"].shape == value.shape
        assert (moments[f"{name}.exp_avg_sq"] >= 0).all()
        assert float(moments[f"{name}.step"]) == 36


def test_equal_training_gives_equal_files_and_other_training_others(tmp_path):
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        write(tmp_path / name, seed=seed)
    content = {
        name: {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}
        for name in ("first", "again", "other")
    }
    assert content["first"] == content["again"]
    assert content["first"]["model.safetensors"] != content["other"]["model.safetensors"]


def test_the_configuration_says_what_was_trained_and_not_how_it_was_run(tmp_path):
    write(tmp_path / "first")
    write(tmp_path / "again", configured(save_minutes=3.0, compile="no"))
    described = [
        json.loads((tmp_path / name / "config.json").read_text()) for name in ("first", "again")
    ]
    assert described[0] == described[1]
    assert described[0]["training"]["learning_rate"] == 3e-3
    assert described[0]["best_epoch"] in (1, 2, 3)


def test_the_history_has_a_row_per_epoch_and_no_wall_times(tmp_path):
    trained = write(tmp_path / "model")
    rows = pq.read_table(tmp_path / "model" / "history.parquet").to_pylist()
    assert rows == [record.row() for record in trained.history]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert not {name for name in rows[0] if "second" in name}
    assert all(row["gradient_norm"] > 0 for row in rows)
