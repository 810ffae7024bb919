"""Mean and standard deviation of a zoo's latents: the unit of bandwidths, and the prior of GAUSS.

They are over all tokens of all networks measured, dimension by dimension (paper §5.2).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from sane_core.api.description import Description, LatentRecord, ZooRecord
from sane_core.embedding.files import read_embeddings

POOLING = "sane_mean_std"
"""The pooling that moments over networks of equal length follow from."""


class Moments(NamedTuple):
    """What latents are drawn with.

    Attributes:
        mean: float64 [d_z].
        scale: Standard deviation, float64 [d_z].
        source: `training`, or `prompts` where the SANE does not know those of training.
    """

    mean: np.ndarray
    scale: np.ndarray
    source: Literal["training", "prompts"]


def moments_for(record: ZooRecord | None, latents: np.ndarray | None) -> Moments:
    """Return the moments of a zoo's training latents, or else those of the prompts.

    Args:
        record: The zoo that prompts are of; None where it is none of the SANE's.
        latents: The prompts', float32 [prompts, N, d_z]; None without prompts.

    Raises:
        ValueError: If neither is known.
    """
    if record is not None and record.latents is not None:
        return Moments(np.array(record.latents.mean), np.array(record.latents.std), "training")
    if latents is None:
        name = f"zoo {record.name}" if record is not None else "its zoos"
        raise ValueError(
            f"sampling without prompts needs the mean and deviation of the training latents, and "
            f"this SANE does not hold those of {name}; measure them (`sane model latents`), or "
            "give prompts"
        )
    mean, scale = latents.mean((0, 1), np.float64), latents.std((0, 1), np.float64)
    return Moments(mean, scale, "prompts")


def measure(latents: Iterable[np.ndarray]) -> LatentRecord:
    """Measure latents of networks of one length.

    Args:
        latents: Of each network, float32 [N, d_z].
    """
    each = [(one.mean(0, np.float64), one.std(0, np.float64)) for one in latents]
    return _together(*map(np.stack, zip(*each, strict=True)))


def of_embeddings(path: Path) -> LatentRecord | None:
    """Read the moments off a zoo's embeddings: those of its train split; None if it lacks them.

    Args:
        path: `embeddings.parquet` of the stage embeddings.
    """
    found = read_embeddings(path)
    train = found.split == "train"
    if POOLING not in found.vectors or not train.any():
        return None
    means, deviations = np.split(found.vectors[POOLING][train].astype(np.float64), 2, axis=1)
    return _together(means, deviations)


def with_moments(description: Description, moments: Mapping[str, LatentRecord]) -> Description:
    """Return a description that knows the moments of these zoos, by name; it is checked again."""
    zoos = tuple(
        zoo.model_copy(update={"latents": moments.get(zoo.name, zoo.latents)})
        for zoo in description.zoos
    )
    changed = description.model_copy(update={"zoos": zoos})
    return Description.model_validate(changed.model_dump())


def _together(means: np.ndarray, deviations: np.ndarray) -> LatentRecord:
    """Put together the moments of networks that have as many tokens each, [networks, d_z]."""
    mean = means.mean(0)
    variance = (deviations**2 + (means - mean) ** 2).mean(0)
    return LatentRecord(mean=tuple(mean.tolist()), std=tuple(np.sqrt(variance).tolist()))
