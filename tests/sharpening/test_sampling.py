"""Generation draws from a sharpened decoder, around the same latents."""

from pathlib import Path

import numpy as np

from sane_core.generation.compare import baselines_of, samplers_of
from sane_core.generation.material import Sources, open_material
from sane_core.generation.sharpen_zoo import SharpenSources, sharpen_on_zoo
from sane_core.seeding import rng_for
from schemas.config.embed import EmbedConfig
from schemas.config.generate import GenerateConfig
from schemas.config.training import TrainingConfig
from tests.sharpening.toy import EPOCHS, configured

CONFIG = GenerateConfig(prompt_epoch=3, candidates=20, keep=4, seeds=1)


def test_samples_of_a_sharpened_decoder_are_better_than_those_of_the_plain_one(
    sources: SharpenSources, tmp_path: Path
) -> None:
    sharpen_on_zoo(sources, configured(steps=100, networks=8), EmbedConfig(), 0, tmp_path)
    folders = Sources(
        sources.images, sources.tokens, sources.model, sources.zoo, {"sharpened": tmp_path}
    )
    given = open_material(folders, EPOCHS, CONFIG, EmbedConfig(), 0, TrainingConfig())
    plain, sharpened = given.decoders["sane"], given.decoders["sharpened"]
    assert np.array_equal(plain.prompts.latents, sharpened.prompts.latents)
    methods = samplers_of(given.decoders, CONFIG, 0)
    # Without that decoder its samplers are not drawn.
    assert not {name for name in methods if name.startswith("sharpened_unlabelled")}
    drawn = {name: methods[name](rng_for(0, name)) for name in ("sub", "sharpened_sub")}
    worse, better = (drawn[name].candidate_accuracy.mean() for name in drawn)
    assert better > worse + 0.1
    assert "sharpened_reconstruction" in baselines_of(given.decoders, given.prompts, CONFIG)
