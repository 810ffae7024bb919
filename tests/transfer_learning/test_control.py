"""Noise on prompts that is trained for as much as sharpening took: the fair control."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from sane_core.generation.baselines import with_matched_noise
from sane_core.generation.control import Control, epochs_that_cost_as_much, train_candidates
from sane_core.generation.sharpen_zoo import sharpening_of
from sane_core.generation.transfer import transfer_to
from sane_core.generation.transfer_draw import draw
from sane_core.generation.transfer_prompts import prompts_of_zoo
from sane_core.generation.transfer_target import open_target
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.sharpen import SharpenConfig
from schemas.config.training import TrainingConfig
from schemas.config.transfer import TransferTarget
from tests.transfer_learning.made import CNN, sharpened

RECIPE = TrainingConfig(batch=20, epochs=9, learning_rate=0.01)
ASKED = TransferTarget.model_validate(
    {
        "name": "task",
        "images": {"dataset": "digits"},
        "methods": ["noise", "sub", "sharpened_sub", "noise_trained"],
        "sharpened_on": "target",
        "epochs": [1],
        "candidates": 4,
        "keep": 2,
    }
)


def opened(folders):
    return prompts_of_zoo(
        folders.sources("other").zoo,
        (3,),
        open_target(ASKED, folders.root / "other", CNN),
        EmbedConfig(),
        0,
    )


@pytest.mark.parametrize(
    ("steps", "networks", "asked", "candidates", "images", "epochs"),
    [(1500, 32, 64, 100, 1500, 20), (10, 4, 64, 4, 20, 10), (1, 1, 1, 100, 100, 1)],
    ids=["published", "no more images than there are", "at least one"],
)
def test_networks_see_as_many_images_as_sharpening_did(
    steps, networks, asked, candidates, images, epochs
):
    config = SharpenConfig(steps=steps, networks=networks, images=asked)
    assert epochs_that_cost_as_much(config, candidates, images) == epochs


def test_noise_is_trained_for_what_sharpening_took_and_selected_after_that(folders, tmp_path):
    images = open_target(ASKED, folders.root / "other", CNN).images["train"]
    took = {"steps": 3 * len(images), "networks": 4, "images": 1}  # three epochs of four candidates
    model = sharpened(folders.root / "model", tmp_path / "sharpened", **took)
    sources = folders.sources("other", sharpened=model)
    (tmp_path / "out").mkdir()
    rest = (RECIPE, (3,), EmbedConfig(), PreprocessConfig(), 0, tmp_path / "out")
    told = []
    metrics = transfer_to(sources, ASKED, *rest, lambda *step: told.append(step))
    # Before and after every epoch: one of fine-tuning, three of the control.
    assert told == [(step, 2 + 4) for step in range(1, 7)]
    assert "transfer.task.noise_trained.epoch1" in metrics
    facts = json.loads((tmp_path / "out/target.json").read_text())
    assert facts["noise_trained_epochs"] == 3
    rows = pq.read_table(tmp_path / "out/samples.parquet").to_pandas().set_index("method")
    assert rows.loc["noise_trained", "distance"] > rows.loc["noise", "distance"]


def test_what_is_trained_is_noise_as_far_away_as_samples_are(folders, monkeypatch):
    given = replace(opened(folders), control=Control(RECIPE, 4))
    seen = {}

    def spied(prompts, samples, index, layers, rng):
        noisy = with_matched_noise(prompts, samples, index, layers, rng)
        seen.update(noisy=noisy, index=index)
        return noisy

    monkeypatch.setattr("sane_core.generation.matched_noise.with_matched_noise", spied)

    def trained(generator, weights, images, recipe, seed, chunk, on_epoch):
        assert recipe == RECIPE and chunk == 4 and images is given.target.images["train"]
        for name, values in seen["noisy"].items():
            assert weights[name].tobytes() == values.tobytes()
        return {name: values + 1 for name, values in weights.items()}

    monkeypatch.setattr("sane_core.generation.transfer_draw.train_candidates", trained)
    kept = draw(given, ["noise_trained"], 0)["noise_trained"]
    assert len(kept.prompt) == ASKED.keep
    for name, values in seen["noisy"].items():
        for i, prompt in enumerate(kept.prompt):
            candidates = values[seen["index"] == prompt] + 1
            assert any(np.array_equal(kept.weights[name][i], own) for own in candidates)


def test_candidates_are_trained_each_on_batches_of_its_own(folders):
    given = opened(folders)
    images = given.target.images["train"]
    once = {
        name: np.repeat(values[:1], 2, axis=0) for name, values in given.prompts.weights.items()
    }
    recipe = RECIPE.model_copy(update={"epochs": 2})
    epochs = []
    trained = train_candidates(
        given.generator, once, images, recipe, 0, 2, lambda epoch, _: epochs.append(epoch)
    )
    assert epochs == [0, 1, 2]
    again = train_candidates(given.generator, once, images, recipe, 0, 2)
    for name, values in trained.items():
        assert values.tobytes() == again[name].tobytes()
    assert any(not np.array_equal(values[0], values[1]) for values in trained.values())
    assert all(
        not np.array_equal(trained[name], once[name])
        for name in given.generator.architecture.shapes()
    )


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_candidates_become_the_same_however_many_are_trained_at_once(folders, chunk):
    given = opened(folders)
    rest = (given.prompts.weights, given.target.images["train"], RECIPE, 0)
    sizes = []
    parts = train_candidates(
        given.generator, *rest, chunk, lambda _, own: sizes.append(len(next(iter(own.values()))))
    )
    assert max(sizes) == chunk and sum(sizes) == len(given.prompts) * (1 + RECIPE.epochs)
    for name, values in train_candidates(given.generator, *rest, 6).items():
        np.testing.assert_allclose(parts[name], values, atol=1e-5)


def test_a_control_of_nothing_is_refused(folders, tmp_path):
    with pytest.raises(ValueError, match="noise_trained needs the decoder"):
        rest = (RECIPE, (3,), EmbedConfig(), PreprocessConfig(), 0, tmp_path)
        transfer_to(folders.sources("other"), ASKED, *rest)
    with pytest.raises(ValueError, match="must be given a control"):
        draw(opened(folders), ["noise_trained"], 0)
    with pytest.raises(ValueError, match="must be a sharpened one"):
        sharpening_of(folders.root / "model")
