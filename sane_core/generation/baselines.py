"""The honest baselines of sampling, all in weight space and selected the same way as samples.

A sampler is worth something only where it beats its own prompts with a little noise added, or
mixed with one another.
"""

from collections.abc import Mapping

import numpy as np

from sane_core.generation.candidates import Weights
from sane_core.weights.layers import Layer

SHARE = 0.25
"""Of the second prompt in the method `interpolation`."""


def with_noise(
    prompts: Mapping[str, np.ndarray],
    layers: tuple[Layer, ...],
    size: float,
    count: int,
    rng: np.random.Generator,
) -> Weights:
    """Draw prompts with Gaussian noise on every weight.

    Args:
        prompts: Entry -> float32 [prompts, ...]; those in no layer stay as they are.
        layers: Layers of the architecture.
        size: Noise in units of the standard deviation of the layer's weights over the prompts.
        count: Models to draw.
        rng: Source of the draw.
    """
    index = rng.integers(len(next(iter(prompts.values()))), size=count)
    noisy = {}
    for layer in layers:
        names = layer.entries
        scale = np.concatenate([prompts[name].ravel() for name in names]).std()
        for name in names:
            noise = rng.standard_normal((count, *prompts[name].shape[1:]))
            noisy[name] = (prompts[name][index] + size * scale * noise).astype(np.float32)
    return noisy | _others(prompts, noisy, index)


def with_matched_noise(
    prompts: Mapping[str, np.ndarray],
    samples: Mapping[str, np.ndarray],
    index: np.ndarray,
    layers: tuple[Layer, ...],
    rng: np.random.Generator,
) -> Weights:
    """Put noise on each sample's own prompt, as far away per layer as the sample is from it.

    Args:
        prompts: Entry -> float32 [prompts, ...].
        samples: Entry -> float32 [samples, ...].
        index: The prompt of each sample, int64 [samples].
        layers: Layers of the architecture.
        rng: Source of the draw.
    """
    noisy: Weights = {}
    for layer in layers:
        names = layer.entries
        noise = {name: rng.standard_normal(samples[name].shape) for name in names}
        distance = _norm([samples[name] - prompts[name][index] for name in names])
        length = _norm(list(noise.values()))
        for name in names:
            ratio = (distance / length).reshape(-1, *[1] * (noise[name].ndim - 1))
            noisy[name] = (prompts[name][index] + ratio * noise[name]).astype(np.float32)
    return noisy | _others(prompts, noisy, index)


def interpolated(
    prompts: Mapping[str, np.ndarray], share: float, count: int, rng: np.random.Generator
) -> Weights:
    """Mix each of `count` random prompts with another one: (1 - share) · first + share · second."""
    return interpolated_from(prompts, share, count, rng)[0]


def interpolated_from(
    prompts: Mapping[str, np.ndarray], share: float, count: int, rng: np.random.Generator
) -> tuple[Weights, np.ndarray]:
    """Return the same, and the first prompt of each, int64 [count]."""
    models = len(next(iter(prompts.values())))
    first = rng.integers(models, size=count)
    second = (first + rng.integers(1, max(2, models), size=count)) % models
    mixed = {
        name: ((1 - share) * values[first] + share * values[second]).astype(values.dtype)
        for name, values in prompts.items()
    }
    return mixed, first


def average(prompts: Mapping[str, np.ndarray]) -> Weights:
    """Return the one model whose weights are the mean of all aligned prompts."""
    return {
        name: values.mean(0, keepdims=True).astype(values.dtype) for name, values in prompts.items()
    }


def _others(
    prompts: Mapping[str, np.ndarray], noisy: Mapping[str, np.ndarray], index: np.ndarray
) -> Weights:
    """Return the prompts' entries that are in no layer, as they are."""
    return {name: values[index] for name, values in prompts.items() if name not in noisy}


def _norm(parts: list[np.ndarray]) -> np.ndarray:
    squares = [(part.astype(np.float64) ** 2).reshape(len(part), -1).sum(1) for part in parts]
    return np.sqrt(np.sum(squares, axis=0))
