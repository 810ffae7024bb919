"""What stops training, or cannot be had, is said in one sentence that names the remedy."""

from types import SimpleNamespace

import pytest
import torch

import sane_core.pretraining.training as training
from sane_core.pretraining import devices
from sane_core.pretraining.augment import ViewPair
from sane_core.pretraining.distributed import ALONE
from sane_core.pretraining.engine import Engine
from sane_core.pretraining.history import Watch
from sane_core.pretraining.memory import does_not_fit, largest_that_fits
from sane_core.pretraining.meter import Meter
from sane_core.pretraining.objective import Objective
from sane_core.pretraining.train import pretrain
from schemas.config.pretrain import BehaviourConfig
from tests.pretraining.toy import CONFIG, SHAPE, Memory, configured, weights_of

CPU = torch.device("cpu")


def test_a_loss_that_is_not_finite_stops_and_names_the_step():
    broken = Memory(0)
    broken.tokens = broken.tokens * float("inf")
    with pytest.raises(ValueError, match=r"the loss must stay finite, got nan in epoch 1, step 1"):
        pretrain(broken, Memory(1), SHAPE, CONFIG, 0)


class BreaksAt(Memory):
    """Gives windows of infinite weights from a batch on."""

    def __init__(self, at: int) -> None:
        super().__init__(0)
        self.at, self.given = at, 0

    def epoch_batches(self, batches):
        for batch in super().epoch_batches(batches):
            self.given += 1
            if self.given >= self.at:
                batch.tokens.mul_(float("inf"))
            yield batch


@pytest.mark.parametrize("every", [1, 5, 20])
def test_the_step_is_exact_however_seldom_the_loss_is_looked_at(monkeypatch, every):
    monkeypatch.setattr(training, "look_every", lambda device: every)
    with pytest.raises(ValueError, match="in epoch 2, step 15: lower pretrain.learning_rate"):
        pretrain(BreaksAt(15), Memory(1), SHAPE, CONFIG, 0)


def test_a_broken_loss_keeps_the_last_good_state(tmp_path):
    config = configured(save_minutes=1e-9)
    with pytest.raises(ValueError, match=f"the last good state is kept in {tmp_path}"):
        pretrain(BreaksAt(15), Memory(1), SHAPE, config, 0, scratch=tmp_path)
    resumed = pretrain(Memory(0), Memory(1), SHAPE, config, 0, scratch=tmp_path)
    assert resumed.measured.windows == 4 * (36 - 14)
    assert torch.equal(
        weights_of(resumed), weights_of(pretrain(Memory(0), Memory(1), SHAPE, config, 0))
    )


class BreaksTheGradient:
    """A behaviour loss of 0, whose gradient is not a number at one call."""

    def __init__(self, at: int) -> None:
        self.at, self.calls = at, 0

    def loss(self, model, *_):
        self.calls += 1
        nothing = 0 * model.latents_out.weight
        return nothing.square().sum().sqrt() if self.calls == self.at else nothing.sum()


@pytest.mark.parametrize("every", [1, 5])
def test_a_broken_gradient_is_no_state_to_keep(tmp_path, monkeypatch, every):
    """The loss of that very step is finite; the weights that it leaves are not."""
    monkeypatch.setattr(training, "look_every", lambda device: every)
    config = configured(save_minutes=1e-9, behaviour=BehaviourConfig(weight=1.0))
    message = f"the gradient must stay finite, got nan in epoch 2, step 15: .* kept in {tmp_path}"
    with pytest.raises(ValueError, match=message):
        pretrain(
            Memory(0), Memory(1), SHAPE, config, 0,
            scratch=tmp_path, behaviours=[BreaksTheGradient(15)],
        )  # fmt: skip
    sound = [BreaksTheGradient(0)]
    resumed = pretrain(Memory(0), Memory(1), SHAPE, config, 0, scratch=tmp_path, behaviours=sound)
    assert sound[0].calls == (36 - 14 if every == 1 else 36 - 12)
    whole = pretrain(Memory(0), Memory(1), SHAPE, config, 0, behaviours=sound)
    assert torch.equal(weights_of(resumed), weights_of(whole))


def test_no_state_is_promised_where_none_was_kept(tmp_path):
    with pytest.raises(ValueError, match=r"or set pretrain.clip$"):
        pretrain(BreaksAt(3), Memory(1), SHAPE, CONFIG, 0, scratch=tmp_path)


def test_a_step_that_a_scaler_leaves_out_breaks_nothing():
    step = torch.tensor([1.0, 1.0, 1.0, 0.0, torch.inf])
    for scaled in (True, False):
        meter = Meter(CPU, ALONE, scaled=scaled)
        meter.add(step, 7)
        loss, broken = meter.read()
        assert loss == 1
        assert broken == (None if scaled else (7, "gradient", torch.inf))


def test_the_first_broken_step_is_told_whatever_comes_after_it():
    meter = Meter(CPU, ALONE)
    for step, loss in enumerate([1.0, torch.inf, torch.nan, 2.0]):
        meter.add(torch.tensor([loss, 1.0, 1.0, 0.0, 1.0]), step)
    assert meter.read() == (2.0, (1, "loss", torch.inf))


def test_a_validation_loss_that_is_not_finite_stops():
    broken = Memory(1)
    broken.tokens[3] = float("nan")
    with pytest.raises(ValueError, match="validation loss must be finite, got nan after epoch 1"):
        pretrain(Memory(0), broken, SHAPE, CONFIG, 0)


class Full:
    """A device with room for so many windows."""

    def __init__(self, room: int) -> None:
        self.room, self.tried = room, []

    def __call__(self, windows: int) -> None:
        self.tried.append(windows)
        if windows > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory.")


@pytest.mark.parametrize(
    ("windows", "room"), [(64, 40), (64, 10), (3, 2), (6, 2), (96, 2), (32, 24), (64, 63), (2, 1)]
)
def test_the_largest_batch_that_fits_is_found_in_few_tries(windows, room):
    device = Full(room)
    assert largest_that_fits(windows, device) == (room if room > 1 else None)
    assert len(device.tried) <= 6


def test_what_does_not_fit_names_the_remedies():
    config = CONFIG.model_copy(update={"batch": 64, "accumulate": 2})
    assert str(does_not_fit(32, 8, config)) == (
        "batch 64 does not fit into the GPU's memory, 32 windows at once; the largest that fits is "
        "16, 8 windows at once: set pretrain.batch to 16, or pretrain.accumulate to 8 (the same "
        "batch in smaller parts)"
    )
    assert "nor do 2 windows of it: make the autoencoder" in str(does_not_fit(32, None, config))


def test_parts_that_a_batch_is_cut_in_are_equal_and_hold_two_windows():
    config = CONFIG.model_copy(update={"batch": 32, "accumulate": 1})
    assert "pretrain.accumulate to 2 " in str(does_not_fit(32, 24, config))
    assert "accumulate to" not in str(does_not_fit(3, 2, CONFIG.model_copy(update={"batch": 3})))


def test_a_step_without_memory_tells_the_largest_batch(monkeypatch):
    full = Full(2)
    forward = Objective.forward

    def limited(self, inputs):
        full(len(inputs.seen) // 2)
        return forward(self, inputs)

    monkeypatch.setattr(Objective, "forward", limited)
    message = "batch 4 does not fit .* the largest that fits is 2.* pretrain.accumulate to 2"
    with pytest.raises(ValueError, match=message):
        pretrain(Memory(0), Memory(1), SHAPE, CONFIG, 0)
    # What the error says to do is enough for validation too.
    trained = pretrain(Memory(0), Memory(1), SHAPE, configured(accumulate=2, epochs=1), 0)
    assert len(trained.history) == 1


def test_windows_that_do_not_even_reach_the_device_tell_the_largest_batch(monkeypatch):
    full, to = Full(2), ViewPair.to

    def limited(self, device):
        full(len(self.sets))
        return to(self, device)

    monkeypatch.setattr(ViewPair, "to", limited)
    with pytest.raises(ValueError, match="batch 4 does not fit .* the largest that fits is 2"):
        pretrain(Memory(0), Memory(1), SHAPE, CONFIG, 0)


class Heavy:
    """A behaviour loss that fits into no memory."""

    def loss(self, *_):
        raise torch.OutOfMemoryError


def test_the_memory_of_the_behaviour_loss_is_counted():
    config = configured(behaviour=BehaviourConfig(weight=1.0))
    with pytest.raises(ValueError, match="nor do 2 windows .*, or pretrain.behaviour.models"):
        pretrain(Memory(0), Memory(1), SHAPE, config, 0, behaviours=[Heavy()])


def test_memory_is_that_of_this_process_and_not_of_the_one_that_began_it(monkeypatch):
    """A process starts with its parent's usage."""
    parent = SimpleNamespace(ru_maxrss=10**12)
    monkeypatch.setattr(devices.resource, "getrusage", lambda who: parent)
    assert 10 < devices.peak_memory(CPU) < 1e6


@pytest.fixture
def gpus(monkeypatch):
    """Pretend to have so many GPUs."""

    def pretend(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return pretend


def test_a_gpu_that_is_not_there_is_refused(gpus):
    gpus(0)
    assert devices.choose_device("auto") == CPU
    with pytest.raises(ValueError, match="device cuda needs a GPU .* got none: set pretrain.dev"):
        devices.choose_device("cuda")


@pytest.mark.parametrize("asked", ["auto", "cuda"])
def test_more_processes_than_gpus_are_refused(gpus, asked):
    gpus(2)
    assert devices.choose_device(asked, 2, 1) == torch.device("cuda", 1)
    assert devices.choose_device("cpu", 3, 2) == CPU
    with pytest.raises(ValueError, match=r"<= the number of GPUs \(2\), got 3"):
        devices.choose_device(asked, 3, 0)


def test_a_precision_without_units_is_refused(monkeypatch):
    monkeypatch.setattr(devices, "has_bfloat16", lambda device=None: False)
    assert devices.choose_precision("auto", CPU) == torch.float32
    with pytest.raises(ValueError, match="bfloat16 is not available: this processor has no matrix"):
        devices.choose_precision("bfloat16", CPU)
    with pytest.raises(ValueError, match="float16 needs a GPU, as CPUs are slower in it than"):
        devices.choose_precision("float16", CPU)
    monkeypatch.setattr(devices, "has_bfloat16", lambda device=None: True)
    assert devices.choose_precision("auto", CPU) == torch.bfloat16


def test_float16_scales_its_gradients_and_resumes(monkeypatch, tmp_path):
    """The processor is slow at it, and does it."""
    import sane_core.pretraining.train as module

    class Stop(Exception):
        pass

    def stop(step, *_):
        if step == 20:
            raise Stop

    monkeypatch.setattr(module, "choose_precision", lambda asked, device: torch.float16)
    arguments = (Memory(0), Memory(1), SHAPE, configured(save_minutes=1e-9), 0)
    whole = pretrain(*arguments)
    with pytest.raises(Stop):
        pretrain(*arguments, scratch=tmp_path, watch=Watch(on_step=stop))
    resumed = pretrain(*arguments, scratch=tmp_path)
    assert torch.equal(weights_of(whole), weights_of(resumed))
    assert whole.measured.precision == "float16"
    full = pretrain(Memory(0), Memory(1), SHAPE, configured(precision="bfloat16"), 0)
    assert whole.history[-1].train_loss == pytest.approx(full.history[-1].train_loss, rel=0.1)


def compiled_by(monkeypatch, backend) -> None:
    """Let the pass be compiled by this."""
    compile_pass = Objective.compile_pass
    monkeypatch.setattr(Objective, "compile_pass", lambda self: compile_pass(self, backend=backend))


def test_what_is_compiled_is_used(monkeypatch):
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    compiled_by(monkeypatch, backend)
    trained = pretrain(Memory(0), Memory(1), SHAPE, configured(compile="yes"), 0)
    plain = pretrain(Memory(0), Memory(1), SHAPE, CONFIG, 0)
    assert trained.measured.compiled == "yes" and plain.measured.compiled == "no"
    assert len(graphs) == 2  # with padding and without
    assert torch.allclose(weights_of(trained), weights_of(plain), atol=1e-5)


@pytest.mark.parametrize("graphs", [0, 1])
def test_a_compiler_that_fails_at_either_graph_is_told_and_done_without(monkeypatch, graphs):
    compiled = []

    def backend(graph, inputs):
        if len(compiled) == graphs:
            raise RuntimeError("no C++ compiler found")
        compiled.append(graph)
        return graph.forward

    torch._dynamo.reset()
    compiled_by(monkeypatch, backend)
    trained = pretrain(Memory(0), Memory(1), SHAPE, configured(compile="yes"), 0)
    plain = pretrain(Memory(0), Memory(1), SHAPE, CONFIG, 0)
    assert trained.measured.compiled.startswith("no, as it failed: ")
    assert "no C++ compiler found" in trained.measured.compiled
    assert torch.equal(weights_of(trained), weights_of(plain))


@pytest.mark.parametrize(("asked", "compiles"), [("yes", True), ("auto", False), ("no", False)])
def test_a_cpu_compiles_when_it_is_told_to(monkeypatch, asked, compiles):
    asked_to = []
    monkeypatch.setattr(Engine, "compile", lambda self, pairs: asked_to.append(1))
    pretrain(Memory(0), Memory(1), SHAPE, configured(compile=asked, epochs=1), 0)
    assert bool(asked_to) is compiles
