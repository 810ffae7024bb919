"""An embedding averaged over frames depends less on the order of units; of one, nothing changes."""

import numpy as np
import pytest

from sane_core.architectures.registry import architecture_named
from sane_core.embedding.embed import encode
from sane_core.embedding.frames import Frames, embed_models, frames_of
from sane_core.embedding.pooling import pool
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.weights.layers import layers_of_architecture
from sane_core.weights.symmetry.derive import groups_of
from sane_core.weights.symmetry.permute import permute, random_permutations
from sane_core.weights.tokens import lengths_of, positions_of, tokenize
from schemas.config.embed import EmbedConfig
from schemas.config.pretrain import AutoencoderConfig

NETWORK = architecture_named("mlp[size=4]")
LAYERS, GROUPS, D_T = layers_of_architecture(NETWORK, "exclude"), groups_of(NETWORK), 24
POSITIONS, LENGTHS = positions_of(LAYERS, D_T), lengths_of(LAYERS, D_T)
CONFIG = EmbedConfig(chunk=32, halo=4, batch=16)


def weights_of(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = NETWORK.shapes().items()
    return {name: rng.standard_normal((count, *s)).astype(np.float32) for name, s in shapes}


def tokens_of(weights: dict[str, np.ndarray]) -> np.ndarray:
    return tokenize(weights, LAYERS, D_T)


def autoencoder():
    sizes = {"d_model": 16, "heads": 2, "layers": 1, "d_z": 4, "d_projection": 4}
    shape = AutoencoderShape(D_T, 8, (len(POSITIONS), 10, len(POSITIONS)))
    return build(shape, AutoencoderConfig(**sizes), 0).eval()


def embedded(tokens: np.ndarray, views: int, seed: int = 0) -> dict[str, np.ndarray]:
    frames = Frames(LAYERS, GROUPS, D_T, views, seed)
    return embed_models(autoencoder(), tokens, POSITIONS, LENGTHS, frames, CONFIG)


def test_one_frame_is_the_embedding_of_the_aligned_network_bit_for_bit():
    tokens = tokens_of(weights_of(3))
    latents = encode(autoencoder(), tokens, POSITIONS, LENGTHS, CONFIG)
    for name, values in pool("sane", latents, POSITIONS[:, 1]).items():
        np.testing.assert_array_equal(embedded(tokens, 1)[name], values)


def test_a_network_and_a_permuted_copy_are_closer_than_in_one_frame():
    weights = weights_of(12)
    copies = permute(weights, GROUPS, random_permutations(GROUPS, 12, np.random.default_rng(1)))
    once, often = (
        [embedded(tokens_of(each), views) for each in (weights, copies)] for views in (1, 8)
    )
    for pooling in ("sane_mean", "sane_layers"):
        apart = [float(np.square(a[pooling] - b[pooling]).mean()) for a, b in (once, often)]
        assert 0 < apart[1] < 0.5 * apart[0]


def test_a_frame_holds_the_values_of_the_network_elsewhere():
    """That what moves them keeps the function is a law of `windows.views`."""
    tokens = tokens_of(weights_of(1))[0]
    first, *others = Frames(LAYERS, GROUPS, D_T, 4, 0).of(tokens)
    np.testing.assert_array_equal(first, tokens)
    for other in others:
        assert not np.array_equal(other, tokens)
        np.testing.assert_array_equal(np.sort(other, axis=None), np.sort(tokens, axis=None))


def test_frames_are_the_same_for_all_networks_and_further_ones_move_none():
    tokens = tokens_of(weights_of(3))
    alone = [embedded(tokens[i : i + 1], 3)["sane_mean"] for i in range(3)]
    np.testing.assert_allclose(np.concatenate(alone), embedded(tokens, 3)["sane_mean"], atol=1e-6)
    few, many = (list(Frames(LAYERS, GROUPS, D_T, n, 0).of(tokens[0])) for n in (3, 5))
    for one, other in zip(few, many, strict=False):
        np.testing.assert_array_equal(one, other)
    assert not np.allclose(embedded(tokens, 3, seed=1)["sane_mean"], np.concatenate(alone))


def test_networks_without_symmetries_have_one_frame():
    Frames(LAYERS, (), D_T, 1, 0)
    with pytest.raises(ValueError, match=r"embed.views must be 1 for networks without units .*4"):
        Frames(LAYERS, (), D_T, 4, 0)


def test_an_architecture_that_is_not_known_here_has_one_frame(tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.setattr("sane_core.embedding.frames.token_size", lambda folder: D_T)
    pq.write_table(pa.table({"architecture": ["gone:factory"]}), tmp_path / "layers.parquet")
    assert frames_of(tmp_path / "tokens", LAYERS, 1, 0).count == 1
    with pytest.raises(ValueError, match="networks without known symmetries, got 2: .*gone"):
        frames_of(tmp_path / "tokens", LAYERS, 2, 0)
