"""Configuration of the probe stage."""

from typing import Literal

from pydantic import Field, field_validator

from schemas.records import Record

LAMBDAS = (
    1e3,
    3e2,
    1e2,
    3e1,
    1e1,
    3.0,
    1.0,
    3e-1,
    1e-1,
    3e-2,
    1e-2,
    3e-3,
    1e-3,
    3e-4,
    1e-4,
    3e-5,
    1e-5,
)


class ProbeConfig(Record):
    """Paper §5.1: closed-form ridge in float64, λ chosen on the validation runs."""

    targets: tuple[str, ...] = Field(
        default=("test_accuracy", "epoch", "generalization_gap"),
        min_length=1,
        description="columns of the checkpoints table, numbers or words; hyperparameters stands "
        "for all of them, hyperparameters.NAME for one",
    )
    lambdas: tuple[float, ...] = Field(default=LAMBDAS, min_length=1)
    bootstraps: int = Field(default=1000, ge=1, description="resamples of runs for the intervals")
    outputs: int = Field(
        default=64,
        ge=0,
        description="random inputs whose answers are the control features outputs; 0 for none",
    )
    folds: int = Field(
        default=0, ge=0, description="folds over runs, for zoos of few; 0 for the fixed split"
    )
    fold_over: Literal["unseen", "all"] = Field(
        default="unseen",
        description="runs that folds test: those SANE was not trained on, or all of them",
    )
    coverage: float = Field(
        default=0.9, gt=0, lt=1, description="share of checkpoints that intervals are to hold"
    )
    false_alarms: float = Field(
        default=0.05, gt=0, lt=1, description="share of its own that the gate may call foreign"
    )
    transfer: bool = Field(
        default=False,
        description="test the probes of every zoo on every other one, where there are several",
    )

    @field_validator("folds")
    @classmethod
    def _leave_runs_to_fit(cls, folds: int) -> int:
        if folds in (1, 2):
            raise ValueError(
                f"probe.folds must be 0 or >= 3, got {folds}: one fold is tested, one chooses λ, "
                "the others are fitted"
            )
        return folds
