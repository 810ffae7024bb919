"""What no draw changes is made once and reported with every draw; all else is drawn anew."""

import numpy as np
import pyarrow.parquet as pq

from sane_core.generation.compare import ONCE, UNSELECTED, draws_of
from sane_core.generation.distributions.registry import DISTRIBUTIONS
from sane_core.generation.generator import Generator
from sane_core.generation.matched_noise import matched_noise
from sane_core.generation.zoo import generate_from_zoo
from tests.generation.resnets import CONFIG, EMBED, EPOCHS, RECIPE

TWICE = CONFIG.model_copy(update={"seeds": 2, "ablate": False})


def drawn(given, config=TWICE, seed=0):
    return [*draws_of(given.decoders, given.prompts, RECIPE, config, seed)]


def test_what_does_not_depend_on_the_draw_is_made_in_the_first_alone(given, monkeypatch):
    made = []
    reconstruct = Generator.reconstruct
    monkeypatch.setattr(
        Generator, "reconstruct", lambda *known: made.append(1) or reconstruct(*known)
    )
    first, second = drawn(given)
    assert first.keys() - second.keys() == first.keys() & {*ONCE}
    assert len(made) == 1


def test_what_depends_on_the_draw_differs_in_every_draw(given):
    first, second = drawn(given)
    assert {"sub", "noise", "interpolation", "scratch"} <= second.keys()
    for method, samples in second.items():
        assert not np.array_equal(samples.weights["fc.weight"], first[method].weights["fc.weight"])


def test_the_first_draw_does_not_depend_on_how_many_follow(given):
    alone = drawn(given, TWICE.model_copy(update={"seeds": 1}))[0]
    for method, samples in drawn(given)[0].items():
        for name, values in samples.weights.items():
            np.testing.assert_array_equal(alone[method].weights[name], values)


def test_prompts_and_reconstructions_stand_in_their_own_order_with_their_own_scores(given):
    found = drawn(given)[0]
    generator, prompts = given.generator, given.prompts
    latents = given.decoders["sane"].prompts.latents
    everything = np.arange(len(prompts))
    made = {
        "prompts": prompts.weights,
        "reconstruction": generator.reconstruct(latents, everything),
    }
    assert made.keys() == found.keys() & {*UNSELECTED}
    for method, weights in made.items():
        samples, order = found[method], found[method].prompt
        assert sorted(order) == [*everything]
        for name, values in weights.items():
            np.testing.assert_array_equal(samples.weights[name], values[order])
        scored = generator.scores(samples.weights)
        np.testing.assert_array_equal(samples.validation_accuracy, scored.accuracy)
    best = found["best_prompt"].prompt[0]
    assert prompts.validation_accuracy[best] == prompts.validation_accuracy.max()


def test_the_summary_of_what_is_made_once_stands_beside_every_draw(sources, tmp_path):
    generate_from_zoo(sources, RECIPE, EPOCHS, TWICE, EMBED, 0, tmp_path)
    rows = pq.read_table(tmp_path / "samples.parquet").to_pylist()
    once = [row for row in rows if row["repeat"] == 0]
    again = {row["method"]: row for row in rows if row["repeat"] == 1}
    assert [row["method"] for row in once] == [*again]
    for row in once:
        same = again[row["method"]] == row | {"repeat": 1}
        assert same == (row["method"] in ONCE)
    accuracy = pq.read_table(tmp_path / "accuracy.parquet").to_pylist()
    assert not [row for row in accuracy if row["method"] in ONCE and row["repeat"]]


def test_noise_is_as_far_from_its_prompt_as_the_candidate_of_its_own_bandwidth(given):
    generator, latents = given.generator, given.decoders["sane"].prompts
    prompts, last = given.prompts.weights, given.generator.layers[-1].entries
    noisy, prompt = matched_noise(generator, latents, prompts, 3, 0.1, np.random.default_rng(0))

    def candidates(bandwidth):
        drawn = DISTRIBUTIONS["shared_noise"](latents, 3, bandwidth, np.random.default_rng(0))
        np.testing.assert_array_equal(drawn.prompt, prompt)
        return generator.decode(drawn.latents)

    def distances(weights):
        moved = [(weights[name] - prompts[name][prompt]).reshape(3, -1) for name in last]
        return np.linalg.norm(np.concatenate(moved, axis=1), axis=1)

    own, wider = candidates(0.1), candidates(5.0)
    np.testing.assert_allclose(distances(noisy), distances(own), rtol=1e-4)
    assert not np.allclose(distances(noisy), distances(wider), rtol=1e-4)
    assert not np.allclose(noisy[last[0]], own[last[0]])


def test_chosen_prompts_keep_their_scores(given):
    few = given.prompts.only(np.array([2, 0]))
    scored = given.generator.scores(few.weights)
    np.testing.assert_array_equal(few.validation_accuracy, scored.accuracy)
    assert few.scores.best(1) == scored.best(1)
