"""Pretraining: it learns, it is seeded, and a killed run resumes to the same weights."""

import numpy as np
import pytest
import torch

from sane_core.pretraining.autoencoder import AutoencoderShape
from sane_core.pretraining.files import load, read_config, save
from sane_core.pretraining.train import pretrain, validate
from sane_core.windows.batches import WindowBatch
from schemas.config.pretrain import AutoencoderConfig, PretrainConfig

SHAPE = AutoencoderShape(d_t=6, window=5, positions=(5, 2, 5))
CONFIG = PretrainConfig(
    autoencoder=AutoencoderConfig(d_model=16, heads=2, layers=1, d_z=6, d_projection=4),
    epochs=3,
    batch=4,
    learning_rate=3e-3,
    precision="float32",
)


class Memory:
    """Windows in memory, as a reader."""

    def __init__(self, seed: int, runs: int = 6, epochs: int = 8) -> None:
        rng = np.random.default_rng(seed)
        self.runs = np.repeat(np.arange(runs), epochs)
        base = rng.standard_normal((runs * epochs, 1, 5, 6)).astype(np.float32)
        self.tokens = torch.from_numpy(np.concatenate([base, base[:, :, ::-1].copy()], axis=1))

    def __len__(self) -> int:
        return len(self.runs)

    def epoch_batches(self, batches):
        positions = torch.tensor([[n, n // 3, n % 3] for n in range(5)])
        for batch in batches:
            yield WindowBatch(
                self.tokens[batch],
                positions.expand(len(batch), -1, -1),
                torch.full((len(batch), 2, 5), 6),
                torch.from_numpy(self.runs[batch]),
                torch.zeros(len(batch), dtype=torch.int64),
            )


def weights_of(trained):
    return torch.cat([value.flatten() for value in trained.model.state_dict().values()])


def test_the_validation_loss_falls():
    config = CONFIG.model_copy(update={"epochs": 12})
    history = pretrain(Memory(0), Memory(0), SHAPE, config, seed=0).history
    assert history[-1].validation_reconstruction < 0.8 * history[0].validation_reconstruction


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    first, again, other = (
        pretrain(Memory(0), Memory(1), SHAPE, CONFIG, seed) for seed in (0, 0, 1)
    )
    assert torch.equal(weights_of(first), weights_of(again))
    assert not torch.equal(weights_of(first), weights_of(other))


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("step", [1, 13, 30])
def test_a_run_that_stops_at_any_step_resumes_to_the_same_weights(tmp_path, step):
    def stop(now, steps, loss):
        if now == step:
            raise Killed

    whole = pretrain(Memory(0), Memory(1), SHAPE, CONFIG, 0)
    with pytest.raises(Killed):
        pretrain(Memory(0), Memory(1), SHAPE, CONFIG, 0, tmp_path / "state.pt", stop)
    resumed = pretrain(Memory(0), Memory(1), SHAPE, CONFIG, 0, tmp_path / "state.pt")
    assert torch.equal(weights_of(whole), weights_of(resumed))
    assert whole.history == resumed.history


def test_the_best_epoch_is_kept_not_the_last(monkeypatch):
    import sane_core.pretraining.train as module

    losses = iter([3.0, 1.0, 2.0])
    seen = []

    def validated(model, windows, config):
        seen.append(model.tokens_in.weight.detach().clone())
        value = next(losses)
        return module.Losses(value, value, value)

    monkeypatch.setattr(module, "validate", validated)
    trained = pretrain(Memory(0), Memory(1), SHAPE, CONFIG, 0)
    assert trained.best_epoch == 2
    assert torch.equal(trained.model.tokens_in.weight, seen[1])


def test_a_loss_that_is_not_finite_stops_and_names_the_step():
    broken = Memory(0)
    broken.tokens = broken.tokens * float("inf")
    with pytest.raises(ValueError, match=r"the loss must stay finite, got nan in epoch 1, step 1"):
        pretrain(broken, Memory(1), SHAPE, CONFIG, 0)


def test_validation_adds_no_noise():
    trained = pretrain(Memory(0), Memory(1), SHAPE, CONFIG, 0)
    first, second = (validate(trained.model, Memory(1), CONFIG) for _ in range(2))
    assert first == second


def test_a_saved_model_loads_as_it_was(tmp_path):
    trained = pretrain(Memory(0), Memory(1), SHAPE, CONFIG, 0)
    save(tmp_path, trained, CONFIG.autoencoder)
    loaded = load(tmp_path)
    for name, value in trained.model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])
    assert read_config(tmp_path) == (SHAPE, CONFIG.autoencoder)
