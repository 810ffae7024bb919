"""Configuration of the generate stage: prompts, sampling, selection, baselines, fine-tuning."""

from pydantic import Field, model_validator

from schemas.config.flow import FlowConfig
from schemas.config.samplers import BANDWIDTH, DEFAULT_SAMPLERS, SamplerConfig
from schemas.records import Record

HALO_ROWS = {
    "naive": (False, False),
    "halo": (True, False),
    "bn_cond": (False, True),
    "halo_bn_cond": (True, True),
}
"""Row of Table 7 -> whether it decodes with halo, and conditions batch norms."""

BASELINES = (
    "prompts",
    "prompts_selected",
    "best_prompt",
    "noise",
    "interpolation",
    "average",
    "reconstruction",
    "scratch",
    "global_kde30",
    "global_reconstruction",
    "sharpened_reconstruction",
    "sharpened_unlabelled_reconstruction",
    *HALO_ROWS,
)
"""Methods that are compared with, whatever the samplers are."""


class GenerateConfig(Record):
    """Algorithm 3 and §5.2, with the honest baselines beside them."""

    prompt_epoch: int = Field(default=25, ge=0, description="epoch of the prompt examples")
    prompts: int = Field(
        default=140, ge=1, description="prompt examples at most, all of train runs"
    )
    candidates: int = Field(default=200, ge=1, description="samples drawn and scored")
    keep: int = Field(default=10, ge=1, description="samples kept by validation accuracy")
    bandwidth: float = Field(
        default=BANDWIDTH, gt=0, description="h, in std of the training latents"
    )
    samplers: tuple[SamplerConfig, ...] = Field(
        default=DEFAULT_SAMPLERS, min_length=1, description="ways to draw latents, side by side"
    )
    bandwidths: tuple[float, ...] = Field(
        default=(0.02, 0.05, 0.1, 0.2, 0.3, 0.5),
        min_length=1,
        description="what a sampler chooses from where its spread is chosen on validation images",
    )
    flow: FlowConfig = Field(default=FlowConfig(), description="of samplers that draw from a flow")
    prompt_counts: tuple[int, ...] = Field(
        default=(),
        description="numbers of prompt examples that samplers are tried with",
    )
    noise_sizes: tuple[float, ...] = Field(
        default=(0.05, 0.1, 0.18, 0.3, 0.45, 0.6), description="relative weight-noise sizes, swept"
    )
    interpolations: tuple[float, ...] = Field(
        default=(0.05, 0.1, 0.15, 0.25, 0.35, 0.5), description="mixing shares, swept"
    )
    seeds: int = Field(default=3, ge=1, description="independent repeats of every draw")
    conditioning_batches: int = Field(
        default=20,
        ge=0,
        description="batches of train images that running statistics of samples are measured on; "
        "0 = they stay new",
    )
    conditioning_batch: int = Field(default=128, ge=2, description="images of such a batch")
    conditioning_augmented: bool = Field(
        default=True,
        description="flip and crop these images as the recipe does in training; the running "
        "statistics that trained networks keep are of such images",
    )
    ablate: bool = Field(
        default=False,
        description="make networks of the same latents without halo, without batch-norm "
        "conditioning and without both as well (Table 7)",
    )
    finetune_epochs: tuple[int, ...] = Field(default=(1, 5, 25), description="rows of the table")
    finetune_methods: tuple[str, ...] = Field(
        default=(), description="methods that are fine-tuned; empty = all of them"
    )
    finetune_models: int | None = Field(
        default=None, ge=1, description="networks of a draw that are fine-tuned at most"
    )

    @model_validator(mode="after")
    def _keep_no_more_than_drawn(self) -> "GenerateConfig":
        if self.keep > self.candidates:
            raise ValueError(f"keep must be <= candidates ({self.candidates}), got {self.keep}")
        return self

    @model_validator(mode="after")
    def _name_samplers_once(self) -> "GenerateConfig":
        names = [sampler.name for sampler in self.samplers]
        taken = sorted({name for name in names if names.count(name) > 1 or name in BASELINES})
        if taken:
            raise ValueError(
                f"names of samplers must be unique, and not those of baselines, got {taken}"
            )
        unknown = sorted(set(self.finetune_methods) - {*names, *BASELINES})
        if unknown:
            raise ValueError(
                f"finetune_methods must be of {', '.join((*names, *BASELINES))}, got {unknown}"
            )
        return self
