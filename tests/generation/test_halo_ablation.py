"""Table 7: the rows differ in halo and conditioning and in nothing else."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from sane_core.generation.compare import samplers_of
from sane_core.generation.halo_ablation import ablate_halo
from sane_core.generation.material import open_material
from sane_core.generation.zoo import generate_from_zoo
from schemas.config.generate import HALO_ROWS
from tests.generation.resnets import ARCHITECTURE, CONFIG, EMBED, EPOCHS, RECIPE

SEED = 0
EVERY = CONFIG.model_copy(update={"keep": CONFIG.candidates})


@pytest.fixture(scope="module")
def decoder(sources):
    return open_material(sources, EPOCHS, CONFIG, EMBED, SEED, RECIPE).decoders["sane"]


@pytest.fixture(scope="module")
def rows(decoder):
    return ablate_halo(decoder, EVERY, np.random.default_rng(1))


def by_latents(samples):
    """Networks in the order of their latents, whatever order they were ranked in."""
    order = np.argsort(samples.latents[:, 0, 0])
    return samples.latents[order], {n: v[order] for n, v in samples.weights.items()}


def test_every_row_stands_on_the_same_latents(rows):
    assert [*rows] == ["naive", "halo", "bn_cond", "halo_bn_cond"]
    first, _ = by_latents(rows["naive"])
    for samples in rows.values():
        np.testing.assert_array_equal(by_latents(samples)[0], first)


def test_halos_change_trained_entries_and_conditioning_changes_none(rows):
    weights = {row: by_latents(samples)[1] for row, samples in rows.items()}
    for name in ARCHITECTURE.shapes():
        np.testing.assert_array_equal(weights["naive"][name], weights["bn_cond"][name])
        np.testing.assert_array_equal(weights["halo"][name], weights["halo_bn_cond"][name])
    assert any(
        not np.array_equal(weights["naive"][name], weights["halo"][name])
        for name in ARCHITECTURE.shapes()
    )


def test_running_statistics_are_new_without_conditioning(rows):
    for row in ("naive", "halo"):
        weights = rows[row].weights
        assert (weights.get("bn1.running_mean", np.zeros(1)) == 0).all()
        assert (weights.get("bn1.running_var", np.ones(1)) == 1).all()
    for row in ("bn_cond", "halo_bn_cond"):
        assert (rows[row].weights["bn1.running_mean"] != 0).any()


def test_the_row_with_both_is_sub(decoder):
    row = ablate_halo(decoder, CONFIG, np.random.default_rng(5))["halo_bn_cond"]
    sub = samplers_of({"sane": decoder}, CONFIG, SEED)["sub"](np.random.default_rng(5))
    for name, values in sub.weights.items():
        np.testing.assert_array_equal(row.weights[name], values)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"conditioning": None}, "needs conditioning to leave out.*conditioning_batches"),
        ({"embed": EMBED.model_copy(update={"halo": 0})}, "needs a halo to leave out.* got 0 and"),
        ({"embed": EMBED.model_copy(update={"chunk": 10**4})}, "embed.chunk < .*got 4 and 10000"),
    ],
)
def test_what_leaves_nothing_out_is_refused(decoder, changed, message):
    changed = replace(decoder, generator=replace(decoder.generator, **changed))
    with pytest.raises(ValueError, match=message):
        ablate_halo(changed, CONFIG, np.random.default_rng(0))


def test_the_rows_stand_in_the_tables_and_are_fine_tuned(sources, tmp_path):
    config = CONFIG.model_copy(update={"finetune_epochs": (1,), "finetune_methods": ("naive",)})
    metrics = generate_from_zoo(sources, RECIPE, EPOCHS, config, EMBED, SEED, tmp_path)
    accuracy = pq.read_table(tmp_path / "accuracy.parquet").to_pylist()
    for row in HALO_ROWS:
        found = [each["epoch"] for each in accuracy if each["method"] == row]
        assert found == [0, 0] + ([1, 1] if row == "naive" else [])
        assert f"generation.candidate_accuracy.{row}" in metrics
    both, sub = (
        [each["test_accuracy"] for each in accuracy if each["method"] == method]
        for method in ("halo_bn_cond", "sub")
    )
    assert both == sub
