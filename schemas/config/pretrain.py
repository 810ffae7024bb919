"""Configuration of the pretrain stage: the SANE autoencoder and its training."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.records import Record

View = Literal["aligned", "permuted"]
"""What a window is seen as: as it was aligned, or after a random permutation of its network."""


class AutoencoderConfig(Record):
    """Shape of the autoencoder (paper §2 and Table 8)."""

    d_model: int = Field(default=128, ge=2, description="width of the transformer")
    heads: int = Field(default=4, ge=1, description="attention heads")
    layers: int = Field(default=3, ge=1, description="blocks in the encoder, and in the decoder")
    d_z: int = Field(default=64, ge=1, description="latent dimensions per token")
    d_projection: int = Field(default=30, ge=2, description="width of the contrastive head")
    positions: Literal["learned", "sinusoidal"] = Field(
        default="learned",
        description="learned tables (the paper), or sines per axis, which know every position",
    )
    unseen: Literal["refuse", "clamp"] = Field(
        default="refuse",
        description="what learned tables do with a position beyond them: an error, or the last one",
    )
    bottleneck: Literal["token", "model"] = Field(
        default="token",
        description="latents per token, or one for the whole sequence (hyper-representations)",
    )

    @model_validator(mode="after")
    def _divide_the_width(self) -> "AutoencoderConfig":
        if self.d_model % self.heads or self.d_model % 2:
            raise ValueError(
                f"d_model must be even and a multiple of heads ({self.heads}), got {self.d_model}"
            )
        return self


class BehaviourConfig(Record):
    """The behaviour loss: decoded networks answer as the originals do, whatever the labels are."""

    weight: float = Field(default=0.0, ge=0, description="of the loss; 0 leaves it out")
    models: int = Field(default=48, ge=1, description="networks decoded in a step")
    images: int = Field(default=64, ge=1, description="inputs that each of them answers")
    latent_noise: float = Field(
        default=0.1, ge=0, description="σ of noise on the latents, in their standard deviations"
    )
    weight_noise: float = Field(
        default=0.0,
        ge=0,
        description="largest σ of noise on the weights of half the networks, in units of the "
        "tokens; a noised network answers for itself",
    )
    every: int = Field(default=1, ge=1, description="steps from one to the next")
    memory_mb: int = Field(
        default=4000,
        ge=1,
        description="megabytes of train checkpoints kept to draw from; where there are more, a "
        "part of them is drawn once",
    )


class PretrainConfig(Record):
    """Algorithm 1, step v."""

    autoencoder: AutoencoderConfig = AutoencoderConfig()
    epochs: int = Field(default=14, ge=1)
    batch: int = Field(default=64, ge=2, description="windows per step, each in two views")
    accumulate: int = Field(
        default=1, ge=1, description="parts in which a step's batch is passed; gradients add up"
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="peak of the OneCycle schedule")
    weight_decay: float = Field(default=3e-9, ge=0)
    clip: float | None = Field(
        default=None, gt=0, description="largest norm of the gradient; not clipped if not given"
    )
    gamma: float = Field(
        default=0.05, ge=0, le=1, description="weight of NT-Xent, (1-γ) Eq.5 + γ Eq.6"
    )
    temperature: float = Field(default=0.1, gt=0, description="τ of NT-Xent")
    first_view: View = Field(default="aligned", description="of the two views, Table 6")
    second_view: View = Field(default="permuted", description="of the two views, Table 6")
    noise: float = Field(default=0.1, ge=0, description="σ of the multiplicative noise x(1 + σε)")
    additive_noise: float = Field(
        default=0.0, ge=0, description="σ of the noise x + σε, in units of the tokens"
    )
    erase: float = Field(
        default=0.0, ge=0, lt=1, description="probability that a weight is hidden (set to 0)"
    )
    target: Literal["clean", "noised"] = Field(
        default="clean", description="what is reconstructed: the view, or the view with its noise"
    )
    layer_normalization: bool = Field(
        default=False,
        description="divide the squared error of each layer by the variance of its tokens",
    )
    behaviour: BehaviourConfig = BehaviourConfig()
    patience: int | None = Field(
        default=None,
        ge=1,
        description="stop after so many epochs without a better validation loss",
    )
    weights: tuple[float, ...] = Field(
        default=(), description="share of each zoo's windows in an epoch; 1 each if not given"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto: a GPU where there is one"
    )
    processes: int = Field(
        default=1, ge=1, description="data-parallel processes (torchrun); a GPU each on cuda"
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="auto: bfloat16 where the processor has it, else float32"
    )
    compile: Literal["auto", "yes", "no"] = Field(
        default="auto", description="torch.compile; auto: where it pays, on GPUs"
    )
    save_minutes: float = Field(
        default=10, gt=0, description="from one resumable state to the next within an epoch"
    )

    @model_validator(mode="after")
    def _divide_the_batch(self) -> "PretrainConfig":
        parts = self.accumulate * self.processes
        if self.batch % parts or self.batch // parts < 2:
            raise ValueError(
                f"batch must be a multiple of accumulate x processes ({parts}) with at least 2 "
                f"windows in each part, got {self.batch}"
            )
        if any(weight <= 0 for weight in self.weights):
            raise ValueError(f"weights must be positive, got {list(self.weights)}")
        return self
