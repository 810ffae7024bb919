"""Read properties of new networks: what the probes of a zoo say, and whether they may say it.

    from sane_core.api.properties import read_properties
    from sane_core.probing.predictor import read_predictor

    read_properties(sane, read_predictor(path), ["a.pt", module])

A network that is unlike the zoo is called foreign before anything is predicted, and nothing is
predicted of it. One of other entries than the zoo's is foreign without a look at its weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sane_core.api.description import ZooRecord
from sane_core.api.given import Given, Weights, take_all
from sane_core.api.sane import Sane
from sane_core.probing.predictor import Prediction, Predictor
from sane_core.probing.statistics import weight_statistics

_PREFIX = "sane_"


@dataclass(frozen=True)
class Properties:
    """What was read of some networks, in the order they were given.

    Attributes:
        foreign: bool [networks], unlike the zoo: nothing is said of them.
        distance: float64 [networks], from the zoo, above 1 for foreign ones.
        values: Property -> prediction and interval; NaN of foreign networks.
    """

    foreign: np.ndarray
    distance: np.ndarray
    values: dict[str, Prediction]


def read_properties(
    sane: Sane, predictor: Predictor, models: Sequence[Weights], zoo: str | None = None
) -> Properties:
    """Embed networks and read their properties.

    Args:
        sane: That the probes were fitted on.
        predictor: What the stage `probes` left of the zoo.
        models: Modules, state dicts, checkpoint files.
        zoo: The zoo of the probes, where the SANE was trained on several.

    Raises:
        ValueError: If a network cannot be used, or the SANE knows no such zoo.
    """
    record = _zoo_of(sane, zoo)
    given, _ = take_all(list(models))
    like = np.array([record.fits(each.shapes) for each in given])
    found = Properties(
        foreign=~like,
        distance=np.full(len(given), np.inf),
        values={
            target: Prediction(*(np.full(len(given), np.nan) for _ in range(3)))
            for target in predictor.readings
        },
    )
    if like.any():
        members = [model for model, own in zip(models, like, strict=True) if own]
        own = [each for each, fits in zip(given, like, strict=True) if fits]
        _fill(found, like, sane, predictor, members, own, record)
    return found


def _fill(
    found: Properties,
    like: np.ndarray,
    sane: Sane,
    predictor: Predictor,
    models: Sequence[Weights],
    given: Sequence[Given],
    record: ZooRecord,
) -> None:
    """Write what is read of the networks that have the zoo's entries into the result."""
    poolings = {predictor.gate_pooling, *(r.pooling for r in predictor.readings.values())}
    vectors = {
        name: sane.embed(models, pooling=name.removeprefix(_PREFIX), zoo=record.name).vectors
        for name in sorted(poolings)
    }
    entries = [name for layer in record.layers for name in layer.entries]
    weights = {name: np.stack([each.entries[name] for each in given]) for name in entries}
    statistics = weight_statistics(weights, record.layers)
    found.foreign[like] = predictor.foreign(vectors, statistics)
    found.distance[like] = predictor.distances(vectors, statistics)
    for target, read in predictor.predict(vectors, statistics).items():
        into = found.values[target]
        into.values[like], into.low[like], into.high[like] = read.values, read.low, read.high


def _zoo_of(sane: Sane, name: str | None) -> ZooRecord:
    zoos = {zoo.name: zoo for zoo in sane.description.zoos}
    if name is None and len(zoos) > 1:
        raise ValueError(f"zoo must be one of {', '.join(zoos)}: this SANE was trained on several")
    if name is not None and name not in zoos:
        raise ValueError(f"zoo must be one of {', '.join(zoos)}, got {name!r}")
    return zoos[name] if name is not None else next(iter(zoos.values()))
