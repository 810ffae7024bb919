"""The same prompts of a transfer as other autoencoders see them: sharpened ones, and `global`."""

from collections.abc import Sequence
from dataclasses import replace

from sane_core.embedding.device import on_gpu
from sane_core.embedding.embed import whole_models
from sane_core.generation.compare import GLOBAL, embed_prompts
from sane_core.generation.material import Sources, prepare
from sane_core.generation.transfer_prompts import Prompted
from sane_core.pretraining.files import load
from schemas.config.embed import EmbedConfig


def with_decoders(
    given: Prompted, sources: Sources, epochs: Sequence[int], embed: EmbedConfig
) -> Prompted:
    """Return prompts with all other autoencoders that there are.

    Args:
        given: Prompts, as read, completed and scored once.
        sources: Folders of the zoo's stages; `others` are the autoencoders.
        epochs: Epochs they were trained on.
        embed: Chunk sizes.

    Raises:
        ValueError: If the autoencoder of one embedding per model does not know the zoo's positions.
    """
    others = {
        name: _global(given, replace(sources, model=model), epochs, embed)
        if name == GLOBAL
        else given.sharpened(on_gpu(load(model)))
        for name, model in sources.others.items()
    }
    return replace(given, others=others)


def _global(
    given: Prompted, sources: Sources, epochs: Sequence[int], embed: EmbedConfig
) -> Prompted:
    """Embed the prompts once more, each into one latent; its training latents are measured."""
    plain = given.generator
    other = prepare(sources, epochs, plain.validation, whole_models(embed), plain.conditioning)
    other = replace(other, architecture=plain.architecture, rest=plain.rest)
    return replace(given, generator=other, latents=embed_prompts(other, given.prompts))
