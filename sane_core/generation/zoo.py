"""Generate from a whole zoo: samplers and baselines, fine-tuning, novelty, and the front (§5.2)."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from sane_core.generation.candidates import Samples, Weights
from sane_core.generation.compare import ONCE, draws_of
from sane_core.generation.finetune import epochs_of_chunks, finetune, models_at_once
from sane_core.generation.front import FrontPoint, points_of, sweep
from sane_core.generation.halo_ablation import ablate_halo
from sane_core.generation.material import Material, Sources, open_material
from sane_core.generation.novelty import error_overlap, mutual_overlap, pairwise_distance
from sane_core.generation.prompt_counts import FewPrompts, counts_of, sweep_prompts
from sane_core.generation.rows import (
    Accuracy,
    Ensemble,
    Summary,
    accuracy_metrics,
    ensemble_metrics,
    few_metrics,
    front_metrics,
    summary_metrics,
    write_rows,
)
from sane_core.seeding import rng_for
from schemas.config.embed import EmbedConfig
from schemas.config.generate import GenerateConfig
from schemas.config.training import TrainingConfig

Draws = list[dict[str, Samples]]
"""Method -> what was kept, of every draw."""
SUB = ("generate", "sub")
"""Names of the stream that SUB draws from."""


def generate_from_zoo(
    sources: Sources,
    recipe: TrainingConfig,
    epochs: tuple[int, ...],
    config: GenerateConfig,
    embed: EmbedConfig,
    seed: int,
    folder: Path,
    on_step: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Draw, score, fine-tune and sweep; write the tables and the first sampler's kept samples.

    Args:
        sources: Folders of the stages that this one reads.
        recipe: The zoo's own training recipe, used for fine-tuning and scratch.
        epochs: Epochs SANE was trained on; their train checkpoints are the training models.
        config: What to draw.
        embed: Chunk sizes.
        seed: The run's seed.
        folder: Gets `accuracy.parquet`, `ensembles.parquet`, `samples.parquet`, `front.parquet`,
            `prompts.parquet` and `samples/`.
        on_step: Called with (step, steps) after every draw, epoch of fine-tuning and point of the
            front.

    Returns:
        Metrics `generation.*` and `front.*`.
    """
    given = open_material(sources, epochs, config, embed, seed, recipe)
    steps = count()
    counts = counts_of(config, len(given.prompts))
    total = config.seeds * (1 + len(counts)) + points_of(given.decoders, config)

    def advance() -> None:
        if on_step:
            on_step(next(steps) + 1, total)

    draws: Draws = []
    for repeat, drawn in enumerate(draws_of(given.decoders, given.prompts, recipe, config, seed)):
        if config.ablate:
            drawn |= ablate_halo(given.decoders["sane"], config, rng_for(seed, *SUB, repeat))
        draws.append(drawn)
        advance()
    accuracy, summary = _score(given, draws)
    starts = _starts(draws, config)
    models = sum(len(next(iter(weights.values()))) for weights in starts.values())
    chunk = models_at_once(given.architecture, recipe, seed, given.generator.device)
    total += epochs_of_chunks(models, config.finetune_epochs, chunk)
    tuned, ensembles = _finetune(given, starts, recipe, config, seed, chunk, advance)
    accuracy += tuned
    test = given.images["test"]
    front = sweep(given.decoders, given.prompts, test, given.wrong, config, seed, advance)
    few = sweep_prompts(given.decoders, given.prompts, test, given.wrong, config, seed, advance)

    write_rows(folder / "accuracy.parquet", Accuracy, accuracy)
    write_rows(folder / "samples.parquet", Summary, summary)
    write_rows(folder / "ensembles.parquet", Ensemble, ensembles)
    write_rows(folder / "front.parquet", FrontPoint, front)
    write_rows(folder / "prompts.parquet", FewPrompts, few)
    first = config.samplers[0].name
    _write_samples(folder / "samples", first, draws[0][first].weights)
    metrics = accuracy_metrics(accuracy) | ensemble_metrics(ensembles)
    return metrics | summary_metrics(summary) | front_metrics(front) | few_metrics(few)


def _score(given: Material, draws: Draws) -> tuple[list[Accuracy], list[Summary]]:
    """Score every model on test images.

    Methods that draw nothing count once; their summary stands beside those of every draw.
    """
    accuracy: list[Accuracy] = []
    summary: dict[tuple[int, str], Summary] = {}
    found = [(i, *drawn) for i, methods in enumerate(draws) for drawn in methods.items()]
    distances = given.trained.nearest([samples.weights for _, _, samples in found])
    for (repeat, method, samples), nearest in zip(found, distances, strict=True):
        correct = given.generator.correct(samples.weights, given.images["test"])
        summary[repeat, method] = Summary(
            method=method,
            repeat=repeat,
            validation_accuracy=float(samples.validation_accuracy.mean()),
            candidate_accuracy=float(samples.candidate_accuracy.mean()),
            overlap=float(error_overlap(~correct, given.wrong).mean()),
            mutual_overlap=mutual_overlap(~correct),
            distance=float(nearest.mean()),
            pairwise_distance=pairwise_distance(
                {name: samples.weights[name] for name in given.architecture.shapes()}
            ),
            broken=samples.broken,
        )
        accuracy += [
            Accuracy(method, repeat, model, 0, float(value))
            for model, value in enumerate(correct.mean(1))
        ]
    every = [(repeat, method) for repeat in range(len(draws)) for method in draws[0]]
    rows = [summary.get(at) or replace(summary[0, at[1]], repeat=at[0]) for at in every]
    return accuracy, rows


def _starts(draws: Draws, config: GenerateConfig) -> dict[tuple[str, int], Weights]:
    """Return the weights that are fine-tuned, by method and draw."""
    starts = {}
    for repeat, methods in enumerate(draws):
        for method, samples in methods.items():
            if config.finetune_methods and method not in config.finetune_methods:
                continue
            count = config.keep * (config.seeds if method in ONCE else 1)
            count = min(count, config.finetune_models or count)
            starts[method, repeat] = {n: v[:count] for n, v in samples.weights.items()}
    return starts


def _finetune(
    given: Material,
    starts: dict[tuple[str, int], Weights],
    recipe: TrainingConfig,
    config: GenerateConfig,
    seed: int,
    chunk: int,
    on_epoch: Callable[[], None],
) -> tuple[list[Accuracy], list[Ensemble]]:
    """Train on from all starts; epoch 0 has been scored, of more models."""
    if not starts:
        return [], []
    tuned = finetune(
        given.architecture,
        starts,
        given.images,
        recipe,
        epochs=config.finetune_epochs,
        seed=seed,
        chunk=chunk,
        device=given.generator.device,
        on_epoch=on_epoch,
    )
    rows: list[Accuracy] = []
    ensembles: list[Ensemble] = []
    for (method, repeat), found in tuned.items():
        for epoch, values in found.accuracy.items():
            together = found.ensemble[epoch]
            ensembles.append(Ensemble(method, repeat, len(values), epoch, together))
            if epoch:
                rows += [
                    Accuracy(method, repeat, model, epoch, float(value))
                    for model, value in enumerate(values)
                ]
    return rows, ensembles


def _write_samples(folder: Path, name: str, weights: Weights) -> None:
    """Write each sample as a safetensors state dict of the plain module."""
    folder.mkdir()
    for i in range(len(next(iter(weights.values())))):
        save_file(
            {name: np.ascontiguousarray(values[i]) for name, values in weights.items()},
            folder / f"{name}-{i:03d}.safetensors",
        )
