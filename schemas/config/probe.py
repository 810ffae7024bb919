"""Configuration of the probe stage."""

from pydantic import Field

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

    targets: tuple[str, ...] = Field(default=("test_accuracy", "epoch", "generalization_gap"))
    lambdas: tuple[float, ...] = Field(default=LAMBDAS, min_length=1)
    bootstraps: int = Field(default=1000, ge=1, description="resamples of runs for the intervals")
