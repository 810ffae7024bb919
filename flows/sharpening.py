"""Sharpened decoders of a zoo's SANE, each a stage of its own."""

from collections.abc import Collection

from flows.algorithm import Compiled, Run
from schemas.config.benchmark import BenchmarkConfig
from schemas.config.samplers import Decoder
from schemas.config.sharpen import DECODERS
from schemas.records import Artifact
from tasks.sharpen import SharpenStage, sharpen


def sharpen_on(
    run: Run,
    config: BenchmarkConfig,
    zoo: Compiled,
    model: Artifact,
    images: Artifact,
    wanted: Collection[Decoder] | None = None,
) -> dict[Decoder, Artifact]:
    """Sharpen every decoder that the benchmark asks for; none where `sharpen.steps` is 0.

    Args:
        run: Runs stages.
        config: How.
        zoo: Whose train networks are sharpened on.
        model: Its SANE.
        images: Whose train images they answer.
        wanted: Only these decoders; all if not given.
    """
    inputs = {"images": images, "tokens": zoo.tokens, "model": model, "zoo": zoo.zoo.artifact}
    made: dict[Decoder, Artifact] = {}
    for each in config.sharpen.each() if config.sharpen.steps else ():
        name = DECODERS[each.target]
        if wanted is None or name in wanted:
            made[name] = run(
                sharpen, SharpenStage(sharpen=each, embed=config.embed.passes()), **inputs
            )
    return made
