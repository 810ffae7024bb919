"""Whole models in windows of any length: every token counts once, and padding never does."""

import tracemalloc

import numpy as np
import pytest
import torch

from sane_core.ablation import stream as streaming
from sane_core.ablation.reconstruct import kept_window, reconstruction_errors
from sane_core.ablation.stream import stream
from sane_core.embedding.embed import decode, encode, whole_models
from sane_core.embedding.halo import split_with_halo
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.weights import files
from sane_core.weights.files import TokenSet, write_tokens
from sane_core.weights.tokens import mask_of
from schemas.config.embed import EmbedConfig
from tests.ablation.made_up import D_T, LAYERS, LENGTH, Zoo, autoencoder


def names_of(tokens: TokenSet) -> list[tuple[int, int]]:
    return list(zip(tokens.runs.tolist(), tokens.epochs.tolist(), strict=True))


def plain_errors(model: Autoencoder, tokens: TokenSet, config: EmbedConfig) -> np.ndarray:
    """Sum up squared errors by embedding's own functions, [checkpoints, layers]."""
    place = (tokens.positions, tokens.lengths, config)
    decoded = decode(model, encode(model, tokens.values, *place), *place)
    squares = np.square(decoded - tokens.values) * mask_of(tokens.lengths, D_T)
    layer = tokens.positions[:, 1]
    return np.stack([squares[:, layer == l].sum((1, 2)) for l in range(len(LAYERS))], axis=1)


def errors(zoo: Zoo, model: Autoencoder, window: int, halo: int = 0) -> np.ndarray:
    chosen = names_of(zoo.parts["test"])
    folder = zoo.folder / "tokens"
    return reconstruction_errors(model, folder, LAYERS, "test", chosen, window, halo).squared


def test_whole_models_lose_what_a_plain_pass_loses(zoo: Zoo) -> None:
    model = autoencoder()
    expected = plain_errors(model, zoo.parts["test"], whole_models(EmbedConfig()))
    for window in (0, LENGTH, LENGTH + 9):
        np.testing.assert_allclose(errors(zoo, model, window), expected, rtol=1e-5)


def test_windows_of_one_token_lose_what_lonely_tokens_lose(zoo: Zoo) -> None:
    expected = plain_errors(autoencoder(), zoo.parts["test"], EmbedConfig(chunk=1, halo=0))
    np.testing.assert_allclose(errors(zoo, autoencoder(), 1), expected, rtol=1e-5)


def test_a_halo_gives_context_that_windows_alone_lack(zoo: Zoo) -> None:
    whole = autoencoder()
    one = torch.no_grad()(lambda module: module.mul_(20))  # so that attention matters
    for block in (*whole.encoder, *whole.decoder):
        one(block.qkv.weight), one(block.attention_out.weight)
    alone, with_all = errors(zoo, whole, 4), errors(zoo, whole, 4, halo=LENGTH)
    assert not np.allclose(alone, errors(zoo, whole, 0), rtol=1e-3)
    # With all others as context, encoding and decoding see what they see of whole models.
    np.testing.assert_allclose(with_all, errors(zoo, whole, 0), rtol=1e-4)


def test_weights_are_counted_once_per_layer_whatever_the_window(zoo: Zoo) -> None:
    chosen = names_of(zoo.parts["test"])
    sizes = [layer.size for layer in LAYERS]
    for window, halo in ((0, 0), (3, 0), (4, 2), (5, 20)):
        found = reconstruction_errors(
            autoencoder(), zoo.folder / "tokens", LAYERS, "test", chosen, window, halo
        )
        np.testing.assert_array_equal(found.weights, np.tile(sizes, (len(chosen), 1)))


def test_small_passes_give_what_large_ones_give(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    large = errors(zoo, autoencoder(), 3, halo=1)
    monkeypatch.setattr("sane_core.ablation.reconstruct.TOKENS", 4)
    np.testing.assert_allclose(errors(zoo, autoencoder(), 3, halo=1), large, rtol=1e-5)


def test_a_checkpoint_that_is_not_there_is_named(zoo: Zoo) -> None:
    with pytest.raises(ValueError, match=r"must hold every checkpoint .*lacks \[\(6, 99\)\]"):
        reconstruction_errors(
            autoencoder(), zoo.folder / "tokens", LAYERS, "test", [(6, 0), (6, 99)], 0
        )


def test_one_latent_per_model_takes_whole_models_alone(zoo: Zoo) -> None:
    model = autoencoder(window=LENGTH + 2, bottleneck="model")
    expected = plain_errors(model, zoo.parts["test"], whole_models(EmbedConfig()))
    np.testing.assert_allclose(errors(zoo, model, 0), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="takes whole models of at most 16 tokens, got windows of"):
        errors(zoo, model, 5)
    with pytest.raises(ValueError, match="takes whole models of at most 9 tokens"):
        errors(zoo, autoencoder(window=9, bottleneck="model"), 0)


def test_no_window_is_longer_than_the_model() -> None:
    assert [kept_window(window, 14) for window in (0, 5, 14, 99)] == [14, 5, 14, 14]


@pytest.mark.parametrize(("window", "halo"), [(1, 0), (4, 1), (5, 9), (14, 0)])
@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_streamed_windows_are_those_of_the_tokens(
    window: int, halo: int, rows: int, tmp_path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_BYTES", rows * 4 * D_T)
    monkeypatch.setattr(files, "LARGEST_GROUP", 5 * 4 * D_T)  # checkpoints over several row groups
    part = zoo.parts["train"]
    path = tmp_path / "split=train" / "part-00000.parquet"
    path.parent.mkdir()
    write_tokens(path, part)
    chunks = split_with_halo(LENGTH, window, halo)
    wanted = [(1, 0), (2, 1)]
    found = list(stream(tmp_path, "train", wanted, chunks))
    assert [(piece.checkpoint, piece.chunk) for piece in found] == [
        (checkpoint, chunk) for checkpoint in wanted for chunk in chunks
    ]
    for piece in found:
        model = part.values[names_of(part).index(piece.checkpoint)]
        at = slice(piece.chunk.low, piece.chunk.high)
        np.testing.assert_array_equal(piece.tokens, model[at])
        np.testing.assert_array_equal(piece.positions, part.positions[at])
        np.testing.assert_array_equal(piece.lengths, part.lengths[at])


def peak(folder, length: int) -> int:
    """Return the most bytes that streaming a network of so many tokens takes."""
    n = np.arange(length)
    tokens = TokenSet(
        values=np.ones((1, length, 16), np.float32),
        positions=np.stack([n, 0 * n, n], axis=1),
        lengths=np.full(length, 16),
        runs=np.zeros(1, np.int64),
        epochs=np.zeros(1, np.int64),
    )
    path = folder / f"{length}" / "split=test" / "part.parquet"
    path.parent.mkdir(parents=True)
    write_tokens(path, tokens)
    chunks = split_with_halo(length, 32, 4)
    tracemalloc.start()
    for piece in stream(path.parents[1], "test", {(0, 0)}, chunks):
        assert len(piece.lengths) <= 40
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def test_streaming_holds_no_whole_model(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "_BYTES", 2**14)
    short, long = peak(tmp_path, 8_000), peak(tmp_path, 64_000)
    assert long - short < 64_000 * 16 * 4 / 4
