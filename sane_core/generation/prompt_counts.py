"""How many prompt examples it takes (paper, appendix E.1): samplers around 1, 2, 5, … of them.

Beside every sampler stand the same prompts selected the same way, and with noise. Which prompts
they are is drawn anew in every repeat.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from sane_core.generation.compare import Decoder, Method, Prompts, baselines_of, samplers_of
from sane_core.generation.distributions.registry import PROMPTS_NEEDED
from sane_core.generation.novelty import error_overlap, mutual_overlap
from sane_core.images.images import Images
from sane_core.seeding import rng_for
from schemas.config.generate import GenerateConfig
from schemas.config.samplers import SamplerConfig

BESIDE = ("prompts", "prompts_selected", "noise")
"""Baselines that stand beside the samplers."""


@dataclass(frozen=True)
class FewPrompts:
    """One draw of a method from some prompts.

    Attributes:
        method: Name of a sampler, `prompts`, `prompts_selected` or `noise`.
        prompts: Number of prompt examples.
        repeat: Number of the draw.
        test_accuracy: Mean over the models kept.
        overlap: Mean over them of the largest error overlap with a training model.
        mutual_overlap: Mean error overlap between them: the lower, the more diverse they are.
    """

    method: str
    prompts: int
    repeat: int
    test_accuracy: float
    overlap: float
    mutual_overlap: float


def sweep_prompts(
    decoders: Mapping[str, Decoder],
    prompts: Prompts,
    test: Images,
    training_wrong: np.ndarray,
    config: GenerateConfig,
    seed: int,
    on_draw: Callable[[], None] | None = None,
) -> list[FewPrompts]:
    """Draw from each number of prompts that the configuration names; too large ones are left out.

    So are samplers that look at no prompt, or need more than there are.

    Args:
        decoders: `sane`, and what else there is.
        prompts: All prompt examples.
        test: Test images (reported, never selected on).
        training_wrong: bool [training models, test images].
        config: Counts, samplers, candidates, keep, seeds.
        seed: The run's seed.
        on_draw: Called after every draw of a count.
    """
    generator = decoders["sane"].generator
    rows = []
    for count in counts_of(config, len(prompts)):
        for repeat in range(config.seeds):
            rng = rng_for(seed, "prompts", count, repeat)
            chosen = rng.choice(len(prompts), count, replace=False)
            some = {name: each.only(chosen) for name, each in decoders.items()}
            methods = _methods(some, prompts.only(chosen), config, seed)
            for method, draw in methods.items():
                samples = draw(rng_for(seed, "few prompts", method, count, repeat))
                correct = generator.correct(samples.weights, test)
                rows.append(
                    FewPrompts(
                        method,
                        count,
                        repeat,
                        float(correct.mean()),
                        float(error_overlap(~correct, training_wrong).mean()),
                        mutual_overlap(~correct),
                    )
                )
            if on_draw:
                on_draw()
    return rows


def counts_of(config: GenerateConfig, prompts: int) -> list[int]:
    """Return the numbers of prompts that there are enough prompts for."""
    return [count for count in config.prompt_counts if count <= prompts]


def _methods(
    decoders: Mapping[str, Decoder], prompts: Prompts, config: GenerateConfig, seed: int
) -> dict[str, Method]:
    baselines = baselines_of(decoders, prompts, config)
    drawn = tuple(sampler for sampler in config.samplers if _fits(sampler, len(prompts)))
    config = config.model_copy(update={"samplers": drawn})
    return samplers_of(decoders, config, seed) | {name: baselines[name] for name in BESIDE}


def _fits(sampler: SamplerConfig, prompts: int) -> bool:
    needed = PROMPTS_NEEDED[sampler.distribution]
    return 0 < (max(needed, 2) if sampler.spread == "scott" else needed) <= prompts
