"""Transfer a zoo's SANE to a target: draw, fine-tune, compare (paper §5.2; Tables 5, 13 to 17).

Every network of every method is fine-tuned in one population: the i-th of each sees the same
batches, under one schedule over exactly the epochs of the whole fine-tuning.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from sane_core.architectures.registry import architecture_named
from sane_core.generation.candidates import Samples, Weights
from sane_core.generation.control import Control, epochs_that_cost_as_much
from sane_core.generation.finetune import AT_ONCE, epochs_of_chunks, finetune, models_at_once
from sane_core.generation.material import Sources
from sane_core.generation.novelty import (
    error_overlap,
    mutual_overlap,
    nearest_distance,
    pairwise_distance,
)
from sane_core.generation.rows import Summary, write_rows
from sane_core.generation.sharpen_zoo import sharpening_of
from sane_core.generation.transfer_decoders import with_decoders
from sane_core.generation.transfer_draw import draw, fresh_networks
from sane_core.generation.transfer_prompts import Prompted, prompts_of_target, prompts_of_zoo
from sane_core.generation.transfer_rows import (
    TransferAccuracy,
    TransferEnsemble,
    transfer_metrics,
)
from sane_core.generation.transfer_target import Target, open_target
from schemas.config.augmented import Augmented
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.training import TrainingConfig
from schemas.config.transfer import SHARPENED, TARGET_PROMPT_EPOCHS, TransferTarget


@dataclass(frozen=True)
class TransferSources:
    """Folders that a transfer reads.

    Attributes:
        zoo: Of the zoo's stages; its others are sharpened decoders, and `global`.
        images: Of the target's stage `images`.
    """

    zoo: Sources
    images: Path


def transfer_to(
    sources: TransferSources,
    config: TransferTarget,
    recipe: TrainingConfig,
    epochs: tuple[int, ...],
    embed: EmbedConfig,
    preprocess: PreprocessConfig,
    seed: int,
    folder: Path,
    on_step: Callable[[int, int], None] | None = None,
    zoo_augmented: Augmented = Augmented(),  # noqa: B008 (frozen)
) -> dict[str, float]:
    """Make networks for one target, fine-tune them beside others, and write the tables.

    Args:
        sources: Folders.
        config: The target.
        recipe: How its networks are trained, but for the number of epochs.
        epochs: Epochs SANE was trained on.
        embed: Chunk sizes.
        preprocess: As the zoo was made into tokens.
        seed: The run's seed.
        folder: Gets `accuracy.parquet`, `ensembles.parquet`, `samples.parquet`, `target.json`,
            `samples/`, and where prompts are the target's own, their frame.
        on_step: Called with (step, steps) after every epoch of training.
        zoo_augmented: How the zoo's networks saw their train images.

    Returns:
        Metrics `transfer.<target>.…`.

    Raises:
        ValueError: If the target cannot be transferred to; see `open_target`.
    """
    name = pq.read_table(sources.zoo.tokens / "layers.parquet", columns=["architecture"])
    zoo = architecture_named(name["architecture"][0].as_py())
    target = open_target(config, sources.images, zoo, Augmented.of(recipe))
    longer = _control(sources.zoo.others, target, recipe)
    steps, total = count(1), _steps(config, AT_ONCE, longer)

    def advance() -> None:
        if on_step:
            on_step(next(steps), total)

    if config.prompts == "zoo":
        given = prompts_of_zoo(sources.zoo, epochs, target, embed, seed, zoo_augmented)
    else:
        given = prompts_of_target(
            sources.zoo, epochs, target, recipe, embed, preprocess, seed, advance
        )
    given = with_decoders(given, sources.zoo, epochs, embed)
    chunk = models_at_once(target.architecture, recipe, seed, given.generator.device)
    total = _steps(config, chunk, longer)
    if longer:
        given = replace(given, control=Control(longer, chunk, advance))
    fresh = fresh_networks(given, recipe, seed)
    drawn = draw(given, config.methods, seed)
    settled = {method: given.settle(samples, fresh) for method, samples in drawn.items()}
    starts = {str(method): settled.get(method, fresh) for method in config.methods}
    accuracy, ensembles = _finetuned(given, starts, recipe, seed, chunk, advance)

    write_rows(folder / "accuracy.parquet", TransferAccuracy, accuracy)
    write_rows(folder / "ensembles.parquet", TransferEnsemble, ensembles)
    write_rows(folder / "samples.parquet", Summary, _summaries(given, drawn, settled))
    _write_facts(folder / "target.json", given, zoo.name, max(epochs))
    if given.frame:
        given.frame.write(folder, target.architecture.name, given.generator.model.shape.d_t)
    _write_samples(folder / "samples", {m: w for m, w in settled.items() if m == "sub"})
    return transfer_metrics(accuracy, ensembles)


def _control(
    others: Mapping[str, Path], target: Target, recipe: TrainingConfig
) -> TrainingConfig | None:
    """Return the recipe over as many epochs as the decoder's sharpening cost, if asked for.

    Raises:
        ValueError: If there is no such decoder, or it was not sharpened.
    """
    if "noise_trained" not in target.config.methods:
        return None
    decoder = SHARPENED["sharpened_sub"]
    if decoder not in others:
        raise ValueError("noise_trained needs the decoder that it costs as much as: sharpen one")
    sharpening = sharpening_of(others[decoder])
    candidates, images = target.config.candidates, len(target.images["train"])
    epochs = epochs_that_cost_as_much(sharpening, candidates, images)
    return recipe.model_copy(update={"epochs": epochs})


def _steps(config: TransferTarget, chunk: int, control: TrainingConfig | None) -> int:
    """Return how many epochs are trained, at most."""
    models = config.keep * len(config.methods)
    trained = sum(epochs_of_chunks(models, [length], chunk) for length in config.whole_lengths)
    if control:
        trained += epochs_of_chunks(config.candidates, [control.epochs], chunk)
    if config.prompts == "zoo":
        return trained
    return trained + 1 + (config.prompt_epochs or TARGET_PROMPT_EPOCHS)


def _finetuned(
    given: Prompted,
    starts: Mapping[str, Weights],
    recipe: TrainingConfig,
    seed: int,
    chunk: int,
    on_epoch: Callable[[], None],
) -> tuple[list[TransferAccuracy], list[TransferEnsemble]]:
    """Train on from all starts, once for every length of a whole fine-tuning."""
    accuracy: list[TransferAccuracy] = []
    ensembles: list[TransferEnsemble] = []
    target, name = given.target, given.target.config.name
    for length in target.config.whole_lengths:
        tuned = finetune(
            target.architecture,
            starts,
            target.images,
            recipe,
            epochs=target.config.epochs_within(length),
            seed=seed,
            chunk=chunk,
            device=given.generator.device,
            on_epoch=on_epoch,
        )
        for method, found in tuned.items():
            for epoch, values in found.accuracy.items():
                at = (length, epoch)
                together = found.ensemble[epoch]
                ensembles.append(TransferEnsemble(name, method, 0, len(values), *at, together))
                accuracy += [
                    TransferAccuracy(name, method, 0, model, *at, float(value))
                    for model, value in enumerate(values)
                ]
    return accuracy, ensembles


def _summaries(
    given: Prompted, drawn: Mapping[str, Samples], settled: Mapping[str, Weights]
) -> list[Summary]:
    """Describe what was kept; novelty is over the prompts, and not known with a new head."""
    generator, test = given.generator, given.target.images["test"]
    cut = [name for layer in generator.layers for name in layer.entries]
    prompts = {name: given.prompts.weights[name] for name in cut}
    known = None if given.head else ~generator.correct(given.prompts.weights, test)
    rows = []
    for method, samples in drawn.items():
        overlap = mutual = float("nan")
        if known is not None:
            correct = generator.correct(settled[method], test)
            overlap = float(error_overlap(~correct, known).mean())
            mutual = mutual_overlap(~correct)
        rows.append(
            Summary(
                method=method,
                repeat=0,
                validation_accuracy=float(samples.validation_accuracy.mean()),
                candidate_accuracy=float(samples.candidate_accuracy.mean()),
                overlap=overlap,
                mutual_overlap=mutual,
                distance=float(nearest_distance(samples.weights, prompts).mean()),
                pairwise_distance=pairwise_distance({n: samples.weights[n] for n in cut}),
                broken=samples.broken,
            )
        )
    return rows


def _write_facts(path: Path, given: Prompted, zoo: str, last: int) -> None:
    """Write what a reader of the tables needs to know of the target, without any wall time."""
    target, config = given.target, given.target.config
    validation = given.prompts.validation_accuracy
    default = last if config.prompts == "zoo" else TARGET_PROMPT_EPOCHS
    facts = {
        "target": config.name,
        "zoo_architecture": zoo,
        "architecture": target.architecture.name,
        "dataset": target.dataset,
        "classes": int(1 + max(part.labels.max() for part in target.images.values())),
        "images": {part: len(images) for part, images in target.images.items()},
        "prompts": config.prompts,
        "prompt_count": len(validation),
        "prompt_epochs": default if config.prompt_epochs is None else config.prompt_epochs,
        "prompt_validation_accuracy": [round(float(value), 6) for value in validation],
        "new_head": target.new_head,
        "selected_on": "zoo" if target.new_head else "target",
        "frame": "zoo" if config.prompts == "zoo" else config.frame,
        "tokens": len(given.generator.positions),
        "candidates": config.candidates,
        "bandwidth": config.bandwidth,
        "lengths": list(config.whole_lengths),
    }
    if config.decoders:
        facts["sharpened_on"] = config.sharpened_on
    if given.control:
        facts["noise_trained_epochs"] = given.control.recipe.epochs
    path.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _write_samples(folder: Path, samples: Mapping[str, Weights]) -> None:
    """Write each sample as a safetensors state dict of the plain module."""
    folder.mkdir()
    for method, weights in samples.items():
        for i in range(len(next(iter(weights.values())))):
            save_file(
                {name: np.ascontiguousarray(values[i]) for name, values in weights.items()},
                folder / f"{method}-{i:03d}.safetensors",
            )
