"""Prompts on their way into the aligned frame, and samples on their way out of it.

`returned(aligned)` gives back what was given, bit for bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sane_core.api.bundle import Bundle
from sane_core.api.given import Given
from sane_core.api.prepare import Prepared, prepare
from sane_core.api.target import Target
from sane_core.api.task import Task
from sane_core.architectures.architecture import Architecture
from sane_core.embedding.embed import encode, has_one_latent, whole_models
from sane_core.generation.batch_norm import SUFFIXES, condition
from sane_core.generation.candidates import Samples, Weights, score_candidates
from sane_core.weights.shards import within
from sane_core.zoo.population.score import stack
from schemas.config.embed import EmbedConfig
from schemas.config.sample import SampleConfig


@dataclass(frozen=True)
class Prompted:
    """Prompts in the aligned frame, and what takes samples out of it.

    Attributes:
        weights: Entry -> [prompts, ...], aligned, raw; buffers that all prompts have.
        accuracy: On validation images, float64 [prompts]; None without data.
        prepared: Their tokens, statistics, alignment.
        latents: float32 [prompts, N, d_z].
    """

    weights: Weights
    accuracy: np.ndarray | None
    prepared: Prepared
    latents: np.ndarray


def passes_of(bundle: Bundle) -> EmbedConfig:
    """Return the sizes in which networks pass a SANE's autoencoder."""
    config = bundle.description.embed
    return whole_models(config) if has_one_latent(bundle.model) else config


def take_prompts(
    given: Sequence[Given],
    target: Target,
    bundle: Bundle,
    task: Task | None,
    config: SampleConfig,
    device: str,
) -> Prompted:
    """Score prompts as they are, then align and encode them.

    Those of an architecture that the SANE does not know are aligned to the best of them.

    Args:
        given: At least one.
        target: What they are of.
        bundle: The SANE.
        task: Images to score on; None: the first prompt counts as the best.
        config: How running statistics are measured that prompts lack.
        device: Where they are scored and matched.

    Raises:
        ValueError: If a prompt's answers are not finite; as `prepare`.
    """
    architecture = target.architecture
    names = [*architecture.shapes(), *architecture.buffers()]
    having = [name for name in names if all(name in each.entries for each in given)]
    raw = {name: np.stack([each.entries[name] for each in given]) for name in having}
    accuracy, best = None, 0
    if task:
        raw = _with_statistics(raw, architecture, task, config, device)
        accuracy = _score(raw, architecture, task, device)
        best = int(np.argmax(accuracy))
    align = not target.note
    prepared = prepare(given, target.network, bundle, align, device, reference=best)
    groups = within(target.network.groups, raw)
    aligned = prepared.alignment.apply(raw, np.arange(len(given)), groups)
    place = (prepared.positions, prepared.lengths)
    latents = encode(bundle.model, prepared.tokens, *place, passes_of(bundle))
    return Prompted(aligned, accuracy, prepared, latents)


def returned(
    samples: Samples, target: Target, prompted: Prompted | None
) -> list[dict[str, np.ndarray]]:
    """Take samples that stand on a prompt into its order of units, as state dicts of the module.

    Those that stand on none stay in the reference's order.

    Args:
        samples: In the aligned frame.
        target: What they are of.
        prompted: The prompts, if there are any.
    """
    weights, on = dict(samples.weights), samples.prompt >= 0
    if prompted is not None and on.any():
        groups = within(target.network.groups, weights)
        mine = {name: values[on] for name, values in weights.items()}
        back = prompted.prepared.alignment.unapply(mine, samples.prompt[on], groups)
        for name, values in back.items():
            weights[name] = weights[name].copy()
            weights[name][on] = values
    order = [name for name in target.architecture.outline.state_dict() if name in weights]
    return [{name: np.array(weights[name][i]) for name in order} for i in range(len(samples))]


def put_back(
    states: Sequence[Mapping[str, np.ndarray]], samples: Samples, given: Sequence[Given]
) -> list[Any]:
    """Return networks of the kind of the prompts they stand on; state dicts without prompts."""
    if not given:
        return [{name: torch.tensor(values) for name, values in state.items()} for state in states]
    like = np.maximum(samples.prompt, 0)
    return [given[at].put_back(state) for at, state in zip(like, states, strict=True)]


def _score(raw: Weights, architecture: Architecture, task: Task, device: str) -> np.ndarray:
    scores = score_candidates(architecture, raw, task.validation, device)
    if scores.broken:
        raise ValueError(
            f"prompts must give finite answers on data, got {scores.broken} of "
            f"{len(scores.finite)} that do not; leave them out"
        )
    return scores.accuracy


def _with_statistics(
    raw: Weights, architecture: Architecture, task: Task, config: SampleConfig, device: str
) -> Weights:
    """Measure running statistics that not all prompts have."""
    needed = [name for name in architecture.buffers() if name.endswith(SUFFIXES)]
    conditioning = task.conditioning(config)
    if conditioning is None or set(needed) <= raw.keys():
        return raw
    population = stack(architecture, raw)
    found = condition(architecture, population, conditioning, device=device)
    return {name: values.numpy() for name, values in found.items()}
