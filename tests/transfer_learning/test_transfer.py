"""A whole transfer on a tiny zoo: what is written, what is equal, what is refused."""

import copy
import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file

from sane_core.architectures.registry import architecture_named
from sane_core.embedding.embed import whole_models
from sane_core.generation.distributions.kde_by_dimension import draw_by_dimension
from sane_core.generation.distributions.registry import DISTRIBUTIONS
from sane_core.generation.finetune import finetune
from sane_core.generation.sharpen import decoder_of
from sane_core.generation.transfer import transfer_to
from sane_core.generation.transfer_decoders import with_decoders
from sane_core.generation.transfer_draw import draw, fresh_networks
from sane_core.generation.transfer_prompts import prompts_of_zoo, train_prompts
from sane_core.generation.transfer_target import open_target
from sane_core.images.files import read_images
from sane_core.zoo.population.members import members_of
from sane_core.zoo.population.score import stack
from sane_core.zoo.population.train import train
from schemas.config.augmented import Augmented
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.training import TrainingConfig
from schemas.config.transfer import TransferTarget
from tests.transfer_learning.made import CNN, drawn

RECIPE = TrainingConfig(batch=20, schedule="onecycle")
SMALL = {"epochs": [1], "candidates": 4, "keep": 2, "prompt_epochs": 3}


def target(**changes):
    given = {"name": "task", "images": {"dataset": "digits"}, **SMALL, **changes}
    if given.get("prompts") == "target":
        given["prompt_epochs"] = changes.get("prompt_epochs", 1)
    return TransferTarget.model_validate(given)


def transferred(folders, folder, images, model="model", others=None, **changes):
    return transfer_to(
        folders.sources(images, model, **(others or {})),
        target(**changes),
        RECIPE,
        (3,),
        EmbedConfig(),
        PreprocessConfig(),
        0,
        folder,
    )


def test_every_method_is_reported_at_every_epoch_of_every_length(folders, tmp_path):
    methods = ["scratch", "prompts", "prompts_selected", "reconstruction"]
    methods += ["noise", "interpolation", "kde30", "sub", "boot"]
    metrics = transferred(
        folders, tmp_path, "other", methods=methods, epochs=[1, 2], lengths=[1, 2]
    )
    rows = pq.read_table(tmp_path / "accuracy.parquet").to_pandas()
    assert len(rows) == len(methods) * 2 * (2 + 3)
    assert set(rows["target"]) == {"task"}
    for method in methods:
        values = rows.query("method == @method and length == 2 and epoch == 2")["test_accuracy"]
        assert metrics[f"transfer.task.{method}.epoch2"] == pytest.approx(values.mean())
        assert metrics[f"transfer.task.{method}.epoch2.std"] == pytest.approx(values.std(ddof=0))
        assert f"transfer.task.{method}.epoch2.ensemble" in metrics
        assert f"transfer.task.{method}.of1.epoch1" in metrics
    facts = json.loads((tmp_path / "target.json").read_text())
    assert facts["prompt_count"] == 6 and not facts["new_head"]
    assert len(list((tmp_path / "samples").iterdir())) == 2


def test_a_sharpened_decoder_draws_around_the_same_latents_and_decodes_by_itself(folders):
    opened, sources = open_target(target(), folders.root / "other", CNN), folders.sources("other")
    given = prompts_of_zoo(sources.zoo, (3,), opened, EmbedConfig(), 0)
    same, other = copy.deepcopy(given.generator.model), copy.deepcopy(given.generator.model)
    with torch.no_grad():
        for name, parameter in decoder_of(other).items():
            parameter.add_(0.1 if name.startswith("tokens_out") else 0.0)
    drawn_by = {
        name: draw(
            replace(given, others={"sharpened": given.sharpened(model)}), ["sharpened_sub"], 0
        )
        for name, model in (("same", same), ("other", other))
    }
    kept = {name: each["sharpened_sub"] for name, each in drawn_by.items()}
    decoded = given.generator.decode(kept["same"].latents)
    for name, values in decoded.items():
        np.testing.assert_allclose(kept["same"].weights[name], values, atol=1e-5)
    assert any(
        not np.allclose(given.generator.decode(kept["other"].latents)[name], values, atol=1e-3)
        for name, values in kept["other"].weights.items()
        if name in decoded
    )
    with pytest.raises(ValueError, match=r"decoder must be one of \[\], got sharpened"):
        draw(given, ["sharpened_sub"], 0)


def test_one_embedding_per_model_is_drawn_from_per_dimension_of_the_best_prompts(
    folders, tmp_path, monkeypatch
):
    seen = []

    def spied(prompts, count, spread, rng):
        seen.append(prompts.latents.shape)
        return draw_by_dimension(prompts, count, spread, rng)

    monkeypatch.setitem(DISTRIBUTIONS, "by_dimension", spied)
    sources = folders.sources("other")
    sources = replace(sources, zoo=replace(sources.zoo, others={"global": folders.root / "global"}))
    asked = target(methods=["scratch", "sub", "global_kde30"])
    rest = (RECIPE, (3,), EmbedConfig(), PreprocessConfig(), 0, tmp_path)
    metrics = transfer_to(sources, asked, *rest)
    assert "transfer.task.global_kde30.epoch1" in metrics
    assert seen == [(2, 1, 6)]  # the best 30 % of six prompts


def test_interpolation_lies_a_quarter_of_the_way_from_the_prompt_it_stands_on(folders):
    opened, sources = open_target(target(), folders.root / "other", CNN), folders.sources("other")
    given = prompts_of_zoo(sources.zoo, (3,), opened, EmbedConfig(), 0)
    kept = draw(given, ["interpolation"], 0)["interpolation"]
    assert len(kept.prompt) == opened.config.keep
    accuracy = given.generator.scores(kept.weights).accuracy
    assert [*accuracy] == sorted(kept.candidate_accuracy, reverse=True)[: len(kept.prompt)]
    for name, values in kept.weights.items():
        prompts = given.prompts.weights[name]
        for i, own in enumerate(kept.prompt):
            mixed = [0.75 * prompts[own] + 0.25 * each for each in np.delete(prompts, own, 0)]
            assert any(np.allclose(values[i], each, atol=1e-6) for each in mixed)
            assert not np.allclose(values[i], prompts[own], atol=1e-3)


def test_interpolation_of_a_single_prompt_is_the_prompt(folders):
    alone = target(prompt_members=1)
    opened, sources = open_target(alone, folders.root / "other", CNN), folders.sources("other")
    given = prompts_of_zoo(sources.zoo, (3,), opened, EmbedConfig(), 0)
    kept = draw(given, ["interpolation"], 0)["interpolation"]
    for name, values in given.prompts.weights.items():
        np.testing.assert_allclose(kept.weights[name], np.repeat(values, 2, axis=0), atol=1e-6)


@pytest.mark.parametrize("images", ["other", "fewer-classes"], ids=["kept-head", "new-head"])
def test_another_autoencoder_sees_the_same_prompts_without_reading_them_again(
    folders, monkeypatch, images
):
    sources = folders.sources(images).zoo
    opened = open_target(target(), folders.root / images, CNN)
    given = prompts_of_zoo(sources, (3,), opened, EmbedConfig(), 0)
    other, whole = replace(sources, model=folders.root / "global"), whole_models(EmbedConfig())
    anew = prompts_of_zoo(other, (3,), opened, whole, 0)
    monkeypatch.delattr("sane_core.generation.transfer_prompts.read_prompts")
    others = {"global": folders.root / "global"}
    decoders = with_decoders(given, replace(sources, others=others), (3,), EmbedConfig())
    seen = decoders.decoded_by("global")
    assert seen.prompts is given.prompts
    for name, values in anew.prompts.weights.items():
        np.testing.assert_array_equal(seen.prompts.weights[name], values)
    np.testing.assert_array_equal(seen.latents.latents, anew.latents.latents)
    assert seen.latents.latents.shape != given.latents.latents.shape
    assert seen.generator.architecture == anew.generator.architecture
    np.testing.assert_array_equal(seen.generator.scale, anew.generator.scale)
    assert with_decoders(given, sources, (3,), EmbedConfig()).others == {}


def test_the_facts_of_a_transfer_say_what_its_decoders_were_sharpened_on(folders, tmp_path):
    sources = folders.sources("other")
    sources = replace(sources, zoo=replace(sources.zoo, others={"sharpened": sources.zoo.model}))
    metrics = transfer_to(
        sources,
        target(methods=["scratch", "sub", "sharpened_sub"], sharpened_on="target"),
        RECIPE,
        (3,),
        EmbedConfig(),
        PreprocessConfig(),
        0,
        tmp_path,
    )
    assert "transfer.task.sharpened_sub.epoch1" in metrics
    assert json.loads((tmp_path / "target.json").read_text())["sharpened_on"] == "target"


def test_equal_transfers_give_equal_files(folders, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        transferred(folders, tmp_path / name, "other", methods=["scratch", "sub"])
    for path in sorted(p for p in (tmp_path / "a").rglob("*") if p.is_file()):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_one_prompt_trained_for_a_deeper_target_is_enough(folders, tmp_path):
    metrics = transferred(
        folders,
        tmp_path,
        "other",
        "sines",
        prompts="target",
        prompt_members=1,
        architecture="mlp[size=8]",
    )
    assert np.isfinite(list(metrics.values())).all()
    facts = json.loads((tmp_path / "target.json").read_text())
    assert facts["tokens"] > 48 and facts["prompt_count"] == 1
    for name in ("layers.parquet", "alignment.parquet", "reference.safetensors"):
        assert (tmp_path / name).exists()
    sample = load_file(tmp_path / "samples/sub-000.safetensors")
    assert {n: v.shape for n, v in sample.items()} == architecture_named("mlp[size=8]").shapes()


def test_positions_beyond_learned_tables_are_refused_before_prompts_are_trained(folders, tmp_path):
    with pytest.raises(
        ValueError, match=r"target task \(mlp\[size=8\].*positions that SANE knows.*sinusoidal"
    ):
        transferred(folders, tmp_path, "other", prompts="target", architecture="mlp[size=8]")


def test_networks_with_a_new_head_share_it_with_those_from_scratch_and_nothing_else(folders):
    opened = open_target(target(), folders.root / "fewer-classes", CNN)
    sources = folders.sources("fewer-classes").zoo
    given = prompts_of_zoo(sources, (3,), opened, EmbedConfig(), 0)
    fresh = fresh_networks(given, RECIPE, 0)
    samples = draw(given, ["sub"], 0)["sub"]
    assert given.head == ("module_list.10.weight", "module_list.10.bias")
    for name, values in given.settle(samples, fresh).items():
        wanted = fresh[name] if name in given.head else samples.weights[name]
        assert values.tobytes() == wanted.tobytes()


def test_statistics_are_of_images_moved_as_in_training_unless_it_is_refused(folders):
    moved, images = Augmented(flip=True, crop=1), folders.root / "other"
    made = open_target(target(), images, CNN, moved).conditioning(0)
    assert (made.flip, made.crop) == (True, 1)
    plain = open_target(target(conditioning_augmented=False), images, CNN, moved).conditioning(0)
    assert (plain.flip, plain.crop) == (False, 0)
    assert open_target(target(conditioning_batches=0), images, CNN, moved).conditioning(0) is None


@pytest.mark.parametrize(
    ("images", "of", "moved"),
    [("fewer-classes", "zoo-images", (True, 2)), ("other", "other", (False, 1))],
    ids=["new-head", "kept-head"],
)
def test_statistics_of_candidates_are_of_images_moved_as_in_the_training_on_these(
    folders, images, of, moved
):
    opened = open_target(target(), folders.root / images, CNN, Augmented(crop=1))
    zoo = Augmented(flip=True, crop=2)
    rest = ((3,), opened, EmbedConfig(), 0, zoo)
    given = prompts_of_zoo(folders.sources(images).zoo, *rest)
    measured = given.generator.conditioning
    assert (measured.flip, measured.crop) == moved
    wanted = read_images(folders.root / of)["train"]
    np.testing.assert_array_equal(measured.images.pixels, wanted.pixels)
    finished = given.finisher.conditioning
    assert (finished.flip, finished.crop) == (False, 1)


def test_heads_of_as_many_classes_are_kept_unless_new_ones_are_asked_for(folders):
    images = folders.root / "other"
    assert not open_target(target(), images, CNN).new_head
    assert open_target(target(head="new"), images, CNN).new_head


def test_the_same_number_sees_the_same_batches_whatever_its_start(folders):
    images = read_images(folders.root / "other")
    weights = drawn(CNN, 2)
    starts = {"sub": weights, "scratch": weights}
    tuned = finetune(CNN, starts, images, RECIPE, epochs=[3], seed=0, chunk=4, device="cpu")
    np.testing.assert_array_equal(tuned["sub"].accuracy[3], tuned["scratch"].accuracy[3])
    assert tuned["sub"].ensemble == tuned["scratch"].ensemble


def test_networks_of_different_numbers_see_different_batches(folders):
    images = read_images(folders.root / "other")
    once = {name: np.repeat(values, 2, axis=0) for name, values in drawn(CNN, 1).items()}
    config = RECIPE.model_copy(update={"epochs": 1})
    members = members_of(config, [10**6, 10**6 + 1], 0)
    trained = train(CNN, stack(CNN, once), images["train"], members, config, 0)
    assert any(not torch.equal(values[0], values[1]) for values in trained.values())


def test_prompts_of_a_target_are_trained_for_exactly_their_epochs(folders):
    opened = open_target(target(prompts="target", prompt_members=2), folders.root / "other", CNN)
    once = train_prompts(opened, RECIPE, 0, device="cpu")
    ended = train_prompts(opened, RECIPE.model_copy(update={"epochs": 40}), 0, device="cpu")
    for name, values in once.items():
        np.testing.assert_array_equal(values, ended[name])


@pytest.mark.parametrize(
    ("images", "changes", "said"),
    [
        ("larger", {}, r"must have shape \(1, 8, 8\).*got \(1, 10, 10\); set size and grey"),
        ("coloured", {}, r"must have shape \(1, 8, 8\).*got \(3, 8, 8\)"),
        ("overlapping", {}, "but 24 of the 24 validation images of"),
        ("zoo-selected", {"head": "new"}, "no image may be selected and reported on"),
        (
            "other",
            {"architecture": "digits-cnn[classes=4]"},
            "must have at most 4 classes for .*, got 10",
        ),
        ("other", {"architecture": "mlp[size=8]"}, "take prompts: target"),
        (
            "other",
            {"prompt_epochs": 9},
            "prompt_epochs of target task must be an epoch of the zoo's tokens, got 9",
        ),
    ],
    ids=["size", "colour", "overlap", "overlap-zoo", "classes", "architecture", "epoch"],
)
def test_targets_that_cannot_be_are_refused(folders, tmp_path, images, changes, said):
    with pytest.raises(ValueError, match=said):
        transferred(folders, tmp_path, images, **changes)


def test_decoders_are_sharpened_on_a_target_only_where_its_networks_keep_the_zoos_head(folders):
    asked = target(methods=["sub", "sharpened_sub"], sharpened_on="target")
    assert open_target(asked, folders.root / "other", CNN)
    fewer = folders.root / "fewer-classes"
    with pytest.raises(ValueError, match=r"sharpened_on of target task must be zoo: .*classes=4"):
        open_target(asked, fewer, CNN)
    assert open_target(asked.model_copy(update={"sharpened_on": "zoo"}), fewer, CNN).new_head
    assert open_target(asked.model_copy(update={"methods": ("sub",)}), fewer, CNN).new_head


def test_a_zoos_validation_images_may_be_tested_on_where_nothing_is_selected_on_them(folders):
    assert open_target(target(), folders.root / "zoo-selected", CNN)
