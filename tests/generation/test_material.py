"""What generation starts from is read in parts, and is what reading everything would give."""

from dataclasses import replace

import numpy as np
import pytest

from sane_core.embedding.embed import encode
from sane_core.generation import trained
from sane_core.generation.checks import check_images
from sane_core.generation.material import networks_of, open_material
from sane_core.generation.moments import moments_of
from sane_core.generation.novelty import nearest_distance, nearest_distances
from sane_core.generation.zoo import generate_from_zoo
from sane_core.images.files import write_images
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.weights.files import read_tokens
from sane_core.zoo.population.score import score, stack
from tests.generation.resnets import (
    ARCHITECTURE,
    CONFIG,
    EMBED,
    EPOCHS,
    RECIPE,
    noise_images,
    write_stages,
)

WEIGHTS = ARCHITECTURE.parameter_count()


@pytest.fixture(scope="module", params=["exclude", "affine"])
def sources(request, tmp_path_factory):
    return write_stages(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def everything(sources, given):
    """All training networks at once."""
    tokens = read_tokens(sources.tokens / "tokens", "train", EPOCHS)
    return tokens, networks_of(sources, given.decoders["sane"].generator, tokens)


@pytest.mark.parametrize("at_once", [1, 2 * WEIGHTS, 10**9])
def test_training_networks_are_the_same_in_parts_of_any_size(
    given, everything, at_once, monkeypatch
):
    monkeypatch.setattr(trained, "AT_ONCE", at_once)
    _, networks = everything
    parts = [*given.trained.parts()]
    assert max(len(part["conv1.weight"]) for part in parts) == min(6, max(1, at_once // WEIGHTS))
    assert sum(len(part["conv1.weight"]) for part in parts) == len(given.trained) == 6
    for name, values in networks.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), values)
    correct, _ = score(ARCHITECTURE, stack(ARCHITECTURE, networks), given.images["test"])
    np.testing.assert_array_equal(given.trained.wrong(given.images["test"]), ~correct)
    np.testing.assert_array_equal(given.wrong, ~correct)


def test_the_nearest_of_all_is_found_in_parts(given, everything, monkeypatch):
    monkeypatch.setattr(trained, "AT_ONCE", 1)
    names = [*ARCHITECTURE.shapes()]
    networks = {name: everything[1][name] for name in names}
    moved = {name: values[[4, 1]] + 0.01 for name, values in networks.items()}
    far, near = given.trained.nearest([moved, networks])
    np.testing.assert_allclose(far, nearest_distance(moved, networks), rtol=1e-9)
    assert far == pytest.approx(0.01 * ARCHITECTURE.parameter_count() ** 0.5, rel=1e-4)
    assert near.max() < 1e-5


def test_running_statistics_are_no_part_of_the_distance(given, everything):
    networks = everything[1]
    moved = {n: v + (5 if n in ARCHITECTURE.buffers() else 0) for n, v in networks.items()}
    assert given.trained.nearest([moved])[0].max() < 1e-5


def test_distances_to_parts_are_the_least_over_them():
    rng = np.random.default_rng(0)
    models, training = ({"a": rng.standard_normal((n, 4, 3))} for n in (3, 7))
    parts = [{"a": training["a"][:2]}, {"a": training["a"][2:]}]
    expected = np.linalg.norm((models["a"][:, None] - training["a"]).reshape(3, 7, -1), axis=2)
    np.testing.assert_allclose(nearest_distances([models], parts)[0], expected.min(1))


def test_moments_of_latents_are_those_of_all_at_once(given, everything):
    tokens, _ = everything
    generator = given.decoders["sane"].generator
    latents = encode(generator.model, tokens.values, tokens.positions, tokens.lengths, EMBED)
    np.testing.assert_allclose(generator.mean, latents.mean((0, 1), np.float64), atol=1e-7)
    np.testing.assert_allclose(generator.scale, latents.std((0, 1), np.float64), rtol=1e-6)


@pytest.mark.parametrize("lengths", [(), (3, 4)])
def test_moments_of_no_models_or_of_unequal_ones_are_refused(lengths):
    with pytest.raises(ValueError, match="at least one model, and models of equal length"):
        moments_of(np.zeros((length, 2), np.float32) for length in lengths)


def test_no_more_prompts_are_read_than_are_asked_for(sources, given):
    few = open_material(sources, EPOCHS, CONFIG.model_copy(update={"prompts": 2}), EMBED, 0, RECIPE)
    assert len(few.prompts) == 2 and len(given.prompts) == 3
    for name, values in few.prompts.weights.items():
        np.testing.assert_array_equal(values, given.prompts.weights[name][:2])


def test_prompts_of_an_epoch_that_was_not_kept_are_refused(sources):
    config = CONFIG.model_copy(update={"prompt_epoch": 7})
    with pytest.raises(ValueError, match=r"checkpoints of epochs \[7\], got none; choose epochs"):
        open_material(sources, EPOCHS, config, EMBED, 0, RECIPE)


def test_images_of_another_size_are_refused(sources, tmp_path):
    write_images(tmp_path, noise_images((3, 9, 9)), "noise", 10, "")
    other = replace(sources, images=tmp_path)
    with pytest.raises(ValueError, match=r"train images must have shape \(3, 8, 8\).*got \(3, 9"):
        open_material(other, EPOCHS, CONFIG, EMBED, 0, RECIPE)


def with_shared(sources, folder, dataset):
    """The same, but that 3 of the 30 validation images are test images."""
    parts = noise_images(ARCHITECTURE.input_shape)
    pixels = parts["validation"].pixels.copy()
    pixels[[4, 9, 20]] = parts["test"].pixels[[0, 1, 2]]
    parts["validation"] = replace(parts["validation"], pixels=pixels)
    write_images(folder, parts, dataset, 10)
    return replace(sources, images=folder)


def test_images_of_ones_own_that_are_selected_and_reported_on_are_refused(sources, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "out").mkdir()
    mixed = with_shared(sources, tmp_path / "images", "npz:mine")
    with pytest.raises(ValueError, match="but 3 of the 30 validation images of npz:mine are test"):
        generate_from_zoo(mixed, RECIPE, EPOCHS, CONFIG, EMBED, 0, tmp_path / "out")
    assert not [*(tmp_path / "out").iterdir()]


def test_those_that_a_publisher_has_put_in_both_parts_are_not_selected_on(sources, tmp_path):
    mixed = with_shared(sources, tmp_path, "mnist")
    found = open_material(mixed, EPOCHS, CONFIG, EMBED, 0, RECIPE)
    assert len(found.images["validation"]) == len(found.generator.validation) == 27
    assert len(found.images["test"]) == 30


def test_images_of_other_classes_are_refused():
    parts = noise_images(ARCHITECTURE.input_shape, classes=12)
    with pytest.raises(ValueError, match="labels < 10 for resnet18.*got 11; .* another head"):
        check_images(ARCHITECTURE, parts)
    check_images(ARCHITECTURE, noise_images(ARCHITECTURE.input_shape))


def test_an_architecture_beyond_the_learned_positions_is_refused(given):
    generator = given.decoders["sane"].generator
    short = AutoencoderShape(generator.model.shape.d_t, 8, (len(generator.positions) - 1, 40, 200))
    model = build(short, generator.model.config, 0)
    with pytest.raises(ValueError, match=r"position n must be < \d+ \(the learned table of n\)"):
        replace(generator, model=model)
