"""Sample networks with a trained SANE, from prompts to networks of the same kind (Algorithm 3).

align prompts to the reference → standardize → tokenize → encode with halo → draw → gradient steps
on latents, if asked for → decode with halo → undo standardization → entries that no token holds
from the prompt → running statistics from train images, moved as in the networks' training → select
on validation images → back into the order of the prompt's units.

Prompts of an architecture that the SANE was not trained on are standardized by their own statistics
and aligned to the best of them on validation images. A sample on one prompt goes back into that
prompt's own order of units, which changes no function; one on no prompt stays in the reference's.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError

from sane_core.api.bundle import Bundle
from sane_core.api.description import Description
from sane_core.api.drawing import beside, draw_and_select, draw_blindly, settled
from sane_core.api.given import Given
from sane_core.api.moments import Moments, moments_for
from sane_core.api.networks import Said
from sane_core.api.prompted import Prompted, passes_of, put_back, returned, take_prompts
from sane_core.api.provenance import Provenance, data_record, digest_of, prompt_records, versions
from sane_core.api.results import Read
from sane_core.api.sampled import Sampled
from sane_core.api.target import Target, target_for
from sane_core.api.task import Task, as_trained, check_fits
from sane_core.embedding.embed import has_one_latent
from sane_core.generation.batch_norm import has_running_statistics
from sane_core.generation.distributions.latents import PromptLatents
from sane_core.generation.generator import Generator
from sane_core.generation.refine_target import Refining
from sane_core.generation.sample import Sampler
from sane_core.images.images import Images
from sane_core.weights.tokens import lengths_of, positions_of
from schemas.config.sample import NEEDS_DATA, Method, SampleConfig
from schemas.config.samplers import BANDWIDTH, SHARPENED_BANDWIDTH


def sample_config(**values: Any) -> SampleConfig:
    """Return what to draw.

    Raises:
        ValueError: If a value is out of range, in one sentence.
    """
    try:
        return SampleConfig(**values)
    except ValidationError as error:
        raise ValueError(sentence_of(error)) from None


def default_bandwidth(description: Description, method: Method) -> float:
    """Return what is drawn with if nothing is said.

    Later rounds of gauss go on with the small one, as generation's `sharpened_gauss` does.
    """
    wide = description.sharpened is not None and method != "gauss"
    return SHARPENED_BANDWIDTH if wide else BANDWIDTH


def sentence_of(error: ValidationError) -> str:
    """Return what is wrong first with values that were given, in one sentence."""
    first = error.errors()[0]
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    rule = first["msg"].removeprefix("Input should ")
    return f"{first['loc'][0]} must {rule}, got {first['input']!r}"


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
        device: Where networks run, and where prompts are matched: that of the autoencoder.

    Raises:
        ValueError: If prompts, data and architecture do not fit together, or the method needs what
            is not given.
    """
    _check_needs(given, task, config, baselines)
    target = target_for(given, bundle, said, task.validation.shape if task else None, align)
    if task:
        check_fits(task, target.architecture)
        task = as_trained(task, target.zoo, target.architecture)
    prompted = take_prompts(given, target, bundle, task, config, device) if given else None
    moments = moments_for(target.zoo, prompted.latents if prompted else None)
    generator = _generator(bundle, target, prompted, moments, task, config)
    latents = _latents(prompted, generator, moments)
    sampler = settled(generator, latents, config)
    weights = prompted.weights if prompted else {}
    if task:
        samples = draw_and_select(generator, latents, sampler, config)
    else:
        samples = draw_blindly(generator, latents, sampler, config, weights)
    states = returned(samples, target, prompted)
    zoo = None if target.zoo is None else target.zoo.name
    name, note = target.network.name, target.note
    return Sampled(
        networks=put_back(states, samples, given),
        validation_accuracy=samples.validation_accuracy if task else None,
        prompt=samples.prompt,
        latents=samples.latents,
        candidate_accuracy=samples.candidate_accuracy if task else None,
        broken=samples.broken,
        prompts=tuple(Read(each.label, name, zoo, not note, note) for each in given),
        prompt_accuracy=prompted.accuracy if prompted else None,
        baselines=beside(generator, weights, samples, config) if baselines and given else {},
        provenance=_provenance(bundle, given, target, task, config, sampler, generator, moments),
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
    if task is not None:
        if config.refined and task.train is task.validation:
            raise ValueError(
                "refine needs train images beside those that samples are selected on, got the same "
                'for both; give data as {"train": …, "validation": …}, or name a dataset'
            )
        return
    asked = {
        "refine": config.refined,
        f"method {config.method}": config.method in NEEDS_DATA,
        "bandwidth 'validation'": config.bandwidth == "validation",
        "baselines": baselines,
    }
    if needing := [name for name, needed in asked.items() if needed]:
        raise ValueError(
            f"{needing[0]} must have validation images to select on, got no data; give data, or "
            "draw with method 'sub' or 'gauss', a number for the bandwidth and no refine"
        )


def _generator(
    bundle: Bundle,
    target: Target,
    prompted: Prompted | None,
    moments: Moments,
    task: Task | None,
    config: SampleConfig,
) -> Generator:
    architecture, layers = target.architecture, target.network.layers
    d_t = bundle.description.shape.d_t
    others = architecture.shapes().keys() - {name for layer in layers for name in layer.entries}
    weights = prompted.weights if prompted else {}
    if prompted is not None:
        statistics = prompted.prepared.statistics
    elif target.zoo is not None:
        statistics = target.zoo.statistics.measured()
    else:
        raise ValueError(f"{target.network.name} needs prompts, which its statistics come from")
    measured = task and has_running_statistics(architecture)
    return Generator(
        model=bundle.model,
        architecture=architecture,
        layers=layers,
        statistics=statistics,
        positions=positions_of(layers, d_t),
        lengths=lengths_of(layers, d_t),
        mean=moments.mean,
        scale=moments.scale,
        embed=passes_of(bundle),
        validation=task.validation if task else _no_images(target),
        rest={name: values for name, values in weights.items() if name in others},
        conditioning=task.conditioning(config) if task and measured else None,
        refining=Refining(task.train, weights) if task and config.refined else None,
    )


def _latents(prompted: Prompted | None, generator: Generator, moments: Moments) -> PromptLatents:
    if prompted is not None:
        return PromptLatents(prompted.latents, moments.mean, moments.scale, prompted.accuracy)
    tokens = 1 if has_one_latent(generator.model) else len(generator.positions)
    none = np.empty((0, tokens, generator.model.config.d_z), np.float32)
    return PromptLatents(none, moments.mean, moments.scale)


def _no_images(target: Target) -> Images:
    shape = target.architecture.input_shape
    return Images(np.empty((0, *shape), np.uint8), np.empty(0, np.int64))


def _provenance(
    bundle: Bundle,
    given: Sequence[Given],
    target: Target,
    task: Task | None,
    config: SampleConfig,
    sampler: Sampler,
    generator: Generator,
    moments: Moments,
) -> Provenance:
    conditioned = has_running_statistics(target.architecture)
    return Provenance(
        sane=bundle.description.name,
        sane_sha256=digest_of(bundle),
        architecture=target.network.name,
        zoo=None if target.zoo is None else target.zoo.name,
        aligned=bool(given) and not target.note,
        prompts=prompt_records(given),
        sharpened=bundle.description.sharpened,
        train_labels="used" if config.refined_on_labels else bundle.description.train_labels,
        drawing=config,
        bandwidth=sampler.bandwidth if config.method == "gauss" else sampler.spread,
        latent_scale=moments.source,
        running_statistics=("data" if task else "prompt") if conditioned else "none",
        data=data_record(task, generator.conditioning, config.refined),
        versions=versions(),
    )
