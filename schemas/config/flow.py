"""Configuration of latent flow matching."""

from pydantic import Field

from schemas.records import Record


class FlowConfig(Record):
    """A velocity network over whole models in principal components, and its solver."""

    rank: int = Field(default=64, ge=1, description="principal components at most")
    width: int = Field(default=128, ge=1, description="units of each of three hidden layers")
    steps: int = Field(default=1000, ge=1, description="steps of Adam")
    batch: int = Field(default=128, ge=1, description="pairs of noise and model per step")
    learning_rate: float = Field(default=5e-3, gt=0, description="at the start; a cosine to zero")
    solver_steps: int = Field(default=20, ge=1, description="steps of Heun's method from 0 to 1")
