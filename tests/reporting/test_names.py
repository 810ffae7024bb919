"""Names: curves of one figure can be told apart."""

from pathlib import Path

import yaml

from sane_core.reporting.names import SAMPLERS
from schemas.config.samplers import DEFAULT_SAMPLERS

SHARPEN = Path(__file__).parents[2] / "deployments" / "sharpen.yaml"


def test_no_two_samplers_of_the_front_look_alike() -> None:
    looks = {name.label: (name.colour, name.marker) for name in SAMPLERS.values()}
    assert len(set(looks.values())) == len(looks)


def test_what_the_front_sweeps_has_a_name() -> None:
    samplers = yaml.safe_load(SHARPEN.read_text())["generate"]["samplers"]
    swept = [each["name"] for each in samplers if "sweep" in each]
    assert {"boot", "gauss", "sharpened_boot"} <= set(swept) <= set(SAMPLERS)
    assert {each.name for each in DEFAULT_SAMPLERS} <= set(SAMPLERS)
