"""Networks with batch norms, longer than a chunk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sane_core.embedding.embed import decode
from sane_core.embedding.with_gradient import decode_with_gradient
from sane_core.generation.material import Sources, open_material
from sane_core.generation.refine import refine
from sane_core.generation.sharpen_zoo import SharpenSources, open_sharpening, sharpen_on_zoo
from sane_core.images.images import Images
from sane_core.pretraining.answers import Answers
from sane_core.pretraining.files import load
from schemas.config.embed import EmbedConfig
from schemas.config.generate import GenerateConfig
from schemas.config.refine import RefineConfig
from schemas.config.training import TrainingConfig
from tests.sharpening.toy import EPOCHS, RESNET, configured, make_sources

CHUNKED = EmbedConfig(chunk=48, halo=8)


@pytest.fixture(scope="module")
def resnets(tmp_path_factory: pytest.TempPathFactory, digits: dict[str, Images]) -> SharpenSources:
    few = {part: images.take(slice(40)) for part, images in digits.items()}
    return make_sources(tmp_path_factory.mktemp("resnets"), RESNET, few, d_t=36)


def opened_of(resnets: SharpenSources):
    model = load(resnets.model)
    return model, open_sharpening(resnets, model, configured(), CHUNKED, 0)


def test_resnets_learn_in_chunks(resnets: SharpenSources, tmp_path: Path) -> None:
    config = configured(steps=30, networks=2, reconstruction=0.0)
    told = sharpen_on_zoo(resnets, config, CHUNKED, 0, tmp_path).metrics
    assert told["sharpen.target"] < told["sharpen.target.first"]


def test_chunks_with_gradient_decode_as_generation_does(resnets: SharpenSources) -> None:
    model, opened = opened_of(resnets)
    latents, tokens = opened.latents[:2], opened.tokens
    assert latents.shape[1] > 3 * CHUNKED.chunk
    leaf = torch.from_numpy(latents).requires_grad_()
    ours = decode_with_gradient(model, leaf, torch.from_numpy(tokens.positions), CHUNKED)
    theirs = decode(model, latents, tokens.positions, tokens.lengths, CHUNKED)
    assert np.allclose(ours.detach().numpy(), theirs, atol=1e-5)
    ours.square().sum().backward()
    assert leaf.grad is not None
    assert (leaf.grad.abs().sum((0, 2)) > 0).all()
    without = decode_with_gradient(
        model, leaf, torch.from_numpy(tokens.positions), EmbedConfig(chunk=48, halo=0)
    )
    assert not torch.allclose(ours, without, atol=1e-3)


def test_decoded_networks_use_the_statistics_of_the_images(resnets: SharpenSources) -> None:
    _, opened = opened_of(resnets)
    chosen = np.array([0, 1])
    tokens = torch.from_numpy(opened.tokens.values[chosen])
    pixels = torch.from_numpy(opened.images.numbers(slice(16)))
    first = opened.answers(chosen, tokens, pixels)
    assert torch.equal(first, opened.answers(chosen, tokens, pixels))
    half = opened.answers(chosen, tokens, pixels[:8])
    assert not torch.allclose(first[:, :8], half, atol=1e-4)


def test_latents_of_resnets_are_refined_in_chunks(resnets: SharpenSources) -> None:
    folders = Sources(resnets.images, resnets.tokens, resnets.model, resnets.zoo)
    config = GenerateConfig(prompt_epoch=3, conditioning_batch=8, candidates=2, keep=2)
    given = open_material(folders, EPOCHS, config, CHUNKED, 0, TrainingConfig())
    decoder = given.decoders["sane"]
    refinement = RefineConfig(steps=6, learning_rate=0.5, images=40, target="labels")
    losses = []
    latents, prompt = decoder.prompts.latents[:2], np.array([0, 1])
    assert latents.shape[1] > 3 * CHUNKED.chunk
    moved = refine(
        decoder.generator,
        latents,
        prompt,
        refinement,
        np.random.default_rng(0),
        lambda _, loss: losses.append(loss.mean()),
    )
    assert losses[-1] < losses[0]
    assert (np.abs(moved - latents).sum((0, 2)) > 0).all()
    assert len(decoder.generator.select_decoded(moved, prompt, 2)) == 2


def test_weights_that_are_no_tokens_are_needed(resnets: SharpenSources) -> None:
    with pytest.raises(ValueError, match="got none for .*; give the zoo beside its tokens"):
        opened_of(replace(resnets, zoo=None))


def test_running_statistics_are_not_needed(resnets: SharpenSources) -> None:
    _, opened = opened_of(resnets)
    answers = opened.answers
    assert answers.others
    assert not {name for name in answers.others if "running" in name}
    made = (answers.layers, answers.statistics, answers.architecture, answers.others)
    assert Answers(*made, batch_statistics=True)
    with pytest.raises(ValueError, match="running_mean"):
        Answers(*made)
