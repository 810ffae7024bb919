"""Algorithm 1 as stages: a zoo, its tokens, its windows, and the autoencoder trained on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flows.made_zoo import MadeZoo, make_zoo
from schemas.config.benchmark import BenchmarkConfig, ZooSource
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.pretrain import PretrainConfig
from schemas.config.windows import WindowsConfig
from schemas.errors import UserError
from schemas.records import Artifact
from tasks.evaluation import EvaluationStage, evaluate
from tasks.model import PretrainStage, pretrain
from tasks.tokens import preprocess
from tasks.windows import compile_windows

Run = Callable[..., Artifact]
"""Runs one stage, `run(stage, config, **inputs)`, and returns its artifact."""


@dataclass(frozen=True)
class Compiled:
    """A zoo that an autoencoder can be trained on (Algorithm 1, i to iv).

    Attributes:
        name: The zoo.
        zoo: What was trained or ingested.
        epochs: Epochs that windows were cut from.
        tokens: Aligned, standardized, tokenized.
        windows: Cut and compiled.
    """

    name: str
    zoo: MadeZoo
    epochs: tuple[int, ...]
    tokens: Artifact
    windows: Artifact


def variant(run: Run, name: str) -> Run:
    """Return what runs the stages of a variant: tracked as such, where `run` can do that."""
    of: Callable[[str], Run] | None = getattr(run, "of", None)
    return of(name) if of else run


def compile_zoo(run: Run, config: BenchmarkConfig, source: ZooSource) -> Compiled:
    """Make a zoo, tokenize it and compile its windows.

    Raises:
        UserError: If the zoo cannot be had, or lacks what an experiment needs.
    """
    zoo = make_zoo(run, config, source)
    asked = [name for name in ("generate", "transfer") if name in config.experiments]
    if asked and (zoo.images is None or zoo.training is None):
        raise UserError(
            f"experiment {asked[0]} needs the images and the recipe of zoo {source.name}, which "
            "was trained elsewhere; name a recipe (trained_like), give images and training, or "
            f"leave {' and '.join(asked)} out of experiments"
        )
    return cut(run, source.name, zoo, config.preprocess, config.windows)


def cut(
    run: Run, name: str, zoo: MadeZoo, tokens: PreprocessConfig, windows: WindowsConfig
) -> Compiled:
    """Tokenize a zoo and compile its windows."""
    chosen = windows.epochs(zoo.epochs[-1])
    made = run(preprocess, tokens, zoo=zoo.artifact)
    # Who reads the windows changes nothing in them: another reader compiles nothing again.
    settings = windows.model_copy(update={"reader": "ffcv"})
    compiled = run(compile_windows, settings, tokens=made)
    epochs = tuple(epoch for epoch in zoo.epochs if epoch in chosen)
    return Compiled(name, zoo, epochs, made, compiled)


def train(run: Run, config: BenchmarkConfig, zoos: Sequence[Compiled]) -> Artifact:
    """Train one autoencoder on the windows of all of these zoos (Algorithm 1, v)."""
    return train_as(run, config.pretrain, config.windows.reader, zoos)


def train_as(run: Run, settings: PretrainConfig, reader: str, zoos: Sequence[Compiled]) -> Artifact:
    """Train an autoencoder by these settings."""
    inputs = {f"windows_{i}": zoo.windows for i, zoo in enumerate(zoos)}
    if settings.behaviour.weight:
        for i, zoo in enumerate(zoos):
            inputs[f"tokens_{i}"], inputs[f"zoo_{i}"] = zoo.tokens, zoo.zoo.artifact
            if zoo.zoo.images:
                inputs[f"images_{i}"] = zoo.zoo.images
    return run(pretrain, PretrainStage(pretrain=settings, reader=reader), **inputs)


def evaluate_on(
    run: Run, zoo: Compiled, model: Artifact, embed: EmbedConfig, windows: tuple[int, ...] = ()
) -> Artifact:
    """Measure what an autoencoder loses of a zoo's networks."""
    stage = EvaluationStage(embed=embed, epochs=zoo.epochs, windows=windows)
    return run(evaluate, stage, tokens=zoo.tokens, model=model)
