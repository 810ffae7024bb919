"""deployments/prefect.yaml holds valid configurations, and starts nothing by itself."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.config.benchmark import BenchmarkConfig

DEPLOYMENTS = Path(__file__).resolve().parents[2] / "deployments"


@pytest.fixture(scope="module")
def deployments() -> dict[str, Any]:
    """The deployments by name."""
    content = yaml.safe_load((DEPLOYMENTS / "prefect.yaml").read_text())
    return {deployment["name"]: deployment for deployment in content["deployments"]}


def test_a_deployment_of_zoos_names_its_run_as_the_command_line_does(deployments) -> None:
    config = BenchmarkConfig.model_validate(deployments["new"]["parameters"]["config"])
    assert [config.name] == [f"zoo-{zoo.name}" for zoo in config.zoos]


@pytest.mark.parametrize("name", ["quickstart", "full-benchmark"])
def test_a_deployment_holds_a_valid_configuration_of_its_name(deployments, name: str) -> None:
    config = BenchmarkConfig.model_validate(deployments[name]["parameters"]["config"])
    assert config.name == name


def test_the_quickstart_is_the_same_from_the_command_line(deployments) -> None:
    file = yaml.safe_load((DEPLOYMENTS / "quickstart.yaml").read_text())
    deployed = deployments["quickstart"]["parameters"]["config"]
    assert BenchmarkConfig.model_validate(deployed) == BenchmarkConfig.model_validate(file)


def test_the_full_benchmark_holds_the_quickstart_and_more(deployments) -> None:
    quick, full = (
        BenchmarkConfig.model_validate(deployments[name]["parameters"]["config"])
        for name in ("quickstart", "full-benchmark")
    )
    assert len(full.zoos) > 1
    assert set(quick.zoos) < set(full.zoos)


def test_no_schedule_is_active(deployments) -> None:
    schedules = [s for d in deployments.values() for s in d.get("schedules", [])]
    assert [schedule["active"] for schedule in schedules] == [False]
