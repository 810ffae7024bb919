"""Configuration of samplers: a distribution over latents, how far it spreads, who decodes."""

from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from schemas.config.refine import RefineConfig
from schemas.records import Record

Distribution = Literal[
    "shared_noise", "model", "token", "kde30", "by_dimension", "gauss", "pca_gaussian", "flow"
]
"""A name of `sane_core.generation.distributions.registry.DISTRIBUTIONS`."""
Coupling = Literal["shared_noise", "model", "token"]
"""What the tokens of a sample share: a prompt and its noise, a prompt, nothing (Eq. 7)."""
Decoder = Literal["sane", "sharpened", "sharpened_unlabelled"]
"""The pretrained decoder, or one that was sharpened with labels, or without."""
BANDWIDTH, SHARPENED_BANDWIDTH = 0.05, 0.3
"""h if nothing is said: of a pretrained decoder, and of a sharpened one that has learned noise."""
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
    then: Coupling | None = Field(
        default=None,
        description="coupling of the KDE that later rounds draw from; if not given, the first "
        "round's KDE or flow again, shared_noise after any other",
    )
    then_spread: float | None = Field(
        default=None,
        gt=0,
        description="of later rounds; if not given, that of the first one where it is a KDE, else "
        "generate.bandwidth",
    )
    decoder: Decoder = Field(default="sane", description="whose decoder makes networks of latents")
    sweep: tuple[float, ...] = Field(
        default=(),
        description="values of spread swept for the accuracy-novelty front, all rounds being "
        "drawn: later ones at the swept bandwidth too where the first one is a KDE, else at "
        "generate.bandwidth, unless then_spread says otherwise",
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

_SHARPENED: dict[str, dict[str, Any]] = {
    "sub": {"spread": SHARPENED_BANDWIDTH, "sweep": WIDE},
    "model": {"distribution": "model", "spread": SHARPENED_BANDWIDTH, "sweep": WIDE},
    "boot": {"spread": SHARPENED_BANDWIDTH, "rounds": 3},
    "gauss": {"distribution": "gauss", "rounds": 3},
}
SHARPENED_SAMPLERS = tuple(
    SamplerConfig(name=f"{decoder}_{name}", decoder=decoder, **asked)
    for decoder in get_args(Decoder)[1:]
    for name, asked in _SHARPENED.items()
)
"""The same with sharpened decoders, drawn from where there are any."""

DEFAULT_SAMPLERS = (*PAPER_SAMPLERS, *SHARPENED_SAMPLERS)
