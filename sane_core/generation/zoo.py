"""Generate from a whole zoo: samplers and baselines, fine-tuning, novelty, and the front (§5.2)."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from sane_core.architectures.registry import architecture_named
from sane_core.embedding.device import on_gpu
from sane_core.embedding.embed import encode, whole_models
from sane_core.generation.compare import Prompts, draw_all, embed_prompts
from sane_core.generation.finetune import finetune
from sane_core.generation.front import FrontPoint, sweep
from sane_core.generation.novelty import error_overlap, mutual_overlap, nearest_distance
from sane_core.generation.sample import Generator, Samples, Weights
from sane_core.images.files import read_images
from sane_core.images.images import Images
from sane_core.pretraining.files import load
from sane_core.weights.files import TokenSet, read_layers, read_statistics, read_tokens
from sane_core.weights.standardize import unstandardize
from sane_core.weights.tokens import detokenize
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
    """

    method: str
    repeat: int
    validation_accuracy: float
    candidate_accuracy: float
    overlap: float
    mutual_overlap: float
    distance: float


def generate_from_zoo(
    images: Path,
    tokens: Path,
    model: Path,
    recipe: TrainingConfig,
    epochs: tuple[int, ...],
    config: GenerateConfig,
    embed: EmbedConfig,
    seed: int,
    folder: Path,
    on_step: Callable[[int, int], None] | None = None,
    baseline: Path | None = None,
) -> dict[str, float]:
    """Draw, score, fine-tune and sweep; write the tables and the kept SUB samples.

    Args:
        images: Folder of the images stage.
        tokens: Folder of the preprocess stage.
        model: Folder of the pretrain stage.
        recipe: The zoo's own training recipe, used for fine-tuning and scratch.
        epochs: Epochs SANE was trained on; their train checkpoints are the training models.
        config: What to draw.
        embed: Chunk sizes.
        seed: The run's seed.
        folder: Gets `accuracy.parquet`, `samples.parquet`, `front.parquet` and `samples/`.
        on_step: Called with (step, steps) after every draw, epoch of fine-tuning and point of the
            front.
        baseline: Folder of the pretrain stage of an autoencoder with one latent per model; its
            samples are the method `global_kde30`.

    Returns:
        Metrics `generation.*` and `front.*`.
    """
    parts = read_images(images)
    training = read_tokens(tokens / "tokens", "train", epochs)
    generator = prepare(tokens, model, training, parts["validation"], embed)
    other = None
    if baseline:
        other = prepare(tokens, baseline, training, parts["validation"], whole_models(embed))
    trained = raw_weights(generator, training)
    wrong = ~score(generator.architecture, stack(generator.architecture, trained), parts["test"])[0]
    prompts = _prompts(generator, tokens, config)

    steps = count()
    total = _steps(config, len(prompts.latents), other is not None)

    def advance() -> None:
        if on_step:
            on_step(next(steps) + 1, total)

    draws = []
    for repeat in range(config.seeds):
        draws.append(draw_all(generator, prompts, recipe, config, seed, repeat, other))
        advance()
    summary = [
        _summarize(generator, method, repeat, samples, parts["test"], wrong, trained)
        for repeat, methods in enumerate(draws)
        for method, samples in methods.items()
    ]
    accuracy = _finetune(generator, draws, parts, recipe, config, seed, advance)
    front = sweep(
        generator, prompts.latents, prompts.weights, parts["test"], wrong, config, seed, advance
    )

    for name, rows in (("accuracy", accuracy), ("samples", summary), ("front", front)):
        table = pa.Table.from_pylist([asdict(row) for row in rows])
        pq.write_table(table, folder / f"{name}.parquet")
    _write_samples(folder / "samples", draws[0]["sub"].weights)
    return _accuracy_metrics(accuracy) | _summary_metrics(summary) | _front_metrics(front)


def prepare(
    tokens: Path, model: Path, training: TokenSet, validation: Images, embed: EmbedConfig
) -> Generator:
    """Load a trained SANE and measure its training latents' mean and standard deviation."""
    name = pq.read_table(tokens / "layers.parquet", columns=["architecture"])["architecture"][
        0
    ].as_py()
    autoencoder = on_gpu(load(model))
    latents = encode(autoencoder, training.values, training.positions, training.lengths, embed)
    return Generator(
        model=autoencoder,
        architecture=architecture_named(name),
        layers=read_layers(tokens / "layers.parquet"),
        statistics=read_statistics(tokens / "layers.parquet"),
        positions=training.positions,
        lengths=training.lengths,
        mean=latents.mean((0, 1), dtype=np.float64),
        scale=latents.std((0, 1), dtype=np.float64),
        embed=embed,
        validation=validation,
    )


def raw_weights(generator: Generator, tokens: TokenSet) -> Weights:
    """Undo tokenization and standardization; the weights stay in the aligned frame."""
    layers = generator.layers
    return unstandardize(detokenize(tokens.values, layers), layers, generator.statistics)


def _prompts(generator: Generator, tokens: Path, config: GenerateConfig) -> Prompts:
    examples = read_tokens(tokens / "tokens", "train", [config.prompt_epoch])
    weights = raw_weights(generator, examples)
    return embed_prompts(
        generator, {name: values[: config.prompts] for name, values in weights.items()}
    )


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
        for name in ("candidate_accuracy", "overlap", "mutual_overlap", "distance")
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
