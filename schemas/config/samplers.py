"""Configuration of samplers: a distribution over latents, how far it spreads, who decodes."""

from typing import Literal, get_args

from pydantic import Field, model_validator

from schemas.config.refine import RefineConfig
from schemas.records import Record

Distribution = Literal[
    "shared_noise", "model", "token", "kde30", "by_dimension", "gauss", "pca_gaussian", "flow"
]
"""A name of `sane_core.generation.distributions.registry.DISTRIBUTIONS`."""
Decoder = Literal["sane", "sharpened", "sharpened_unlabelled"]
"""The pretrained decoder, or one that was sharpened with labels, or without."""
WIDE = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Spreads of a decoder that has learned noise."""
KDES = ("shared_noise", "model", "token", "kde30", "by_dimension")
"""Those whose spread is a bandwidth."""


class SamplerConfig(Record):
    """A way to get latents (Algorithm 3), and from them networks."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="method in tables and metrics")
    distribution: Distribution = Field(
        default="shared_noise",
        description="KDE around the prompts with noise shared by all tokens (shared_noise), per "
        "token of one prompt (model) or of any prompt (token); KDE30; a Gaussian prior (gauss); a "
        "Gaussian over whole models in principal components; latent flow matching",
    )
    spread: float | Literal["scott", "validation"] | None = Field(
        default=None,
        description="bandwidth h of a KDE, in std of the training latents, by Scott's rule or the "
        "best of generate.bandwidths on validation images; of other distributions how far they "
        "spread. None: generate.bandwidth, 1 for others",
    )
    rounds: int = Field(
        default=1, ge=1, description="rounds of bootstrapping: the kept ones are the next prompts"
    )
    then: Distribution | None = Field(
        default=None,
        description="what later rounds draw from; if not given, the same KDE, a flow again, and "
        "shared_noise after any other first round",
    )
    then_spread: float | None = Field(
        default=None,
        gt=0,
        description="of later rounds; if not given, that of the first one where it is a KDE, else "
        "generate.bandwidth",
    )
    decoder: Decoder = Field(default="sane", description="whose decoder makes networks of latents")
    sweep: tuple[float, ...] = Field(
        default=(), description="spreads swept for the accuracy-novelty front"
    )
    refine: RefineConfig | None = Field(
        default=None,
        description="gradient steps on the drawn latents of every round, before they are decoded",
    )

    @model_validator(mode="after")
    def _spread_as_the_distribution_can(self) -> "SamplerConfig":
        if isinstance(self.spread, str) and self.distribution not in KDES:
            raise ValueError(
                f"spread of sampler {self.name} must be a number for distribution "
                f"{self.distribution}, got {self.spread}: it has no bandwidth"
            )
        given = [s for s in (self.spread, *self.sweep) if isinstance(s, float | int)]
        if any(not s > 0 for s in given):
            raise ValueError(f"spreads of sampler {self.name} must be > 0, got {given}")
        return self

    @model_validator(mode="after")
    def _draw_again_as_asked(self) -> "SamplerConfig":
        if self.rounds == 1 and (self.then or self.then_spread):
            raise ValueError(
                f"rounds of sampler {self.name} must be > 1 where then or then_spread is given, "
                "got 1"
            )
        return self

    @model_validator(mode="after")
    def _say_that_labels_are_used(self) -> "SamplerConfig":
        reads = self.refine is not None and self.refine.steps and self.refine.target == "labels"
        if reads and "labels" not in self.name:
            raise ValueError(
                f"a sampler that is refined on labels must have 'labels' in its name, as tables "
                f"show it, got {self.name}: call it {self.name}_labels"
            )
        return self


PAPER_SAMPLERS = (
    SamplerConfig(name="sub", sweep=(0.05, 0.1, 0.2, 0.3, 0.5, 0.7)),
    SamplerConfig(name="kde30", distribution="kde30"),
    SamplerConfig(name="boot", rounds=3),
    SamplerConfig(name="gauss", distribution="gauss", rounds=3),
)
"""Those of the paper's tables (§5.2)."""

SHARPENED_SAMPLERS = tuple(
    sampler
    for decoder in get_args(Decoder)[1:]
    for sampler in (
        SamplerConfig(name=f"{decoder}_sub", spread=0.3, decoder=decoder, sweep=WIDE),
        SamplerConfig(
            name=f"{decoder}_model", distribution="model", spread=0.3, decoder=decoder, sweep=WIDE
        ),
        SamplerConfig(name=f"{decoder}_boot", spread=0.3, rounds=3, decoder=decoder),
        SamplerConfig(name=f"{decoder}_gauss", distribution="gauss", rounds=3, decoder=decoder),
    )
)
"""The same with sharpened decoders, drawn from where there are any."""

DEFAULT_SAMPLERS = (*PAPER_SAMPLERS, *SHARPENED_SAMPLERS)
