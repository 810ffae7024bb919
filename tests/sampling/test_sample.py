"""Samples are networks like their prompts, drawn around them, and say where they come from."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sane_core.api.given import take
from sane_core.api.prepare import prepare
from sane_core.api.sane import Sane
from sane_core.architectures.registry import architecture_named
from sane_core.generation.generator import Generator
from sane_core.zoo.population.score import score, stack
from tests.api.stages import MLP, RESNET, network
from tests.api.test_embed import module_of, near_the_reference, reordered
from tests.sampling.conftest import CNN, images, parts

LITTLE = {"candidates": 4, "conditioning_batches": 2, "conditioning_batch": 16}
SEEDS = (2, 202, 402)
NOTHING = 1e-30
"""A bandwidth that moves no latent."""


def prompts_of(name: str) -> list[dict[str, torch.Tensor]]:
    return [network(name, seed) for seed in SEEDS]


def accuracy_of(module: torch.nn.Module, data) -> float:
    with torch.no_grad():
        logits = module.eval()(torch.from_numpy(data.numbers()))
    return float((logits.argmax(1).numpy() == data.labels).mean())


@pytest.mark.parametrize("name", [MLP, CNN, RESNET])
def test_without_noise_and_loss_samples_are_their_prompts_in_their_own_order(exact, name):
    prompts = [reordered(name, seed) for seed in SEEDS]
    found = exact.sample(prompts=prompts, n=4, bandwidth=NOTHING, **LITTLE, data=parts(name))
    assert len(found) == 4
    shapes = architecture_named(name).shapes()
    for state, at in zip(found.networks, found.prompt, strict=True):
        for entry in shapes:
            np.testing.assert_allclose(state[entry], prompts[at][entry], atol=1e-5)


def test_samples_of_a_reordered_prompt_are_reordered_and_answer_alike(sane):
    data = parts(MLP)
    one, other = near_the_reference(sane)
    first, second = (
        sane.sample(prompts=[each], n=4, bandwidth=0.3, data=data, **LITTLE)
        for each in (one, other)
    )
    np.testing.assert_allclose(first.candidate_accuracy, second.candidate_accuracy)
    a, b = first.networks[0], second.networks[0]
    assert any(not torch.allclose(a[name], b[name], atol=1e-3) for name in a)
    answers = []
    for state in (a, b):
        module = module_of(MLP, 0)
        module.load_state_dict(state)
        answers.append(module(torch.from_numpy(data["test"].numbers())))
    torch.testing.assert_close(*answers, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", [CNN, RESNET])
def test_a_sample_loads_into_the_plain_module_and_has_the_accuracy_that_was_told(
    sane, name, tmp_path
):
    data = parts(name)
    found = sane.sample(prompts=prompts_of(name), n=3, data=data, **LITTLE)
    paths = found.save(tmp_path / "out")
    assert [path.name for path in paths] == [f"sample-{i:03d}.safetensors" for i in range(3)]
    for path, told in zip(paths, found.validation_accuracy, strict=True):
        module = architecture_named(name).build()
        module.load_state_dict(load_file(path))
        assert accuracy_of(module, data["validation"]) == pytest.approx(told)


def test_the_best_candidates_are_kept_best_first(sane):
    found = sane.sample(prompts=prompts_of(MLP), n=3, data=parts(MLP), **LITTLE | {"candidates": 9})
    best = np.sort(found.candidate_accuracy)[::-1][:3]
    np.testing.assert_array_equal(found.validation_accuracy, best)
    raw = {k: np.stack([p[k].numpy() for p in prompts_of(MLP)]) for k in network(MLP, 2)}
    mlp = architecture_named(MLP)
    correct, _ = score(mlp, stack(mlp, raw), parts(MLP)["validation"])
    np.testing.assert_allclose(found.prompt_accuracy, correct.mean(1))


@pytest.mark.parametrize("method", ["sub", "boot", "gauss", "kde30"])
def test_every_method_gives_networks_and_the_same_seed_the_same_ones(sane, method):
    given = {"prompts": prompts_of(MLP), "n": 2, "data": parts(MLP), "method": method, "rounds": 2}
    one, again = (sane.sample(**given, **LITTLE) for _ in range(2))
    other = sane.sample(**given, **LITTLE, seed=1)
    for name, values in one.networks[0].items():
        assert torch.equal(values, again.networks[0][name])
    assert not np.array_equal(one.latents, other.latents)
    assert (one.prompt >= 0).all() == (method != "gauss")


@pytest.mark.parametrize("coupling", ["model", "token"])
@pytest.mark.parametrize("bandwidth", ["scott", "validation", 0.2])
def test_couplings_and_rules_for_the_bandwidth_are_recorded(sane, coupling, bandwidth):
    found = sane.sample(
        prompts=prompts_of(MLP),
        n=2,
        data=parts(MLP),
        coupling=coupling,
        bandwidth=bandwidth,
        **LITTLE,
    )
    made = found.provenance
    assert (made.drawing.coupling, made.drawing.bandwidth) == (coupling, bandwidth)
    assert made.bandwidth > 0
    assert (found.prompt >= 0).all() == (coupling == "model")


def test_modules_give_modules_and_state_dicts_state_dicts_of_their_names(sane):
    module = module_of(RESNET, 2)
    before = copy.deepcopy(module.state_dict())
    found = sane.sample(prompts=[module], n=2, data=parts(RESNET), **LITTLE)
    assert {type(each) for each in found.networks} == {type(module)}
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    told = accuracy_of(found.networks[0], parts(RESNET)["validation"])
    assert told == pytest.approx(found.validation_accuracy[0])
    parallel = torch.nn.DataParallel(module_of(RESNET, 2))
    again = sane.sample(prompts=[parallel], n=2, data=parts(RESNET), **LITTLE)
    assert {type(each) for each in again.networks} == {torch.nn.DataParallel}
    np.testing.assert_array_equal(again.validation_accuracy, found.validation_accuracy)
    wrapped = {f"module.{name}": value.half() for name, value in network(MLP, 2).items()}
    found = sane.sample(prompts=wrapped, n=2, data=parts(MLP), **LITTLE)
    assert list(found.networks[0]) == list(wrapped)
    assert {value.dtype for value in found.networks[0].values()} == {torch.float16}
    assert {value.dtype for value in found.state_dict(0).values()} == {torch.float32}
    module_of(MLP, 0).load_state_dict(found.state_dict(0))


def test_running_statistics_are_of_the_data_and_the_rest_of_the_prompt(sane):
    prompts = prompts_of(RESNET)
    found = sane.sample(prompts=prompts, n=3, data=parts(RESNET), **LITTLE)
    for state, at in zip(found.networks, found.prompt, strict=True):
        assert torch.equal(state["bn1.weight"], prompts[at]["bn1.weight"])
        assert not torch.allclose(state["bn1.running_mean"], prompts[at]["bn1.running_mean"])
        assert int(state["bn1.num_batches_tracked"]) == 2
    assert found.provenance.running_statistics == "data"


def test_without_data_nothing_is_selected_and_statistics_are_the_prompts(sane):
    prompts = prompts_of(RESNET)
    found = sane.sample(prompts=prompts, n=3)
    assert len(found) == 3
    assert found.validation_accuracy is found.candidate_accuracy is found.prompt_accuracy is None
    assert found.provenance.data is None
    assert found.provenance.running_statistics == "prompt"
    for state, at in zip(found.networks, found.prompt, strict=True):
        assert torch.equal(state["bn1.running_var"], prompts[at]["bn1.running_var"])


def test_prompts_without_running_statistics_are_conditioned_before_they_are_scored(sane):
    whole = network(RESNET, 2)
    trained = {name: whole[name] for name in architecture_named(RESNET).shapes()}
    found = sane.sample(prompts=[trained], n=2, data=parts(RESNET), **LITTLE)
    plain = found.state_dict(0)
    architecture_named(RESNET).build().load_state_dict(plain)
    with pytest.raises(ValueError, match="has running statistics, which are measured on images"):
        sane.sample(prompts=[trained], n=2)


def test_provenance_names_everything_and_a_saved_sane_draws_the_same(sane, saved, tmp_path):
    files = []
    for i, state in enumerate(prompts_of(MLP)):
        files.append(tmp_path / f"{i}.safetensors")
        save_file(state, files[-1])
    given = {"prompts": files, "n": 2, "data": parts(MLP), **LITTLE}
    here, there = sane.sample(**given), Sane.load(saved).sample(**given)
    assert here.provenance == there.provenance
    made = here.provenance
    assert [each.name for each in made.prompts] == [str(path) for path in files]
    assert [each.sha256 for each in made.prompts] == [take(path, "").sha256 for path in files]
    assert (made.sane, made.architecture, made.zoo, made.aligned) == ("tiny", MLP, "mlps", True)
    assert made.data is not None
    assert (made.data.validation, made.data.train) == (40, 0)
    other = images(MLP, 40, 9)
    changed = sane.sample(**given | {"data": parts(MLP) | {"validation": other}})
    assert changed.provenance.data != made.data


def test_baselines_are_the_prompts_selected_and_noise_as_large(sane):
    found = sane.sample(
        prompts=prompts_of(RESNET), n=2, data=parts(RESNET), baselines=True, **LITTLE
    )
    selected, noise = found.baselines["prompts selected"], found.baselines["noise"]
    np.testing.assert_array_equal(selected, np.sort(found.prompt_accuracy)[::-1][:2])
    assert len(noise) == 2


def test_images_alone_select_and_condition(sane):
    validation = images(RESNET, 40, 1)
    alone = sane.sample(prompts=prompts_of(RESNET), n=2, data=validation, **LITTLE)
    both = sane.sample(
        prompts=prompts_of(RESNET),
        n=2,
        data={"train": validation, "validation": validation},
        **LITTLE,
    )
    np.testing.assert_array_equal(alone.validation_accuracy, both.validation_accuracy)


class Own(torch.nn.Module):
    """A network of a user's own, which says nothing of its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = torch.nn.Conv2d(3, 6, 3), torch.nn.Linear(6, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.two(torch.relu(self.one(x)).mean((2, 3)))


def test_networks_of_another_architecture_take_the_statistics_of_the_prompts(exact):
    prompts = [Own() for _ in range(3)]
    found = exact.sample(prompts=prompts, n=4, bandwidth=NOTHING, data=parts(RESNET), **LITTLE)
    made = found.provenance
    assert (made.architecture, made.zoo, made.latent_scale) == ("Own", None, "prompts")
    for module, at in zip(found.networks, found.prompt, strict=True):
        for name, value in module.state_dict().items():
            torch.testing.assert_close(value, prompts[at].state_dict()[name], atol=1e-5, rtol=0)


def test_a_few_deeper_networks_are_prompts_enough_for_samples_like_them(sane):
    deeper = "resnet34[size=8,width=1]"
    prompts = [network(deeper, seed) for seed in SEEDS[:2]]
    found = sane.sample(deeper, prompts, n=2, data=parts(RESNET), **LITTLE)
    made = found.provenance
    assert (made.architecture, made.zoo, made.latent_scale) == (deeper, None, "prompts")
    architecture_named(deeper).build().load_state_dict(found.state_dict(0))


def test_unseen_prompts_are_aligned_to_the_best_of_them(sane, monkeypatch):
    seen = []

    def spy(*given, **options):
        seen.append(options["reference"])
        return prepare(*given, **options)

    monkeypatch.setattr("sane_core.api.prompted.prepare", spy)
    prompts = [Own() for _ in range(4)]
    found = sane.sample(prompts=prompts, n=2, data=parts(RESNET), **LITTLE)
    assert seen == [int(np.argmax(found.prompt_accuracy))]


def test_one_prompt_is_enough(sane):
    found = sane.sample(prompts=network(MLP, 2), n=2, data=parts(MLP), **LITTLE)
    assert found.prompt.tolist() == [0, 0]


def test_what_is_not_finite_is_counted_and_never_kept(sane, monkeypatch):
    decode = Generator.decode

    def broken(self, latents):
        weights = decode(self, latents)
        next(iter(weights.values()))[::2] = np.nan
        return weights

    monkeypatch.setattr(Generator, "decode", broken)
    found = sane.sample(prompts=prompts_of(MLP), n=4, data=parts(MLP), **LITTLE)
    assert (len(found), found.broken) == (2, 2)
    blindly = sane.sample(prompts=prompts_of(MLP), n=4, **LITTLE)
    assert (len(blindly), blindly.broken) == (2, 2)
    for each in (found, blindly):
        states = [each.state_dict(i) for i in range(len(each))]
        assert all(v.isfinite().all() for state in states for v in state.values())


def test_a_summary_holds_what_was_found(sane):
    found = sane.sample(prompts=prompts_of(MLP), n=2, data=parts(MLP), **LITTLE)
    summary = found.summary()
    assert summary["samples"][0]["prompt"] == f"models[{found.prompt[0]}]"
    assert summary["prompt_accuracy"] == found.prompt_accuracy.tolist()
    assert dataclasses.replace(found, broken=3).summary()["broken"] == 3
