"""Everything needed to read properties of new models: gate, probes, and intervals.

`read_predictor(write_predictor(predictor)) == predictor`. Plain numbers in one safetensors file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from sane_core.probing.gate import Block, Gate
from sane_core.probing.linear import Ridge


@dataclass(frozen=True)
class Reading:
    """How one number is read.

    Attributes:
        pooling: The features that it is read from, s(W) beside them.
        ridge: Their coefficients.
        half_width: Of the calibrated interval; infinite if there were too few runs.
        asked: Share of checkpoints of new runs that the interval is to hold.
    """

    pooling: str
    ridge: Ridge
    half_width: float
    asked: float


@dataclass(frozen=True)
class Prediction:
    """One number, of several models.

    Attributes:
        values: float64 [models]; NaN where the model is foreign.
        low: float64 [models], lower end of the interval.
        high: float64 [models], upper end.
    """

    values: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Predictor:
    """Reads properties of models that are like a zoo's.

    Attributes:
        gate: Decides which models are.
        gate_pooling: The pooling that it looks at, beside s(W).
        readings: Property -> how it is read.
    """

    gate: Gate
    gate_pooling: str
    readings: dict[str, Reading]

    def foreign(self, vectors: Mapping[str, np.ndarray], statistics: np.ndarray) -> np.ndarray:
        """Return bool [models]: whether models are unlike the zoo.

        Args:
            vectors: Pooling -> float [models, d].
            statistics: s(W), float [models, 7 · L].
        """
        return self.distances(vectors, statistics) > 1

    def distances(self, vectors: Mapping[str, np.ndarray], statistics: np.ndarray) -> np.ndarray:
        """Return float64 [models]: how far models are from the zoo; above 1 they are foreign.

        Raises:
            ValueError: If embeddings are of another width, so of another model.
        """
        pooled, wanted = vectors[self.gate_pooling], len(self.gate.embedding.centre)
        if pooled.shape[1] != wanted:
            raise ValueError(
                f"embeddings {self.gate_pooling} must have {wanted} dimensions, as those that "
                f"probes were fitted on, got {pooled.shape[1]}; take the model that they were "
                "fitted on"
            )
        return self.gate.distances(pooled, statistics)

    def predict(
        self, vectors: Mapping[str, np.ndarray], statistics: np.ndarray
    ) -> dict[str, Prediction]:
        """Read every property; of a foreign model nothing is said.

        Args:
            vectors: Pooling -> float [models, d].
            statistics: s(W), float [models, 7 · L].
        """
        foreign = self.foreign(vectors, statistics)
        made = {}
        for target, reading in self.readings.items():
            values = reading.ridge.predict(vectors[reading.pooling], statistics)[:, 0]
            values = np.where(foreign, np.nan, values)
            half = reading.half_width
            made[target] = Prediction(values, values - half, values + half)
        return made


def write_predictor(path: Path, predictor: Predictor) -> None:
    """Write a predictor."""
    blocks = {name: getattr(predictor.gate, name) for name in _BLOCKS}
    arrays = {
        f"{of}.{name}": getattr(block, name) for of, block in blocks.items() for name in _GATE
    }
    described = {
        "gate": {of: {"rest": block.rest, "unit": block.unit} for of, block in blocks.items()},
        "asked": predictor.gate.asked,
        "pooling": predictor.gate_pooling,
        "readings": {
            target: {"pooling": r.pooling, "half_width": r.half_width, "asked": r.asked}
            for target, r in predictor.readings.items()
        },
    }
    for i, reading in enumerate(predictor.readings.values()):
        arrays |= {f"{i}.{name}": getattr(reading.ridge, name) for name in _RIDGE}
    arrays = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    save_file(arrays, path, metadata={"sane.predictor": json.dumps(described)})


def read_predictor(path: Path) -> Predictor:
    """Read what `write_predictor` wrote.

    Raises:
        ValueError: If it is no such file.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            described = json.loads(file.metadata()["sane.predictor"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} must be the probes' predictor.safetensors, got: {error!r}"
        ) from error
    embedding, statistics = (
        Block(**{name: arrays[f"{of}.{name}"] for name in _GATE}, **described["gate"][of])
        for of in _BLOCKS
    )
    gate = Gate(embedding, statistics, described["asked"])
    readings = {
        target: Reading(ridge=Ridge(*(arrays[f"{i}.{name}"] for name in _RIDGE)), **reading)
        for i, (target, reading) in enumerate(described["readings"].items())
    }
    return Predictor(gate, described["pooling"], readings)


_BLOCKS = ("embedding", "statistics")
_GATE = ("centre", "scale", "vectors", "values")
_RIDGE = ("coefficients", "further", "offset")
