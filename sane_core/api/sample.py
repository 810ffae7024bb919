"""Sample networks with a trained SANE, from prompts to networks of the same kind (Algorithm 3).

align prompts to the reference → standardize → tokenize → encode with halo → draw → decode with halo
→ undo standardization → entries that no token holds from the prompt → running statistics from train
images → select on validation images → back into the order of the prompt's units.

Prompts of an architecture that the SANE was not trained on are standardized by their own statistics
and aligned to the best of them on validation images. A sample on one prompt goes back into that
prompt's own order of units, which changes no function; one on no prompt stays in the reference's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from sane_core.api.bundle import Bundle
from sane_core.api.drawing import beside, draw_and_select, draw_blindly
from sane_core.api.given import Given
from sane_core.api.groups import UNASKED, UNTRAINED
from sane_core.api.moments import Moments, moments_for
from sane_core.api.networks import Network, Said
from sane_core.api.prepare import Prepared, check_positions, prepare
from sane_core.api.provenance import (
    Provenance,
    data_record,
    digest_of,
    prompt_records,
    versions,
)
from sane_core.api.results import Read
from sane_core.api.sampled import Sampled
from sane_core.api.target import network_for, target_of
from sane_core.api.task import Task, check_fits
from sane_core.architectures.architecture import Architecture
from sane_core.embedding.embed import encode, has_one_latent, whole_models
from sane_core.generation.batch_norm import SUFFIXES, condition, has_running_statistics
from sane_core.generation.candidates import Samples, Weights, keep_best
from sane_core.generation.compare import Prompts
from sane_core.generation.generator import Generator
from sane_core.images.images import Images
from sane_core.weights.shards import within
from sane_core.weights.tokens import lengths_of, positions_of
from sane_core.zoo.population.score import stack
from schemas.config.sample import NEEDS_DATA, SampleConfig


@dataclass(frozen=True)
class _Prompted:
    """Prompts in the aligned frame, and what takes samples out of it."""

    weights: Weights
    accuracy: np.ndarray | None
    prepared: Prepared
    latents: np.ndarray


def sample_config(**values: Any) -> SampleConfig:
    """Return what to draw.

    Raises:
        ValueError: If a value is out of range, in one sentence.
    """
    try:
        return SampleConfig(**values)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "value_error":
            raise ValueError(str(first["ctx"]["error"])) from None
        name, rule = first["loc"][0], first["msg"].removeprefix("Input should ")
        raise ValueError(f"{name} must {rule}, got {first['input']!r}") from None


def sample_networks(
    bundle: Bundle,
    given: Sequence[Given],
    said: Said,
    task: Task | None,
    config: SampleConfig,
    *,
    align: bool = True,
    baselines: bool = False,
    device: str = "cpu",
) -> Sampled:
    """Sample networks.

    Args:
        bundle: The SANE, its autoencoder on the device.
        given: Prompts; none for gauss.
        said: What the caller says of them.
        task: Images to condition and select on; None: nothing is selected.
        config: What to draw.
        align: Whether prompts are brought into the reference's order of units.
        baselines: Whether to select among prompts and noisy prompts as well.
        device: Where prompts are matched.

    Raises:
        ValueError: If prompts, data and architecture do not fit together, or the method needs what
            is not given.
    """
    _check_needs(given, task, config, baselines)
    network = network_for(given, bundle.description, said)
    shape = task.validation.shape if task else None
    architecture = target_of(network, given, bundle.description, said, shape)
    if task:
        check_fits(task, architecture)
    check_positions(network, positions_of(network.layers, bundle.description.shape.d_t), bundle)
    note = _why_not_aligned(network, bundle, align)
    prompted = None
    if given:
        prompted = _prompted(given, network, architecture, bundle, task, config, not note, device)
    record = None if network.zoo is None else bundle.description.zoos[network.zoo]
    moments = moments_for(record, None if prompted is None else prompted.latents)
    generator = _generator(bundle, network, architecture, prompted, moments, task, config)
    prompts = None
    if prompted is not None:
        accuracy = prompted.accuracy
        unknown = np.full(len(given), np.nan)
        prompts = Prompts(
            prompted.weights, prompted.latents, unknown if accuracy is None else accuracy
        )
    draw = draw_and_select if task else draw_blindly
    samples = draw(generator, prompts, config)
    found = {}
    if baselines and prompts is not None:
        found = beside(generator, prompts, samples, config)
    states = _states(samples, network, architecture, prompted)
    name = None if record is None else record.name
    conditioned = has_running_statistics(architecture)
    return Sampled(
        networks=_put_back(states, samples, given),
        validation_accuracy=samples.validation_accuracy if task else None,
        prompt=samples.prompt,
        latents=samples.latents,
        candidate_accuracy=samples.candidate_accuracy if task else None,
        broken=samples.broken,
        prompts=tuple(Read(each.label, network.name, name, not note, note) for each in given),
        prompt_accuracy=prompted.accuracy if prompted else None,
        baselines=found,
        provenance=Provenance(
            sane=bundle.description.name,
            sane_sha256=digest_of(bundle),
            architecture=network.name,
            zoo=name,
            aligned=bool(given) and not note,
            prompts=prompt_records(given),
            drawing=config,
            latent_scale="training" if moments.source == "training" else "prompts",
            running_statistics=("data" if task else "prompt") if conditioned else "none",
            data=data_record(task, conditioned),
            versions=versions(),
        ),
        states=states,
    )


def _check_needs(
    given: Sequence[Given], task: Task | None, config: SampleConfig, baselines: bool
) -> None:
    if not given and config.method != "gauss":
        raise ValueError(
            f"method {config.method} draws around prompts, got none; give some, or take "
            "method 'gauss', which needs none"
        )
    if task is None and config.method in NEEDS_DATA:
        raise ValueError(
            f"method {config.method} selects on validation images, got no data; give some, or take "
            "method 'sub' or 'gauss', which can do without"
        )
    if task is None and baselines:
        raise ValueError("baselines are selected on validation images, got no data; give some")


def _why_not_aligned(network: Network, bundle: Bundle, align: bool) -> str:
    if not align:
        return UNASKED
    return network.note if bundle.description.preprocess.align else UNTRAINED


def _prompted(
    given: Sequence[Given],
    network: Network,
    architecture: Architecture,
    bundle: Bundle,
    task: Task | None,
    config: SampleConfig,
    align: bool,
    device: str,
) -> _Prompted:
    """Score prompts as they are, then align and encode them."""
    names = [*architecture.shapes(), *architecture.buffers()]
    raw = {n: np.stack([each.entries[n] for each in given]) for n in names if _all_have(given, n)}
    accuracy, best = None, 0
    if task:
        raw = _with_statistics(raw, architecture, task, config)
        scored = keep_best(architecture, raw, task.validation, len(given))
        accuracy = scored.candidate_accuracy
        best = int(np.argmax(accuracy))
    prepared = prepare(given, network, bundle, align, device, reference=best)
    frame = within(network.groups, raw)
    aligned = prepared.alignment.apply(raw, np.arange(len(given)), frame)
    latents = encode(
        bundle.model,
        prepared.tokens,
        prepared.positions,
        prepared.lengths,
        _passes(bundle),
    )
    return _Prompted(aligned, accuracy, prepared, latents)


def _all_have(given: Sequence[Given], name: str) -> bool:
    return all(name in each.entries for each in given)


def _with_statistics(
    raw: Weights, architecture: Architecture, task: Task, config: SampleConfig
) -> Weights:
    """Measure running statistics that not all prompts have."""
    needed = [name for name in architecture.buffers() if name.endswith(SUFFIXES)]
    if set(needed) <= raw.keys():
        return raw
    found = condition(architecture, stack(architecture, raw), task.conditioning(config))
    return {name: values.numpy() for name, values in found.items()}


def _generator(
    bundle: Bundle,
    network: Network,
    architecture: Architecture,
    prompted: _Prompted | None,
    moments: Moments,
    task: Task | None,
    config: SampleConfig,
) -> Generator:
    layers, d_t = network.layers, bundle.description.shape.d_t
    cut = {name for layer in layers for name in layer.entries}
    rest = {}
    if prompted is not None:
        others = architecture.shapes().keys() - cut
        rest = {name: values for name, values in prompted.weights.items() if name in others}
        statistics = prompted.prepared.statistics
    else:
        statistics = bundle.description.zoos[network.zoo or 0].statistics.measured()
    condition_on = task if task and has_running_statistics(architecture) else None
    return Generator(
        model=bundle.model,
        architecture=architecture,
        layers=layers,
        statistics=statistics,
        positions=positions_of(layers, d_t),
        lengths=lengths_of(layers, d_t),
        mean=moments.mean,
        scale=moments.scale,
        embed=_passes(bundle),
        validation=task.validation if task else _no_images(architecture),
        rest=rest,
        conditioning=condition_on.conditioning(config) if condition_on else None,
    )


def _passes(bundle: Bundle) -> Any:
    config = bundle.description.embed
    return whole_models(config) if has_one_latent(bundle.model) else config


def _no_images(architecture: Architecture) -> Images:
    return Images(np.empty((0, *architecture.input_shape), np.uint8), np.empty(0, np.int64))


def _states(
    samples: Samples, network: Network, architecture: Architecture, prompted: _Prompted | None
) -> list[dict[str, np.ndarray]]:
    """Take samples that stand on a prompt into its order of units; sort entries as a module does.

    Where all samples stand on none, they stay in the reference's order.
    """
    weights = dict(samples.weights)
    on = samples.prompt >= 0
    if prompted is not None and on.any():
        groups = within(network.groups, weights)
        mine = {name: values[on] for name, values in weights.items()}
        back = prompted.prepared.alignment.unapply(mine, samples.prompt[on], groups)
        for name, values in back.items():
            weights[name] = values if on.all() else _replaced(weights[name], on, values)
    order = [name for name in architecture.outline.state_dict() if name in weights]
    return [
        {name: np.array(weights[name][i]) for name in order} for i in range(len(samples.prompt))
    ]


def _replaced(values: np.ndarray, where: np.ndarray, new: np.ndarray) -> np.ndarray:
    changed = values.copy()
    changed[where] = new
    return changed


def _put_back(
    states: Sequence[Mapping[str, np.ndarray]], samples: Samples, given: Sequence[Given]
) -> list[Any]:
    """Return networks of the kind of the prompts they stand on; state dicts without prompts."""
    if not given:
        return [{name: torch.tensor(values) for name, values in state.items()} for state in states]
    like = np.maximum(samples.prompt, 0)
    return [given[at].put_back(state) for at, state in zip(like, states, strict=True)]
