"""What an ablation varies, and what it keeps."""

import pytest
from pydantic import ValidationError

from schemas.config.ablate import VIEW_SETTINGS, AblateConfig
from schemas.config.benchmark import BenchmarkConfig
from schemas.config.pretrain import PretrainConfig
from schemas.config.windows import WindowsConfig


def test_the_views_are_the_rows_of_table_6_in_its_order() -> None:
    assert [setting.name for setting in VIEW_SETTINGS] == [
        "unaligned-permuted-permuted",
        "aligned-permuted-permuted",
        "aligned-aligned-permuted",
        "aligned-aligned-aligned",
    ]


def test_a_setting_changes_the_views_and_nothing_else() -> None:
    base = PretrainConfig(epochs=7)
    changed = AblateConfig(views=True).of_views(base, VIEW_SETTINGS[1])
    assert (changed.first_view, changed.second_view) == ("permuted", "permuted")
    back = {"first_view": base.first_view, "second_view": base.second_view}
    assert changed.model_copy(update=back) == base
    assert AblateConfig(views=True, epochs=3).of_views(base, VIEW_SETTINGS[0]).epochs == 3


def test_longer_windows_come_in_batches_of_as_many_tokens() -> None:
    ablate = AblateConfig(window_sizes=(32, 8, 16))
    assert ablate.window_sizes == (8, 16, 32)
    base = PretrainConfig(batch=64)
    for length, batch in ((8, 64), (16, 32), (32, 16)):
        windows, training = ablate.of_size(WindowsConfig(starts="uniform"), base, length)
        assert (windows.length, windows.starts, training.batch) == (length, "stratified", batch)
        assert training.batch * windows.length == 64 * 8


def test_a_batch_keeps_two_windows_in_every_part_of_it() -> None:
    base = PretrainConfig(batch=16, accumulate=2)
    ablate = AblateConfig(window_sizes=(32, 2048))
    assert ablate.of_size(WindowsConfig(), base, 32)[1].batch == 16
    assert ablate.of_size(WindowsConfig(), base, 2048)[1].batch == 4


@pytest.mark.parametrize(
    ("ablate", "message"),
    [
        ({"window_sizes": [0]}, "lengths must be different and >= 1, got"),
        ({"window_sizes": [8, 8]}, "lengths must be different and >= 1, got"),
        ({"inference_windows": [-1]}, "lengths must be different and >= 0, got"),
        ({"inference_windows": [0], "epochs": 3}, "epochs is that of ablations that train"),
    ],
)
def test_lengths_and_epochs_that_mean_nothing_are_refused(ablate: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AblateConfig.model_validate(ablate)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, "experiment ablate needs something to do"),
        ({"ablate": {"views": True}, "windows": {"views": 1}}, "windows.views must be >= 2, got 1"),
        ({"ablate": {"window_sizes": [8]}, "preset": "global"}, "need an autoencoder with latents"),
        (
            {
                "ablate": {"window_sizes": [8]},
                "together": True,
                "preprocess": {"d_t": 9},
                "zoos": [{"name": "a"}, {"name": "b"}],
            },
            "train on one zoo: together must be false",
        ),
    ],
)
def test_an_ablation_that_cannot_be_run_is_refused(said: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BenchmarkConfig.model_validate({"experiments": ["ablate"], **said})
    BenchmarkConfig.model_validate(said)  # it is only written down, not run
