"""What halos and batch-norm conditioning are worth (Table 7): one draw, decoded in four ways.

A way without halo decodes chunks on their own; one without conditioning leaves running statistics
new (mean 0, variance 1). Each keeps its own best on validation images, as a user of it would; the
mean over all candidates, which no selection touches, stands beside that in the tables.
"""

from dataclasses import replace

import numpy as np

from sane_core.generation.candidates import Samples
from sane_core.generation.compare import Decoder
from sane_core.generation.distributions.registry import DISTRIBUTIONS
from sane_core.generation.generator import Generator
from schemas.config.generate import HALO_ROWS, GenerateConfig


def ablate_halo(
    decoder: Decoder, config: GenerateConfig, rng: np.random.Generator
) -> dict[str, Samples]:
    """Draw latents around the prompts once, as SUB does, and make networks of them in every way.

    Args:
        decoder: Trained SANE, with halo and conditioning.
        config: Candidates, keep, bandwidth.
        rng: Source of the draw; SUB's own gives the row `halo_bn_cond` SUB's networks.

    Returns:
        Row of Table 7 -> the models kept: naive, halo, bn_cond, halo_bn_cond.

    Raises:
        ValueError: If there is nothing to leave out.
    """
    _check(decoder.generator)
    draw = DISTRIBUTIONS["shared_noise"]
    drawn = draw(decoder.prompts, config.candidates, config.bandwidth, rng)
    return {
        row: _without(decoder.generator, halo, conditioned).select_decoded(
            drawn.latents, drawn.prompt, config.keep
        )
        for row, (halo, conditioned) in HALO_ROWS.items()
    }


def _without(generator: Generator, halo: bool, conditioned: bool) -> Generator:
    """Return the generator with halo and conditioning, or without one of them or both."""
    embed = generator.embed if halo else generator.embed.model_copy(update={"halo": 0})
    conditioning = generator.conditioning if conditioned else None
    return replace(generator, embed=embed, conditioning=conditioning)


def _check(generator: Generator) -> None:
    if generator.conditioning is None:
        raise ValueError(
            "Table 7 needs conditioning to leave out (generate.ablate): conditioning_batches must "
            "be >= 1, got 0"
        )
    if generator.embed.halo == 0 or generator.embed.chunk >= len(generator.positions):
        raise ValueError(
            "Table 7 needs a halo to leave out (generate.ablate): embed.halo must be >= 1 and "
            f"embed.chunk < {len(generator.positions)}, the tokens of a network, got "
            f"{generator.embed.halo} and {generator.embed.chunk}"
        )
