"""The way to train is the one a recipe names, or the fastest measured by a clear margin."""

import pytest

from sane_core.architectures.registry import architecture_named
from sane_core.zoo.population import choose
from sane_core.zoo.population.choose import MARGIN, choose_way
from schemas.config.training import TrainingConfig

SEED = 3
DIGITS = architecture_named("digits-cnn")
VIT = architecture_named("vit[size=8,dim=4,depth=1,heads=2,hidden=6]")


@pytest.fixture
def measured(monkeypatch):
    """Let ways take given times, or raise; return who was asked."""

    def set_times(**times):
        asked = []

        def measure(architecture, config, members, seed, device, way):
            asked.append(way)
            if isinstance(times[way], Exception):
                raise times[way]
            return times[way]

        monkeypatch.setattr(choose, "_measure", measure)
        return asked

    return set_times


@pytest.mark.parametrize("way", ["patches", "vmap", "loop"])
def test_a_named_way_is_taken_without_measuring(way, measured, make_member):
    asked = measured()
    assert choose_way(DIGITS, TrainingConfig(way=way), [make_member(0)], SEED) == (way, {})
    assert asked == []


def test_a_named_way_that_cannot_run_the_network_is_refused(make_member):
    with pytest.raises(
        ValueError, match=r"way of vit\[.*\] must be one of vmap, loop, got 'patches'"
    ):
        choose_way(VIT, TrainingConfig(way="patches"), [make_member(0)], SEED)


def test_the_first_way_is_kept_within_the_margin_and_left_beyond_it(measured, make_member):
    measured(patches=1.0, vmap=1 / MARGIN + 0.01, loop=3.0)
    assert choose_way(DIGITS, TrainingConfig(), [make_member(0)], SEED)[0] == "patches"
    measured(patches=1.0, vmap=1 / MARGIN - 0.01, loop=3.0)
    way, seconds = choose_way(DIGITS, TrainingConfig(), [make_member(0)], SEED)
    assert way == "vmap"
    assert set(seconds) == {"patches", "vmap", "loop"}


def test_a_way_that_fails_when_it_is_tried_is_not_chosen(measured, make_member):
    measured(patches=2.0, vmap=RuntimeError("no batching rule"), loop=1.0)
    way, seconds = choose_way(DIGITS, TrainingConfig(), [make_member(0)], SEED)
    assert (way, set(seconds)) == ("loop", {"patches", "loop"})
    measured(vmap=RuntimeError("no batching rule"), loop=1.0)
    assert choose_way(VIT, TrainingConfig(), [make_member(0)], SEED)[0] == "loop"


def test_where_every_way_fails_the_failure_is_shown(measured, make_member):
    error = RuntimeError("no luck")
    measured(patches=error, vmap=error, loop=error)
    with pytest.raises(RuntimeError, match="no luck"):
        choose_way(DIGITS, TrainingConfig(), [make_member(0)], SEED)


def test_every_way_is_really_measured(make_member):
    members = [make_member(run) for run in range(2)]
    config = TrainingConfig(batch=2, activation="relu", schedule="onecycle", flip=True, crop=1)
    way, seconds = choose_way(DIGITS, config, members, SEED)
    assert way in seconds
    assert set(seconds) == {"patches", "vmap", "loop"}
    assert min(seconds.values()) > 0


def test_a_measurement_takes_no_more_members_than_fit(make_member, monkeypatch):
    asked, original = [], choose.Training

    def training(architecture, population, images, members, *rest, **more):
        asked.append(len(members))
        return original(architecture, population, images, members, *rest, **more)

    monkeypatch.setattr(choose, "Training", training)
    monkeypatch.setattr(choose, "members_that_fit", lambda *_: 3)
    members = [make_member(run) for run in range(10)]
    choose_way(DIGITS, TrainingConfig(batch=2), members, SEED)
    assert max(asked) == 3
