"""What a trial runs, and the one number that it is judged by."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from flows.algorithm import Compiled, compile_zoo, train
from flows.session import TOGETHER, Session
from sane_core.embedding.files import read_embeddings
from sane_core.probing.validation import check_target, validation_r2
from schemas.config.benchmark import BenchmarkConfig
from schemas.errors import ConfigError, SaneError
from schemas.records import Artifact
from tasks.embeddings import EmbedStage, embed

CHECKPOINTS = "checkpoints.parquet"


def prepare(session: Session, config: BenchmarkConfig, target: str | None) -> list[Compiled]:
    """Make what comes before training: zoos, tokens and windows.

    Raises:
        ConfigError: The zoo knows no such property to probe for.
    """
    zoos = [compile_zoo(session.for_zoo(zoo.name), config, zoo) for zoo in config.zoos]
    for zoo in zoos:
        if target is None:
            break
        try:
            check_target(session.store.open(zoo.tokens).file(CHECKPOINTS), target)
        except ValueError as error:
            raise ConfigError(f"{error}; correct `objective`") from None
    return zoos


def measure(
    session: Session, config: BenchmarkConfig, zoos: Sequence[Compiled], objective: str
) -> float:
    """Train, and return the objective; the mean over the zoos, where it is a probe's.

    Raises:
        Stopped: A watcher has seen enough.
        SaneError: Training failed, or the objective is not a number.
    """
    name = TOGETHER if config.together else zoos[0].name
    model = train(session.for_zoo(name), config, zoos)
    if objective.startswith("probe."):
        probe = partial(_probe, session, config, model, objective.removeprefix("probe."))
        value = float(np.mean([probe(zoo) for zoo in zoos]))
    else:
        value = session.store.manifest(model).metrics[f"pretrain.{objective}"]
    if not np.isfinite(value):
        raise SaneError(f"{objective} must be a finite number, got {value}")
    return value


def promise(objective: str, record: Mapping[str, Any]) -> float:
    """Return how good an epoch is, larger or smaller being better as it is for the objective.

    A probe is not run after every epoch: the reconstruction on validation runs stands for it.
    """
    if objective.startswith("probe."):
        return -float(record["validation_reconstruction"])
    return float(record[objective])


def _probe(
    session: Session, config: BenchmarkConfig, model: Artifact, target: str, zoo: Compiled
) -> float:
    only_mean = config.embed.embedding().model_copy(update={"poolings": ("mean",)})
    stage = EmbedStage(embed=only_mean, epochs=zoo.epochs)
    made = session.for_zoo(zoo.name)(embed, stage, tokens=zoo.tokens, model=model)
    pooled = read_embeddings(session.store.open(made).file("embeddings.parquet"))
    checkpoints = session.store.open(zoo.tokens).file(CHECKPOINTS)
    try:
        return validation_r2(checkpoints, pooled, target, config.probe.lambdas)
    except ValueError as error:
        raise SaneError(f"probe.{target} cannot be measured: {error}") from None
