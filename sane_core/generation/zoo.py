"""Generate from a whole zoo: samplers and baselines, fine-tuning, novelty, and the front (§5.2)."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from sane_core.generation.candidates import Samples, Weights
from sane_core.generation.compare import draw_all
from sane_core.generation.finetune import finetune
from sane_core.generation.front import FrontPoint, sweep
from sane_core.generation.generator import Generator
from sane_core.generation.material import Sources, open_material
from sane_core.generation.novelty import error_overlap, mutual_overlap, nearest_distance
from sane_core.images.images import Images
from sane_core.zoo.population.score import score, stack
from schemas.config.embed import EmbedConfig
from schemas.config.generate import GenerateConfig
from schemas.config.training import TrainingConfig

DRAWN = ("sub", "kde30", "boot", "gauss", "noise", "interpolation", "scratch")
"""Methods that draw `keep` models anew in every repeat."""
UNSELECTED = ("prompts", "reconstruction", "global_reconstruction")
"""Methods that report all their models at epoch 0, and fine-tune as many as there are samples."""
ONCE = (*UNSELECTED, "prompts_selected", "best_prompt", "average")
"""Methods that do not depend on the draw: they count once."""
AT_ONCE = 50
"""Models fine-tuned at once."""


@dataclass(frozen=True)
class Accuracy:
    """Test accuracy of one model of a method's draw `repeat`, after fine-tuning for `epoch`."""

    method: str
    repeat: int
    model: int
    epoch: int
    test_accuracy: float


@dataclass(frozen=True)
class Summary:
    """One draw of a method.

    Attributes:
        method: Where the models come from.
        repeat: Number of the draw.
        validation_accuracy: Mean over the models kept.
        candidate_accuracy: Mean validation accuracy over all candidates.
        overlap: Mean over the models kept of the largest error overlap with a training model.
        mutual_overlap: Mean error overlap between the models kept.
        distance: Mean distance in weight space to the nearest training model.
        broken: Candidates that were not finite.
    """

    method: str
    repeat: int
    validation_accuracy: float
    candidate_accuracy: float
    overlap: float
    mutual_overlap: float
    distance: float
    broken: int


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
    """Draw, score, fine-tune and sweep; write the tables and the kept SUB samples.

    Args:
        sources: Folders of the stages that this one reads.
        recipe: The zoo's own training recipe, used for fine-tuning and scratch.
        epochs: Epochs SANE was trained on; their train checkpoints are the training models.
        config: What to draw.
        embed: Chunk sizes.
        seed: The run's seed.
        folder: Gets `accuracy.parquet`, `samples.parquet`, `front.parquet` and `samples/`.
        on_step: Called with (step, steps) after every draw, epoch of fine-tuning and point of the
            front.

    Returns:
        Metrics `generation.*` and `front.*`.
    """
    given = open_material(sources, epochs, config, embed, seed)
    generator, prompts, test = given.generator, given.prompts, given.images["test"]
    steps = count()
    total = _steps(config, len(prompts.latents), given.baseline is not None)

    def advance() -> None:
        if on_step:
            on_step(next(steps) + 1, total)

    draws = []
    for repeat in range(config.seeds):
        draws.append(draw_all(generator, prompts, recipe, config, seed, repeat, given.baseline))
        advance()
    summary = [
        _summarize(generator, method, repeat, samples, test, given.wrong, given.trained)
        for repeat, methods in enumerate(draws)
        for method, samples in methods.items()
    ]
    accuracy = _finetune(generator, draws, given.images, recipe, config, seed, advance)
    front = sweep(
        generator, prompts.latents, prompts.weights, test, given.wrong, config, seed, advance
    )

    for name, rows in (("accuracy", accuracy), ("samples", summary), ("front", front)):
        table = pa.Table.from_pylist([asdict(row) for row in rows])
        pq.write_table(table, folder / f"{name}.parquet")
    _write_samples(folder / "samples", draws[0]["sub"].weights)
    return _accuracy_metrics(accuracy) | _summary_metrics(summary) | _front_metrics(front)


def _summarize(
    generator: Generator,
    method: str,
    repeat: int,
    samples: Samples,
    test: Images,
    training_wrong: np.ndarray,
    training: Weights,
) -> Summary:
    correct, _ = score(generator.architecture, stack(generator.architecture, samples.weights), test)
    return Summary(
        method=method,
        repeat=repeat,
        validation_accuracy=float(samples.validation_accuracy.mean()),
        candidate_accuracy=float(samples.candidate_accuracy.mean()),
        overlap=float(error_overlap(~correct, training_wrong).mean()),
        mutual_overlap=mutual_overlap(~correct),
        distance=float(nearest_distance(samples.weights, training).mean()),
        broken=samples.broken,
    )


def _finetune(
    generator: Generator,
    draws: list[dict[str, Samples]],
    images: dict[str, Images],
    recipe: TrainingConfig,
    config: GenerateConfig,
    seed: int,
    on_epoch: Callable[[], None],
) -> list[Accuracy]:
    starts = {
        (method, repeat): _first(
            samples.weights, config.keep * (config.seeds if method in ONCE else 1)
        )
        for repeat, methods in enumerate(draws)
        for method, samples in methods.items()
        if method not in ONCE or repeat == 0
    }
    tuned = finetune(
        generator.architecture,
        starts,
        images,
        recipe,
        epochs=config.finetune_epochs,
        seed=seed,
        chunk=AT_ONCE,
        on_epoch=on_epoch,
    )
    rows = [
        Accuracy(method, repeat, model, epoch, float(value))
        for (method, repeat), by_epoch in tuned.items()
        for epoch, values in by_epoch.items()
        for model, value in enumerate(values)
        if epoch or method not in UNSELECTED
    ]
    for method in (name for name in UNSELECTED if name in draws[0]):
        everything = stack(generator.architecture, draws[0][method].weights)
        correct, _ = score(generator.architecture, everything, images["test"])
        rows += [Accuracy(method, 0, i, 0, float(value)) for i, value in enumerate(correct.mean(1))]
    return rows


def _steps(config: GenerateConfig, prompts: int, baseline: bool) -> int:
    """Return the number of draws, epochs of fine-tuning (per chunk) and points of the front."""
    samples = config.keep * config.seeds
    drawn = samples * (len(DRAWN) + baseline)
    members = drawn + (2 + baseline) * min(prompts, samples) + min(prompts, config.keep) + 2
    epochs = -(-members // AT_ONCE) * (max(0, *config.finetune_epochs) + 1)
    knobs = (*config.bandwidths, *config.noise_sizes, *config.interpolations)
    return config.seeds + epochs + config.seeds * len(knobs)


def _first(weights: Weights, count: int) -> Weights:
    return {name: values[:count] for name, values in weights.items()}


def _write_samples(folder: Path, weights: Weights) -> None:
    """Write each sample as a safetensors state dict of the plain module."""
    folder.mkdir()
    for i in range(len(next(iter(weights.values())))):
        save_file(
            {name: np.ascontiguousarray(values[i]) for name, values in weights.items()},
            folder / f"sub-{i:03d}.safetensors",
        )


def _accuracy_metrics(rows: list[Accuracy]) -> dict[str, float]:
    groups: dict[str, list[float]] = {}
    for row in rows:
        name = f"generation.accuracy.{row.method}.epoch{row.epoch}"
        groups.setdefault(name, []).append(row.test_accuracy)
    metrics = {name: float(np.mean(values)) for name, values in groups.items()}
    return metrics | {f"{name}.std": float(np.std(values)) for name, values in groups.items()}


def _summary_metrics(rows: list[Summary]) -> dict[str, float]:
    return {
        f"generation.{name}.{method}": float(
            np.mean([getattr(row, name) for row in rows if row.method == method])
        )
        for method in dict.fromkeys(row.method for row in rows)
        for name in ("candidate_accuracy", "overlap", "mutual_overlap", "distance", "broken")
    }


def _front_metrics(points: list[FrontPoint]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for sampler, knob in dict.fromkeys((point.sampler, point.knob) for point in points):
        mine = [point for point in points if (point.sampler, point.knob) == (sampler, knob)]
        for name in ("accuracy", "overlap"):
            values = [getattr(point, name) for point in mine]
            metrics[f"front.{sampler}.{knob:g}.{name}"] = float(np.mean(values))
            metrics[f"front.{sampler}.{knob:g}.{name}.std"] = float(np.std(values))
    return metrics
