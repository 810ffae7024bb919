"""Views, noise and hidden weights: drawn for whole batches, whoever computes a part of them."""

import pytest
import torch

from sane_core.pretraining.augment import ViewPair, augment, pick_views, take_views
from sane_core.windows.batches import WindowBatch
from schemas.config.pretrain import PretrainConfig

QUIET = PretrainConfig(noise=0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def seeing(first: str, second: str) -> PretrainConfig:
    return PretrainConfig.model_validate({"first_view": first, "second_view": second})


def views(windows: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    clean = 1 + torch.rand(2, windows, 8, 16, generator=generator(9))
    mask = (torch.arange(16) < 12).expand(clean.shape)
    return clean * mask, mask


@pytest.mark.parametrize("first", ["aligned", "permuted"])
@pytest.mark.parametrize("second", ["aligned", "permuted"])
def test_views_are_of_the_kinds_asked_for(first, second):
    chosen = pick_views(4, 200, seeing(first, second), generator())
    for row, kind in zip(chosen, (first, second), strict=True):
        assert set(row.tolist()) == ({0} if kind == "aligned" else {1, 2, 3})


@pytest.mark.parametrize("source", [None, generator(1)])
@pytest.mark.parametrize("stored", [3, 6])
def test_two_permuted_views_are_never_the_same(stored, source):
    chosen = pick_views(stored, 200, seeing("permuted", "permuted"), source)
    assert (chosen > 0).all()
    assert (chosen < stored).all()
    assert (chosen[0] != chosen[1]).all()


def test_every_pair_of_permuted_views_is_as_likely():
    chosen = pick_views(4, 6000, seeing("permuted", "permuted"), generator())
    pairs, counts = torch.unique(chosen, dim=1, return_counts=True)
    assert pairs.shape == (2, 6)
    assert counts.min() > 900


@pytest.mark.parametrize(
    ("first", "second", "stored", "wanted"),
    [("permuted", "permuted", 2, 2), ("aligned", "permuted", 1, 1)],
)
def test_too_few_permuted_views_are_refused(first, second, stored, wanted):
    message = rf"at least {wanted} permuted.*got {stored - 1}: set windows.views to {wanted}"
    with pytest.raises(ValueError, match=message):
        pick_views(stored, 4, seeing(first, second), generator())


def test_two_aligned_views_need_no_permuted_one():
    assert not pick_views(1, 4, seeing("aligned", "aligned"), generator()).any()


def taken() -> tuple[WindowBatch, ViewPair]:
    lengths = torch.full((2, 3, 4), 6)
    lengths[1, :, 3] = 0
    batch = WindowBatch(
        tokens=torch.arange(2 * 3 * 4 * 6).view(2, 3, 4, 6).half(),
        positions=torch.zeros(2, 4, 3, dtype=torch.int64),
        lengths=lengths,
        runs=torch.arange(2),
        epochs=torch.arange(2),
        sets=torch.tensor([0, 1]),
    )
    return batch, take_views(batch, torch.tensor([[0, 0], [2, 1]]))


def test_the_chosen_views_are_taken_of_each_window():
    batch, pair = taken()
    assert torch.equal(pair.tokens[0], batch.tokens[:, 0])
    assert torch.equal(pair.tokens[1, 0], batch.tokens[0, 2])
    assert torch.equal(pair.tokens[1, 1], batch.tokens[1, 1])
    assert torch.equal(pair.lengths[1, 1], batch.lengths[1, 1])
    assert pair.sets.tolist() == [0, 1]


def test_a_pair_knows_its_padding_and_its_real_weights():
    batch, pair = taken()
    assert pair.padded
    assert pair.real == 2 * 6 * (4 + 3)
    batch.lengths[1, :, 3] = 1
    full = take_views(batch, torch.zeros(2, 2, dtype=torch.int64))
    assert not full.padded


def test_multiplicative_noise_has_the_size_of_the_weights_it_is_on():
    clean, mask = views()
    seen, target = augment(clean, mask, PretrainConfig(noise=0.1), generator())
    relative = (seen / clean - 1)[mask]
    assert float(relative.std()) == pytest.approx(0.1, rel=0.05)
    assert float(relative.mean()) == pytest.approx(0, abs=0.005)
    assert torch.equal(target, clean)


def test_additive_noise_has_one_size_and_leaves_padding_empty():
    clean, mask = views()
    seen, _ = augment(clean, mask, PretrainConfig(noise=0, additive_noise=0.3), generator())
    assert float((seen - clean)[mask].std()) == pytest.approx(0.3, rel=0.05)
    assert not seen[~mask].any()


def test_hidden_weights_are_zero_and_still_asked_for():
    clean, mask = views()
    config = PretrainConfig(noise=0.1, erase=0.25, target="noised")
    seen, target = augment(clean, mask, config, generator())
    hidden = (seen == 0) & mask
    assert float(hidden.sum() / mask.sum()) == pytest.approx(0.25, rel=0.05)
    assert (target[hidden] != 0).all()
    assert torch.equal(seen[~hidden], target[~hidden])


@pytest.mark.parametrize(("target", "same_as_clean"), [("clean", True), ("noised", False)])
def test_the_target_is_the_view_without_or_with_its_noise(target, same_as_clean):
    clean, mask = views()
    config = PretrainConfig.model_validate({"noise": 0.1, "target": target})
    seen, wanted = augment(clean, mask, config, generator())
    assert torch.equal(wanted, clean) == same_as_clean
    assert torch.equal(wanted, seen) != same_as_clean


def test_the_two_views_of_a_window_have_noise_of_their_own():
    clean, mask = views()
    seen, _ = augment(clean[:1].repeat(2, 1, 1, 1), mask, PretrainConfig(), generator())
    assert not torch.equal(seen[0], seen[1])


def test_without_noise_a_view_is_seen_as_it_is():
    clean, mask = views()
    seen, target = augment(clean, mask, QUIET, generator())
    assert torch.equal(seen, clean)
    assert torch.equal(target, clean)


def test_ranks_see_together_what_one_process_sees():
    clean, mask = views(6)
    config = PretrainConfig(noise=0.1, additive_noise=0.2, erase=0.3)
    whole, _ = augment(clean, mask, config, generator())
    for rows in (slice(0, 2), slice(2, 6)):
        part, _ = augment(clean[:, rows], mask[:, rows], config, generator(), 6, rows)
        assert torch.equal(part, whole[:, rows])
