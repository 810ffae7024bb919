"""Everything needed to read properties of new models: gate, probes, and intervals.

`read_predictor(write_predictor(predictor)) == predictor`. Plain numbers in one safetensors file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from sane_core.probing.gate import Gate
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
        """Return float64 [models]: how far models are from the zoo; above 1 they are foreign."""
        features = gate_features(vectors[self.gate_pooling], statistics)
        return self.gate.distances(features) / self.gate.threshold

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


def gate_features(pooled: np.ndarray, statistics: np.ndarray) -> np.ndarray:
    """Return what a gate looks at: an embedding and s(W) side by side."""
    return np.concatenate([pooled.astype(np.float64), statistics.astype(np.float64)], axis=1)


def write_predictor(path: Path, predictor: Predictor) -> None:
    """Write a predictor."""
    gate = predictor.gate
    arrays = {f"gate.{name}": getattr(gate, name) for name in _GATE}
    described = {
        "gate": {name: getattr(gate, name) for name in ("rest", "threshold", "asked")},
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
    """Read what `write_predictor` wrote."""
    with safe_open(path, framework="numpy") as file:
        described = json.loads(file.metadata()["sane.predictor"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    gate = Gate(**{name: arrays[f"gate.{name}"] for name in _GATE}, **described["gate"])
    readings = {
        target: Reading(ridge=Ridge(*(arrays[f"{i}.{name}"] for name in _RIDGE)), **reading)
        for i, (target, reading) in enumerate(described["readings"].items())
    }
    return Predictor(gate, described["pooling"], readings)


_GATE = ("centre", "scale", "vectors", "values")
_RIDGE = ("coefficients", "further", "offset")
