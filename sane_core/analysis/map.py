"""A map of a zoo: every checkpoint as a point, for the page that one looks at it on.

Positions are the first two principal components of the embedding, in the space that distances are
measured in (`neighbours.py`); neighbours are those of the whole embedding, not of the map. Equal
inputs give equal maps: there is no draw in it, and a component's largest loading is positive.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.analysis.neighbours import Space, blocks, evenly, nearest, pooling_of
from sane_core.embedding.files import Embeddings
from sane_core.zoo.rows import rows_of
from schemas.tables import CHECKPOINTS

NEIGHBOURS = 5
"""Other runs that a point knows the nearest checkpoint of."""
MOST_POINTS = 50_000
"""Points of a map; of a larger zoo, evenly spaced runs are shown, whole."""
MOST_FIELDS = 30
"""Hyper-parameters that points can be coloured by."""
_DIGITS = 4
_PLAIN = [
    name
    for name in CHECKPOINTS.names
    if name.endswith(("_accuracy", "_loss")) or name == "generalization_gap"
]
"""Metrics that points can be coloured by."""


@dataclass(frozen=True)
class Principal:
    """Points on their first two principal components.

    Attributes:
        scores: float64 [n, 2].
        explained: Share of the variance that each of the two holds.
    """

    scores: np.ndarray
    explained: tuple[float, float]


def draw_map(
    embeddings: Embeddings,
    checkpoints: pa.Table,
    neighbours: int = NEIGHBOURS,
    most: int = MOST_POINTS,
) -> dict[str, Any]:
    """Return the map as plain values for JSON.

    Args:
        embeddings: Of a zoo.
        checkpoints: The zoo's checkpoints table.
        neighbours: Other runs, the nearest, of which each point knows the nearest checkpoint.
        most: Points at most.

    Returns:
        `x`, `y`, `run` (place in `runs`) and `epoch` per point, by run and epoch; `neighbours` and
        `distances`, `k` per point in a row; `fields` to colour by; what else the page says.

    Raises:
        ValueError: If a checkpoint of the embeddings is not in the table, or a value not finite.
    """
    pooling = pooling_of({name: v.shape[1] for name, v in embeddings.vectors.items()})
    rows = _shown(embeddings, most)
    vectors, runs = embeddings.vectors[pooling][rows], embeddings.runs[rows]
    points = Space.of(vectors).place(vectors)
    table = checkpoints.take(rows_of(checkpoints, runs, embeddings.epochs[rows]))
    numbers, of_run = np.unique(runs, return_inverse=True)
    fields, constants = _fields(table, embeddings.split[rows], of_run)
    found = principal(points)
    return {
        "pooling": pooling,
        "dimensions": vectors.shape[1],
        "checkpoints": len(embeddings.runs),
        "all_runs": len(np.unique(embeddings.runs)),
        "runs": _run_names(table, of_run, numbers),
        "explained": [round(share, _DIGITS) for share in found.explained],
        "x": _rounded(found.scores[:, 0]),
        "y": _rounded(found.scores[:, 1]),
        "run": of_run.tolist(),
        "epoch": embeddings.epochs[rows].tolist(),
        "fields": fields,
        "constants": constants,
    } | _neighbours(points, runs, neighbours)


def write_map(path: Path, drawn: Mapping[str, Any]) -> None:
    """Write a map as JSON."""
    path.write_text(json.dumps(drawn, separators=(",", ":"), allow_nan=False), encoding="ascii")


def read_checkpoints(zoo: Path) -> pa.Table:
    """Return the checkpoints table of a zoo's folder."""
    return pq.read_table(zoo / "checkpoints.parquet")


def principal(points: np.ndarray) -> Principal:
    """Return points [n, d] on their first two principal components, by exact eigenvectors.

    Of the covariance or of the products of points, whichever is smaller.
    """
    mean = points.mean(axis=0, dtype=np.float64)
    if len(points) < points.shape[1]:
        centred = points - mean
        values, vectors = _leading(centred @ centred.T)
        axes, scores = centred.T @ vectors, vectors * np.sqrt(values)
    else:
        values, vectors = _leading(sum((p - mean).T @ (p - mean) for p in blocks(points)))
        axes, scores = vectors, np.concatenate([(p - mean) @ vectors for p in blocks(points)])
    signs = np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0))
    total = sum(float(((part - mean) ** 2).sum()) for part in blocks(points))
    missing = 2 - scores.shape[1]  # one point, or one dimension
    shares = [*(values / total if total else 0 * values), *[0.0] * missing]
    placed = np.pad(scores * signs, ((0, 0), (0, missing)))
    return Principal(placed, (float(shares[0]), float(shares[1])))


def _leading(symmetric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the two largest eigenvalues and their vectors, or the one that there is."""
    values, vectors = np.linalg.eigh(symmetric)
    return values[::-1][:2].clip(min=0), vectors[:, ::-1][:, :2]


def _shown(embeddings: Embeddings, most: int) -> np.ndarray:
    """Return the rows of the map by run and epoch: all, or those of evenly spaced runs."""
    order = np.lexsort((embeddings.epochs, embeddings.runs))
    if len(order) <= most:
        return order
    runs, counts = np.unique(embeddings.runs, return_counts=True)
    kept = runs[evenly(len(runs), max(1, most // int(counts.max())))]
    return order[np.isin(embeddings.runs[order], kept)][:most]


def _run_names(table: pa.Table, of_run: np.ndarray, numbers: np.ndarray) -> list[str]:
    """Return what each run is called: its number, and what it was called where it was made."""
    first = np.unique(of_run, return_index=True)[1]
    names = table["run_name"].take(first).to_pylist()
    pairs = zip(numbers.tolist(), names, strict=True)
    return [f"{number}: {name}" if name else str(number) for number, name in pairs]


def _fields(
    table: pa.Table, split: np.ndarray, of_run: np.ndarray
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return what points are coloured by, and what is the same for all of them."""
    columns = dict(_columns(table, split))
    found: list[dict[str, Any]] = []
    constants: dict[str, Any] = {}
    for name, values in columns.items():
        known = {value for value in values if value is not None}
        if len(known) == 1 and None not in values and name not in ("epoch", "split"):
            constants[name] = known.pop()
        elif known and len(found) < MOST_FIELDS:
            found.append(_field(name, values, of_run))
    return found, constants


def _columns(table: pa.Table, split: np.ndarray) -> Iterator[tuple[str, list[Any]]]:
    for name in (name for name in _PLAIN if name in table.column_names):
        yield name, [_number(value) for value in table[name].to_pylist()]
    yield "epoch", table["epoch"].to_pylist()
    yield "split", split.tolist()
    yield "architecture", table["architecture"].to_pylist()
    if "hyperparameters" in table.column_names:
        rows = table["hyperparameters"].to_pylist()
        for name in [field.name for field in table.schema.field("hyperparameters").type]:
            clash = name in CHECKPOINTS.names
            shown = f"{name} (hyper-parameter)" if clash else name
            yield shown, [_number((row or {}).get(name)) for row in rows]


def _field(name: str, values: list[Any], of_run: np.ndarray) -> dict[str, Any]:
    """Return a field; with one value per run where it does not change within runs."""
    first = np.unique(of_run, return_index=True)[1].tolist()
    short = [values[i] for i in first]
    by_run = all(short[run] == value for run, value in zip(of_run.tolist(), values, strict=True))
    numbers = all(isinstance(value, int | float) for value in values if value is not None)
    return {
        "name": name,
        "numbers": numbers,
        "by_run": by_run,
        "values": short if by_run else values,
    }


def _number(value: Any) -> Any:
    """Return a float with as many digits as a page shows; what is not finite is not known."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None


def _neighbours(points: np.ndarray, runs: np.ndarray, wanted: int) -> dict[str, Any]:
    """Return the nearest checkpoints, one of each other run, as many as there are."""
    k = min(wanted, len(np.unique(runs)) - 1)
    if k < 1:
        return {"k": 0, "neighbours": [], "distances": []}
    found = nearest(points, points, k, runs, runs)
    return {
        "k": k,
        "neighbours": found.rows.ravel().tolist(),
        "distances": _rounded(found.distances.ravel()),
    }


def _rounded(values: np.ndarray) -> list[float]:
    return (np.round(values, _DIGITS) + 0.0).tolist()  # + 0: no -0.0
