"""Sharpening: decoded networks answer better, the encoder stays, equal seeds are equal."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from sane_core.embedding.embed import encode
from sane_core.generation.sharpen import Sharpened, decoder_of, sharpen
from sane_core.generation.sharpen_loss import Sharpening
from sane_core.generation.sharpen_zoo import (
    SharpenSources,
    open_sharpening,
    sharpen_on_zoo,
    sharpening_of,
)
from sane_core.images.files import write_images
from sane_core.images.images import Images
from sane_core.pretraining.files import load, read_sharpening
from schemas.config.embed import EmbedConfig
from schemas.config.sharpen import SharpenConfig
from tests.sharpening.toy import configured

EMBED = EmbedConfig()


def run(
    sources: SharpenSources, seed: int = 0, labels: np.ndarray | None = None, **changes
) -> Sharpened:
    """Sharpen, with other labels of the train images if given."""
    model = load(sources.model)
    opened = open_sharpening(sources, model, configured(**changes), EMBED, 0)
    if labels is not None:
        opened = replace(opened, images=replace(opened.images, labels=labels))
    return sharpen(model, opened, seed)


def decoder(sharpened: Sharpened) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in decoder_of(sharpened.model).values()])


def test_decoded_networks_answer_held_out_images_better_than_before(
    sources: SharpenSources, tmp_path: Path
) -> None:
    config = configured(steps=120, networks=8)
    report = sharpen_on_zoo(sources, config, EMBED, 0, tmp_path)
    told = report.metrics
    assert told["sharpen.target"] < told["sharpen.target.first"] - 0.4
    before, after = (told[f"sharpen.validation_accuracy.{k}"] for k in ("before", "after"))
    assert after > before + 0.2


def test_what_it_costs_is_told(sources: SharpenSources, tmp_path: Path) -> None:
    report = sharpen_on_zoo(sources, configured(), EMBED, 0, tmp_path)
    assert report.metrics["sharpen.steps"] == 30
    assert report.metrics["sharpen.gradient_evaluations"] == 30 * 4
    assert report.metrics["sharpen.images_seen"] == 30 * 4 * 32
    assert report.metrics["sharpen.train_networks"] == 3
    assert report.timings["sharpen.seconds"] > 0
    assert not {name for name in report.metrics if "second" in name}


def test_no_more_images_are_seen_than_there_are() -> None:
    config = SharpenConfig(steps=10, networks=4, images=64)
    assert config.images_seen(64) == config.images_seen(1000) == 10 * 4 * 64
    assert config.images_seen(20) == 10 * 4 * 20


@pytest.mark.parametrize(("target", "said"), [("labels", "used"), ("prompts", "not read")])
def test_whether_labels_were_read_is_said(sources, tmp_path, target: str, said: str) -> None:
    report = sharpen_on_zoo(sources, configured(steps=1, target=target), EMBED, 0, tmp_path)
    assert report.facts["sharpen.labels"] == said


def test_how_a_decoder_was_sharpened_is_read_back(sources: SharpenSources, tmp_path: Path) -> None:
    sharpen_on_zoo(sources, configured(steps=1, bandwidth=0.4), EMBED, 0, tmp_path)
    assert read_sharpening(tmp_path) == sharpening_of(tmp_path)
    assert sharpening_of(tmp_path).bandwidth == 0.4
    assert read_sharpening(sources.model) is None
    with pytest.raises(ValueError, match="must be a sharpened one"):
        sharpening_of(sources.model)


def test_everything_but_the_decoder_stays_bit_for_bit(
    sources: SharpenSources, tmp_path: Path
) -> None:
    sharpen_on_zoo(sources, configured(), EMBED, 0, tmp_path)
    before, after = load(sources.model).state_dict(), load(tmp_path).state_dict()
    assert before.keys() == after.keys()
    decoding = decoder_of(load(tmp_path)).keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {*decoding}
    assert not {name for name in changed if name.startswith(("encoder", "positions", "tokens_in"))}


def test_latents_stay_what_they_were(sources: SharpenSources, tmp_path: Path) -> None:
    sharpen_on_zoo(sources, configured(), EMBED, 0, tmp_path)
    opened = open_sharpening(sources, load(sources.model), configured(), EMBED, 0)
    tokens = opened.tokens
    again = encode(load(tmp_path), tokens.values, tokens.positions, tokens.lengths, EMBED)
    assert np.array_equal(again, opened.latents)


def test_a_sharpened_model_is_a_model_folder(sources: SharpenSources, tmp_path: Path) -> None:
    sharpen_on_zoo(sources, configured(), EMBED, 0, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "model.safetensors",
        "last.safetensors",
        "optimizer.safetensors",
        "config.json",
        "history.parquet",
        "sharpening.parquet",
    }
    model = (sources.model / "history.parquet").read_bytes()
    assert (tmp_path / "history.parquet").read_bytes() == model
    assert pq.read_table(tmp_path / "sharpening.parquet")["step"].to_pylist() == [25, 30]


def test_equal_seeds_give_equal_decoders(sources: SharpenSources) -> None:
    first, again, other = (run(sources, seed) for seed in (0, 0, 1))
    assert torch.equal(decoder(first), decoder(again))
    assert not torch.equal(decoder(first), decoder(other))
    assert first.curve == again.curve


@pytest.mark.parametrize("target", ["labels", "prompts"])
def test_labels_are_read_with_labels_alone(
    sources: SharpenSources, digits: dict[str, Images], target: str
) -> None:
    permuted = np.random.default_rng(0).permutation(digits["train"].labels)
    equal = torch.equal(
        decoder(run(sources, target=target)), decoder(run(sources, labels=permuted, target=target))
    )
    assert equal == (target == "prompts")


def test_without_labels_samples_become_like_their_prompts(sources: SharpenSources) -> None:
    curve = run(sources, target="prompts", steps=120, networks=8).curve
    assert curve[-1]["target"] < 0.7 * curve[0]["target"]


def test_shared_noise_moves_all_tokens_of_a_network_alike(sources: SharpenSources) -> None:
    opened = opened_of(sources)
    chosen = np.array([0, 1])
    draw = torch.Generator().manual_seed(0)
    shared = opened.disturbed(chosen, "shared_noise", draw) - torch.from_numpy(
        opened.latents[chosen]
    )
    own = opened.disturbed(chosen, "model", draw) - torch.from_numpy(opened.latents[chosen])
    assert torch.allclose(shared, shared[:, :1].expand_as(shared), atol=1e-6)
    assert not torch.allclose(own, own[:, :1].expand_as(own), atol=1e-3)


def opened_of(sources: SharpenSources, **changes) -> Sharpening:
    return open_sharpening(sources, load(sources.model), configured(**changes), EMBED, 0)


def test_without_bandwidth_samples_are_reconstructions(sources: SharpenSources) -> None:
    opened = opened_of(sources, bandwidth=0.0)
    moved = opened.disturbed(np.array([0, 1]), "model", torch.Generator())
    assert np.array_equal(moved.numpy(), opened.latents[:2])


def test_negative_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        SharpenConfig(steps=-1)


def test_no_steps_are_no_stage(sources: SharpenSources, tmp_path: Path) -> None:
    assert SharpenConfig().steps == 0
    with pytest.raises(ValueError, match=r"sharpen.steps must be >= 1 .* got 0; leave the stage"):
        sharpen_on_zoo(sources, configured(steps=0), EMBED, 0, tmp_path)


def test_a_decoder_has_one_target(sources: SharpenSources, tmp_path: Path) -> None:
    both = SharpenConfig(steps=1)
    assert [each.target for each in both.each()] == ["labels", "prompts"]
    with pytest.raises(ValueError, match="one target, got labels, prompts: sharpen one for each"):
        sharpen_on_zoo(sources, both, EMBED, 0, tmp_path)
    with pytest.raises(ValueError, match="targets must be named once each, got labels, labels"):
        SharpenConfig(targets=("labels", "labels"))


def test_epochs_that_are_not_there_are_refused(sources: SharpenSources) -> None:
    with pytest.raises(ValueError, match=r"epochs 21 to 25 to sharpen on, got only epochs 1 to 3"):
        opened_of(sources, first_epoch=21, last_epoch=25)
    with pytest.raises(ValueError, match=r"first_epoch must be <= last_epoch \(3\), got 4"):
        configured(first_epoch=4)


def test_labels_beyond_the_classes_are_refused(
    sources: SharpenSources, digits: dict[str, Images], tmp_path: Path
) -> None:
    more = {part: replace(images, labels=images.labels + 3) for part, images in digits.items()}
    write_images(tmp_path, more)
    with pytest.raises(ValueError, match=r"labels must be < 10, .* got 12: sharpen on the images"):
        opened_of(replace(sources, images=tmp_path))
    assert opened_of(replace(sources, images=tmp_path), target="prompts")


def test_images_of_another_size_are_refused(sources: SharpenSources, tmp_path: Path) -> None:
    images = Images(np.zeros((20, 1, 9, 9), np.float32), np.zeros(20, np.int64))
    write_images(tmp_path, dict.fromkeys(("train", "validation", "test"), images))
    with pytest.raises(ValueError, match=r"images must have shape \(1, 8, 8\) for digits-cnn"):
        opened_of(replace(sources, images=tmp_path))


def test_a_loss_that_breaks_is_named(sources: SharpenSources) -> None:
    model = load(sources.model)
    opened = open_sharpening(sources, model, configured(), EMBED, 0)
    broken = replace(opened, latents=np.full_like(opened.latents, np.inf))
    with pytest.raises(ValueError, match=r"must stay finite, got .* in step 1: lower sharpen"):
        sharpen(model, broken, 0)
