"""A run killed at any step ends as one that never stopped; another run's state is refused."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import sane_core.pretraining.training as training
from sane_core.pretraining.history import Losses, Watch
from sane_core.pretraining.state import BEFORE, NEWEST, State, differences, read_state, write_state
from sane_core.pretraining.train import pretrain
from schemas.config.pretrain import BehaviourConfig
from tests.pretraining.toy import CONFIG, SHAPE, Memory, configured, weights_of

ALWAYS = {"save_minutes": 1e-9}


class Killed(Exception):
    """Stands for the end of the process."""


def train(scratch: Path | None = None, until: int | None = None, seed: int = 0, **changes):
    def stop(step, steps, loss, measured):
        if step == until:
            raise Killed

    return pretrain(
        Memory(0), Memory(1), SHAPE, configured(**changes), seed,
        scratch=scratch, watch=Watch(on_step=stop),
    )  # fmt: skip


def equal(first, second) -> bool:
    """Whether two trainings ended the same, in all that they give."""
    return (
        torch.equal(weights_of(first), weights_of(second))
        and first.history == second.history
        and all(torch.equal(v, second.last[n]) for n, v in first.last.items())
        and all(torch.equal(v, second.optimizer[n]) for n, v in first.optimizer.items())
    )


@pytest.fixture(scope="module")
def undisturbed():
    return train()


@pytest.mark.parametrize("step", [1, 12, 13, 30, 36])
@pytest.mark.parametrize("saves", [{}, ALWAYS])
def test_a_run_that_stops_at_any_step_resumes_to_the_same_end(tmp_path, undisturbed, step, saves):
    with pytest.raises(Killed):
        train(tmp_path, until=step, **saves)
    assert equal(train(tmp_path, **saves), undisturbed)


def test_a_state_within_an_epoch_saves_its_steps(tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, until=9, **ALWAYS)
    assert train(tmp_path, **ALWAYS).measured.windows == 4 * (36 - 8)


def test_a_finished_run_is_not_trained_again(tmp_path, undisturbed):
    train(tmp_path)
    again = train(tmp_path)
    assert equal(again, undisturbed)
    assert again.measured.windows == 0


def test_clipping_noise_parts_and_zoos_resume_as_well(tmp_path):
    both = Memory(0).and_set(Memory(5, runs=4))
    config = configured(
        clip=0.1, accumulate=2, additive_noise=0.1, erase=0.1, weights=(0.5, 1.5), **ALWAYS
    )

    def run(scratch=None, until=None):
        def stop(step, steps, loss, measured):
            if step == until:
                raise Killed

        watch = Watch(on_step=stop)
        return pretrain(both, both, SHAPE, config, 0, scratch=scratch, watch=watch)

    with pytest.raises(Killed):
        run(tmp_path, 20)
    assert equal(run(tmp_path), run())


class Pull:
    """A behaviour loss that pulls latents to a drawn place."""

    def loss(self, model, window, generator, device):
        weight = model.latents_out.weight
        return (weight - torch.randn(weight.shape, generator=generator)).square().mean()


@pytest.mark.parametrize("saves", [{}, ALWAYS])
def test_a_run_killed_in_validation_resumes_with_its_behaviour_and_its_patience(
    tmp_path, monkeypatch, saves
):
    behaviour = BehaviourConfig(weight=0.3, every=5)
    config = configured(epochs=6, patience=2, behaviour=behaviour, **saves)

    def run(scratch=None):
        memory = Memory(0), Memory(1)
        return pretrain(*memory, SHAPE, config, 0, scratch=scratch, behaviours=[Pull()])

    def validated(killed: int | None):
        losses = iter([5.0, 3.0, 4.0, 3.5, 1.0, 1.0])

        def found(*_):
            value = next(losses)
            if value == killed:
                raise Killed
            return (Losses(value, value, value),)

        return found

    monkeypatch.setattr(training, "validate", validated(None))
    whole = run()
    assert [record.epoch for record in whole.history] == [1, 2, 3, 4]
    assert whole.best_epoch == 2
    monkeypatch.setattr(training, "validate", validated(3.5))
    with pytest.raises(Killed):
        run(tmp_path)
    monkeypatch.setattr(training, "validate", lambda *_: (Losses(3.5, 3.5, 3.5),))
    resumed = run(tmp_path)
    assert equal(resumed, whole)
    assert resumed.measured.windows == (0 if saves else 48)
    assert equal(run(tmp_path), whole)


SCRIPT = """
import sys
from pathlib import Path
from sane_core.pretraining.history import Watch
from sane_core.pretraining.train import pretrain
from tests.pretraining.toy import SHAPE, Memory, configured
scratch = Path(sys.argv[1])
def tell(step, steps, loss, measured):
    print(step, flush=True)
    sys.stdin.readline()
config = configured(save_minutes=1e-9)
pretrain(Memory(0), Memory(1), SHAPE, config, 0, scratch=scratch, watch=Watch(on_step=tell))
"""


def test_a_process_killed_while_it_writes_its_state_resumes_to_the_same_end(tmp_path, undisturbed):
    """Each kill falls some milliseconds into what follows a step: the write of the state."""
    for kill in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin and process.stdout
        for _ in range(3 + kill):
            assert process.stdout.readline()
            process.stdin.write("\n")
            process.stdin.flush()
        time.sleep(0.003 * kill)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
    assert (tmp_path / NEWEST).exists() or (tmp_path / BEFORE).exists()
    resumed = train(tmp_path, **ALWAYS)
    assert resumed.measured.windows < 4 * 36
    assert equal(resumed, undisturbed)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"learning_rate": 1e-3}, "pretrain.learning_rate is 0.001 and was 0.003"),
        ({"clip": 1.0}, "pretrain.clip is 1.0 and was None"),
        ({"seed": 1}, "seed is 1 and was 0"),
    ],
)
def test_the_state_of_another_training_is_refused(tmp_path, changes, named):
    train(tmp_path)
    with pytest.raises(ValueError, match=f"{named}: restore that, or remove {tmp_path}"):
        train(tmp_path, **changes)


def test_the_state_of_other_windows_is_refused(tmp_path):
    train(tmp_path)
    other = Memory(0, runs=7)
    with pytest.raises(ValueError, match="windows is '.*' and was '"):
        pretrain(other, Memory(1), SHAPE, CONFIG, 0, scratch=tmp_path)
    with pytest.raises(ValueError, match="windows is"):
        pretrain(Memory(0), Memory(1), SHAPE, CONFIG, 0, scratch=tmp_path, data="other content")


def test_how_often_the_state_is_kept_may_change(tmp_path, undisturbed):
    with pytest.raises(Killed):
        train(tmp_path, until=20, **ALWAYS)
    assert equal(train(tmp_path), undisturbed)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [truncate, flip])
def test_a_damaged_state_is_said_and_the_one_before_is_taken(tmp_path, undisturbed, damage):
    with pytest.raises(Killed):
        train(tmp_path, until=20, **ALWAYS)
    damage(tmp_path / NEWEST)
    resumed = train(tmp_path, **ALWAYS)
    assert resumed.measured.windows == 4 * (36 - 18)
    assert equal(resumed, undisturbed)
    (note,) = resumed.measured.notes
    assert note.startswith(f"{tmp_path / NEWEST} is damaged (")


def test_with_both_states_damaged_training_begins_anew(tmp_path, undisturbed):
    with pytest.raises(Killed):
        train(tmp_path, until=20, **ALWAYS)
    flip(tmp_path / NEWEST)
    truncate(tmp_path / BEFORE)
    resumed = train(tmp_path)
    assert resumed.measured.windows == 4 * 36
    assert equal(resumed, undisturbed)
    assert len(resumed.measured.notes) == 2


def test_a_state_reads_as_it_was_written(tmp_path):
    state = State({"a": torch.randn(3, 2), "b": torch.tensor(7.0)}, {"list": [1, 0.1]})
    write_state(tmp_path, state, {"seed": 1})
    read = read_state(tmp_path, {"seed": 1}, lambda note: pytest.fail(note))
    assert read is not None and read.facts == state.facts
    assert all(torch.equal(value, read.tensors[name]) for name, value in state.tensors.items())


def test_a_killed_write_leaves_the_state_before(tmp_path, monkeypatch):
    write_state(tmp_path, State({"a": torch.zeros(1)}, {"step": 1}), {})
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        write_state(tmp_path, State({"a": torch.ones(1)}, {"step": 2}), {})
    read = read_state(tmp_path, {}, lambda note: pytest.fail(note))
    assert read is not None and read.facts == {"step": 1}


def test_differences_are_named_where_they_are():
    here, there = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}, "e": 5}
    assert differences(here, there) == [
        "a.c is 2 and was 4",
        "d is 3 and was None",
        "e is None and was 5",
    ]
    assert differences(here, json.loads(json.dumps(here))) == []
