"""CNNs of digits, their layers, and latents that a sampler may stand on."""

import numpy as np

from sane_core.architectures.registry import architecture_named
from sane_core.generation.distributions.latents import PromptLatents
from sane_core.weights.layers import layers_of

DIGITS_CNN = architecture_named("digits-cnn")
LAYERS = layers_of(DIGITS_CNN.shapes())


def around(generator, count=4):
    shape = (count, 48, 6)
    latents = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return PromptLatents(latents, generator.mean, generator.scale, np.linspace(0.1, 0.9, count))
