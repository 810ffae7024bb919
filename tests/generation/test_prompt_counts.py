"""Samplers around few prompts: as many as there are, and those that can be drawn from so few."""

import numpy as np

from sane_core.generation.compare import Decoder, embed_prompts, score_prompts
from sane_core.generation.prompt_counts import counts_of, sweep_prompts
from sane_core.zoo.population.score import score, stack
from schemas.config.generate import GenerateConfig
from schemas.config.samplers import SamplerConfig
from tests.generation.digits import DIGITS_CNN

SMALL = GenerateConfig(candidates=6, keep=2)


def test_samplers_are_tried_with_as_many_prompts_as_there_are(generator, population, images):
    prompts = score_prompts(generator, population)
    sane = Decoder(generator, embed_prompts(generator, prompts))
    config = SMALL.model_copy(update={"prompt_counts": (1, 4, 7), "seeds": 2})
    wrong = np.zeros((1, len(images["test"])), bool)
    rows = sweep_prompts({"sane": sane}, prompts, images["test"], wrong, config, 0)
    assert counts_of(config, len(prompts)) == [1, 4]
    assert {(row.prompts, row.repeat) for row in rows} == {(1, 0), (1, 1), (4, 0), (4, 1)}
    assert {row.method for row in rows} >= {"sub", "prompts", "prompts_selected", "noise"}
    one = [r for r in rows if (r.method, r.prompts) == ("prompts_selected", 1)]
    assert {r.mutual_overlap for r in one} == {1.0}
    correct, _ = score(DIGITS_CNN, stack(DIGITS_CNN, population), images["test"])
    assert {r.test_accuracy for r in one} <= set(correct.mean(1))


def test_samplers_that_look_at_no_prompt_or_need_more_are_not_tried_with_few(
    generator, population, images
):
    prompts = score_prompts(generator, population)
    sane = Decoder(generator, embed_prompts(generator, prompts))
    samplers = (
        SamplerConfig(name="sub"),
        SamplerConfig(name="scott", spread="scott"),
        SamplerConfig(name="gauss", distribution="gauss"),
        SamplerConfig(name="pca", distribution="pca_gaussian"),
    )
    config = SMALL.model_copy(update={"prompt_counts": (1, 2), "samplers": samplers, "seeds": 1})
    wrong = np.zeros((1, len(images["test"])), bool)
    rows = sweep_prompts({"sane": sane}, prompts, images["test"], wrong, config, 0)
    tried = {count: {row.method for row in rows if row.prompts == count} for count in (1, 2)}
    assert tried[1] == {"sub", "prompts", "prompts_selected", "noise"}
    assert tried[2] == tried[1] | {"scott", "pca"}
