"""Pretraining: it learns, it is seeded, and it does what every field of its configuration says."""

import numpy as np
import pytest
import torch

from sane_core.pretraining.autoencoder import build
from sane_core.pretraining.history import Losses
from sane_core.pretraining.train import pretrain
from sane_core.pretraining.validation import validate
from schemas.config.pretrain import BehaviourConfig
from tests.pretraining.toy import CONFIG, SHAPE, Memory, configured, weights_of


def test_the_validation_loss_falls():
    history = pretrain(Memory(0), Memory(0), SHAPE, configured(epochs=12), seed=0).history
    assert history[-1].validation_reconstruction < 0.8 * history[0].validation_reconstruction


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    first, again, other = (
        pretrain(Memory(0), Memory(1), SHAPE, CONFIG, seed) for seed in (0, 0, 1)
    )
    assert torch.equal(weights_of(first), weights_of(again))
    assert first.history == again.history
    assert not torch.equal(weights_of(first), weights_of(other))


def losses_in_turn(monkeypatch, *losses: float) -> list[torch.Tensor]:
    """Let validation find these losses; return the weights that it saw."""
    import sane_core.pretraining.training as module

    values, seen = iter(losses), []

    def validated(model, *_):
        seen.append(model.tokens_in.weight.detach().clone())
        value = next(values)
        return (Losses(value, value, value),)

    monkeypatch.setattr(module, "validate", validated)
    return seen


def test_the_best_epoch_is_kept_and_the_last_beside_it(monkeypatch):
    seen = losses_in_turn(monkeypatch, 3.0, 1.0, 2.0)
    trained = pretrain(Memory(0), Memory(1), SHAPE, CONFIG, 0)
    assert trained.best_epoch == 2
    assert torch.equal(trained.model.tokens_in.weight, seen[1])
    assert torch.equal(trained.last["tokens_in.weight"], seen[2])


@pytest.mark.parametrize(
    ("patience", "losses"),
    [(1, [3, 2, 2.5]), (2, [3, 2, 2.5, 1.9, 1.95, 2.0]), (None, [3, 4, 5, 6, 7, 8])],
)
def test_training_stops_after_so_many_epochs_without_a_better_one(monkeypatch, patience, losses):
    losses_in_turn(monkeypatch, *losses, *[1.0] * (6 - len(losses)))
    config = configured(epochs=6, patience=patience)
    assert len(pretrain(Memory(0), Memory(1), SHAPE, config, 0).history) == len(losses)


def test_validation_adds_no_noise():
    trained = pretrain(Memory(0), Memory(1), SHAPE, CONFIG, 0)
    first, second = (validate(trained.model, Memory(1), CONFIG) for _ in range(2))
    assert first == second


def test_a_batch_in_parts_gives_the_gradient_of_the_whole():
    whole = pretrain(Memory(0), Memory(1), SHAPE, configured(gamma=0.0), 0)
    parts = pretrain(Memory(0), Memory(1), SHAPE, configured(gamma=0.0, accumulate=2), 0)
    assert torch.allclose(weights_of(whole), weights_of(parts), atol=1e-5)
    assert whole.history[0].train_loss == pytest.approx(parts.history[0].train_loss, rel=1e-5)


def test_parts_are_contrasted_with_fewer_others():
    whole = pretrain(Memory(0), Memory(1), SHAPE, CONFIG, 0)
    parts = pretrain(Memory(0), Memory(1), SHAPE, configured(accumulate=2), 0)
    assert parts.history[0].train_contrastive < 0.9 * whole.history[0].train_contrastive


def test_clipping_bounds_the_step_and_tells_the_norm_before_it():
    free = pretrain(Memory(0), Memory(1), SHAPE, configured(epochs=1), 0)
    bound = pretrain(Memory(0), Memory(1), SHAPE, configured(epochs=1, clip=1e-9), 0)
    start = pretrain(Memory(0), Memory(1), SHAPE, configured(epochs=1, learning_rate=1e-30), 0)
    moved = [float((weights_of(t) - weights_of(start)).norm()) for t in (free, bound)]
    assert moved[1] < 0.5 * moved[0]
    assert bound.history[0].gradient_norm > 1e-3


def test_zoos_are_trained_on_together_and_validated_apart():
    both = Memory(0).and_set(Memory(5, runs=4))
    trained = pretrain(both, both, SHAPE, CONFIG, 0)
    record = trained.history[-1]
    of_sets = [losses.reconstruction for losses in record.validation_sets]
    assert len({*of_sets}) == 2
    counts = np.bincount(both.sets)
    assert record.validation_reconstruction == pytest.approx(np.average(of_sets, weights=counts))
    assert {"validation_loss_0", "validation_contrastive_1"} <= record.row().keys()


def test_the_weight_of_a_zoo_says_how_much_of_it_is_seen_and_counted():
    both = Memory(0).and_set(Memory(5, runs=4))
    even, uneven = (
        pretrain(both, both, SHAPE, configured(epochs=2, weights=weights), 0)
        for weights in ((1.0, 1.0), (3.0, 0.5))
    )
    assert uneven.measured.windows > 1.5 * even.measured.windows
    record = uneven.history[-1]
    of_sets = [losses.loss for losses in record.validation_sets]
    assert record.validation_loss == pytest.approx(np.average(of_sets, weights=[3 * 48, 0.5 * 32]))


def test_layers_are_normalized_by_their_variances():
    config = configured(layer_normalization=True)
    plain = pretrain(Memory(0), Memory(1), SHAPE, configured(epochs=1), 0)
    halved = pretrain(
        Memory(0), Memory(1), SHAPE, config.model_copy(update={"epochs": 1}), 0,
        variances=[(2.0, 2.0)],
    )  # fmt: skip
    first = plain.history[0].train_reconstruction / halved.history[0].train_reconstruction
    assert first == pytest.approx(2, rel=0.1)


def test_a_dataset_smaller_than_a_batch_is_refused():
    message = "at least 8 runs to fill a batch.* got 48 windows of 6 runs: set pretrain.batch to 6"
    with pytest.raises(ValueError, match=message):
        pretrain(Memory(0), Memory(1), SHAPE, configured(batch=8), 0)


def test_validation_may_have_fewer_networks_than_a_batch():
    trained = pretrain(Memory(0), Memory(1, runs=3), SHAPE, CONFIG, 0)
    assert np.isfinite(trained.history[-1].validation_loss)


def test_weights_must_be_as_many_as_sets():
    with pytest.raises(ValueError, match="one weight for each of 1 window sets, got 2"):
        pretrain(Memory(0), Memory(1), SHAPE, configured(weights=(1.0, 1.0)), 0)


def test_more_permuted_views_than_there_are_are_refused():
    config = configured(first_view="permuted")
    with pytest.raises(ValueError, match="at least 2 permuted views.*set windows.views to 2"):
        pretrain(Memory(0), Memory(1), SHAPE, config, 0)


def test_a_position_beyond_the_table_is_refused_before_a_step():
    windows = Memory(0)
    windows.positions = windows.positions + 1
    with pytest.raises(ValueError, match=r"position n must be < 5 \(the learned table of n\)"):
        pretrain(windows, Memory(1), SHAPE, CONFIG, 0)


def test_a_behaviour_loss_without_networks_is_refused():
    config = CONFIG.model_validate(CONFIG.model_dump() | {"behaviour": {"weight": 0.3}})
    with pytest.raises(ValueError, match="needs the tokens of each zoo, got none"):
        pretrain(Memory(0), Memory(1), SHAPE, config, 0)


class Told:
    """A behaviour loss that pulls the latents to zero, and notes its calls."""

    def __init__(self) -> None:
        self.draws = []

    def loss(self, model, window, generator, device):
        assert (window, device) == (5, torch.device("cpu"))
        self.draws.append(int(torch.randint(2**60, (), generator=generator)))
        return model.latents_out.weight.square().sum()


def test_the_behaviour_loss_is_added_in_its_steps_by_zoos_in_turn():
    fields = {"behaviour": {"weight": 5.0, "every": 3}, "epochs": 1}
    config = CONFIG.model_validate(CONFIG.model_dump() | fields)
    zoos = (Told(), Told())
    trained = pretrain(Memory(0), Memory(1), SHAPE, config, 0, behaviours=zoos)
    assert [len(zoo.draws) for zoo in zoos] == [2, 2]
    assert len({draw for zoo in zoos for draw in zoo.draws}) == 4
    without = pretrain(Memory(0), Memory(1), SHAPE, configured(epochs=1), 0)
    weight = [t.model.latents_out.weight.detach().norm() for t in (trained, without)]
    assert weight[0] < weight[1]
    assert trained.history[0].train_behaviour > 0 == without.history[0].train_behaviour


@pytest.mark.parametrize("every", [1, 3, 5])
def test_the_behaviour_loss_told_is_the_mean_over_the_steps_that_have_it(every):
    config = configured(
        epochs=2, learning_rate=1e-30, behaviour=BehaviourConfig(weight=1.0, every=every)
    )
    trained = pretrain(Memory(0), Memory(1), SHAPE, config, 0, behaviours=[Told()])
    constant = float(trained.model.latents_out.weight.detach().square().sum())
    told = [record.train_behaviour for record in trained.history]
    assert told == pytest.approx([constant, constant], rel=1e-5)


class Ragged(Memory):
    """Windows of many lengths."""

    def epoch_batches(self, batches):
        for indices, batch in zip(batches, super().epoch_batches(batches), strict=True):
            batch.lengths[:] = 1 + torch.from_numpy(indices)[:, None, None] % 6
            yield batch


def test_validation_is_the_mean_over_real_weights_however_it_is_cut_in_batches():
    model = build(SHAPE, CONFIG.autoencoder, 0)
    windows = Ragged(1)
    found = [validate(model, windows, configured(batch=size))[0] for size in (2, 3, 6)]
    assert found[0].reconstruction == pytest.approx(found[1].reconstruction, rel=1e-5)
    assert found[0].reconstruction == pytest.approx(found[2].reconstruction, rel=1e-5)
    for losses in found:
        both = 0.95 * losses.reconstruction + 0.05 * losses.contrastive
        assert losses.loss == pytest.approx(both)


def test_rates_are_measured():
    measured = pretrain(Memory(0), Memory(1), SHAPE, CONFIG, 0).measured
    assert (measured.windows, measured.tokens) == (3 * 48, 3 * 48 * 2 * 5)
    assert measured.device == "cpu" and measured.precision == "float32"
    rates = measured.rates()
    assert rates["pretrain.windows_per_second"] > 0
    assert 0 <= rates["pretrain.waiting_share"] <= 1
