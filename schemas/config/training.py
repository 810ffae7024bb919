"""How a population of networks is trained: one recipe, in which members may differ."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.records import Record

Activation = Literal["tanh", "relu", "gelu", "sigmoid", "silu", "leakyrelu"]
Initialization = Literal[
    "default",
    "uniform01",
    "uniform",
    "normal",
    "truncated_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "xavier_uniform",
    "xavier_normal",
]
Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class TrainingConfig(Record):
    """A training recipe.

    Where a field may have several values, each member draws one of them by its run number.
    """

    epochs: int = Field(default=50, ge=1, description="passes over the training images")
    batch: int = Field(default=64, ge=1, description="images per member and step")
    optimizer: Literal["sgd", "adam", "adamw"] = Field(default="adam")
    learning_rate: Rate | tuple[Rate, ...] = Field(
        default=1e-3, description="step size (its maximum)"
    )
    weight_decay: Decay | tuple[Decay, ...] = Field(
        default=0.0, description="L2 for sgd and adam, decoupled for adamw"
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of sgd")
    schedule: Literal["constant", "onecycle"] = Field(default="constant")
    initialization: Initialization | tuple[Initialization, ...] = Field(
        default="default", description="weights; `default` is the module's own"
    )
    initial_bias: float | None = Field(
        default=None, description="every bias of a layer at the start; its own draw if not given"
    )
    activation: Activation | tuple[Activation, ...] | None = Field(
        default=None, description="instead of the architecture's own"
    )
    dropout: Share | tuple[Share, ...] | None = Field(
        default=None, description="share dropped, instead of the architecture's own"
    )
    flip: bool = Field(default=False, description="mirror half of the training images")
    crop: int = Field(default=0, ge=0, description="zeros around a training image, then cropped")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of the forward and backward pass; weights stay float32"
    )
    way: Literal["auto", "patches", "vmap", "loop"] = Field(
        default="auto", description="how members are trained at once; `auto` measures"
    )

    @model_validator(mode="after")
    def _vary_by_at_least_one(self) -> "TrainingConfig":
        for name in ("learning_rate", "weight_decay", "initialization", "activation", "dropout"):
            if getattr(self, name) == ():
                raise ValueError(f"{name} must have at least one value, got none")
        return self
