"""Every kind of features that a probe is fitted on, of all checkpoints of a zoo (paper §5.1).

SANE's embeddings stand beside W, s(W) and three controls that need no pretraining: an untrained
encoder, a PCA of the tokens, and what the networks answer to random inputs. What is made of tokens
is made piece by piece: beside the features, one piece of the zoo is in memory.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from sane_core.embedding.device import on_gpu
from sane_core.embedding.files import Embeddings
from sane_core.embedding.frames import Frames, embed_models, frames_of, pool_in_frames
from sane_core.embedding.pooling import GLOBAL
from sane_core.pretraining.autoencoder import Autoencoder, build
from sane_core.pretraining.files import read_config
from sane_core.probing.checkpoints import Checkpoints
from sane_core.probing.controls import fit_token_pca, project_tokens
from sane_core.probing.outputs import answers, random_inputs
from sane_core.probing.statistics import weight_statistics
from sane_core.seeding import seed_for
from schemas.config.embed import POOLINGS, EmbedConfig, Pooling

OUTPUTS = "outputs"
KINDS = ("weights", "statistics", "pca", "untrained", OUTPUTS)
"""What is made beside the embeddings, in this order."""
MAY_LACK = ("weights", OUTPUTS)
"""Features that a zoo may not have: it is said why, and the others go on."""
LARGEST_W, MOST_W = 2**20, 2**28
"""Weights at most whose W is probed: of a network, and of all checkpoints (2 GB in float64). The
paper leaves W out for ResNet-18s as well."""


def make_features(
    checkpoints: Checkpoints,
    model: Path,
    embeddings: Embeddings,
    embed: EmbedConfig,
    inputs: int,
    seed: int,
    baseline: Embeddings | None = None,
    on_features: Callable[[], None] | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Make every kind of features.

    Args:
        checkpoints: Tokens.
        model: Folder of the pretrain stage; only its shape is used, for the untrained control.
        embeddings: SANE's.
        embed: Chunk sizes of the untrained control, and the views of both controls of the tokens.
        inputs: Random inputs that networks answer; 0 for none.
        seed: The run's seed.
        baseline: Embeddings of the same checkpoints by an autoencoder with one latent per model.
        on_features: Called as each kind is ready.

    Returns:
        (name -> float [checkpoints, d], name -> why there are no such features).
    """
    features = dict(embeddings.vectors)
    if baseline:
        features[GLOBAL] = one_vector(baseline, embeddings)
    alike = embed.model_copy(update={"poolings": poolings_of(embeddings)})
    frames = frames_of(checkpoints.folder / "tokens", checkpoints.layers, embed.views, seed)

    def untrained() -> Autoencoder:
        return on_gpu(build(*read_config(model), seed_for(seed, "untrained encoder")).eval())

    makers: tuple[Callable[[], dict[str, np.ndarray]], ...] = (
        lambda: {"weights": flat_weights(checkpoints)},
        lambda: {"statistics": statistics(checkpoints)},
        lambda: token_pca(checkpoints, read_config(model)[1].d_z, frames, alike.poolings),
        lambda: embedded(untrained(), checkpoints, frames, alike, "untrained"),
        lambda: {OUTPUTS: outputs(checkpoints, inputs, seed)} if inputs else {},
    )
    missing: dict[str, str] = {} if inputs else {OUTPUTS: "probe.outputs is 0"}
    for name, make in zip(KINDS, makers, strict=True):
        try:
            features |= make()
        except (ValueError, RuntimeError, ImportError) as error:
            if name not in MAY_LACK:
                raise
            missing[name] = str(error).splitlines()[0]
        if on_features:
            on_features()
    return features, missing


def one_vector(baseline: Embeddings, embeddings: Embeddings) -> np.ndarray:
    """Return the one vector per model of a baseline, float32 [checkpoints, d].

    Args:
        baseline: Embeddings by an autoencoder with one latent per model.
        embeddings: What they stand beside.

    Raises:
        ValueError: If they are of other checkpoints, or several per model.
    """
    for name in ("runs", "epochs", "split"):
        if not np.array_equal(getattr(baseline, name), getattr(embeddings, name)):
            raise ValueError(
                f"a baseline's embeddings must be of the same checkpoints, but {name} differ"
            )
    if len(baseline.vectors) != 1:
        raise ValueError(
            f"a baseline must have one embedding per model, got {sorted(baseline.vectors)}"
        )
    return next(iter(baseline.vectors.values()))


def poolings_of(embeddings: Embeddings) -> tuple[Pooling, ...]:
    """Return what SANE's embeddings are pooled by, and so its controls."""
    return tuple(p for p in POOLINGS if f"sane_{p}" in embeddings.vectors)


def flat_weights(checkpoints: Checkpoints) -> np.ndarray:
    """W: all weights, flattened, in the aligned and standardized frame.

    Raises:
        ValueError: If networks are too large.
    """
    lengths, d_t = checkpoints.lengths, checkpoints.d_t
    if (size := int(lengths.sum())) > LARGEST_W:
        raise ValueError(f"networks have {size} weights, a probe of W takes at most {LARGEST_W}")
    if (total := size * len(checkpoints)) > MOST_W:
        raise ValueError(f"checkpoints have {total} weights, a probe of W takes at most {MOST_W}")
    columns = np.flatnonzero((np.arange(d_t) < lengths[:, None]).ravel())
    made, filled = np.empty((len(checkpoints), size), np.float32), 0
    for part in checkpoints.pieces():
        made[filled : filled + len(part)] = part.values.reshape(len(part), -1)[:, columns]
        filled += len(part)
    return made


def statistics(checkpoints: Checkpoints) -> np.ndarray:
    """s(W) of the raw weights; their order does not change it, their signs do."""
    found = []
    for part in checkpoints.pieces():
        weights = checkpoints.raw(part)
        if checkpoints.alignment.signs:
            weights = checkpoints.as_trained(weights, part)
        found.append(weight_statistics(weights, checkpoints.layers))
    return np.concatenate(found)


def outputs(checkpoints: Checkpoints, inputs: int, seed: int) -> np.ndarray:
    """Log-probabilities of random inputs.

    Raises:
        ValueError: If the networks cannot be run.
    """
    network = checkpoints.architecture
    pixels = random_inputs(network, inputs, seed)
    return np.concatenate(
        [
            answers(network, checkpoints.entries(part), pixels, checkpoints.activations(part))
            for part in checkpoints.pieces()
        ]
    )


def embedded(
    model: Autoencoder,
    checkpoints: Checkpoints,
    frames: Frames,
    config: EmbedConfig,
    name: str = "sane",
) -> dict[str, np.ndarray]:
    """Embed checkpoints, `<name>_<pooling>` -> float32 [checkpoints, d].

    Args:
        model: An autoencoder.
        checkpoints: Of the zoo.
        frames: Of its networks.
        config: Chunk, halo, batch, poolings.
        name: Prefix of the names.
    """
    place = (checkpoints.positions, checkpoints.lengths)
    return _under_each_other(
        [
            embed_models(model, part.values, *place, frames, config, name)
            for part in checkpoints.pieces()
        ]
    )


def token_pca(
    checkpoints: Checkpoints, components: int, frames: Frames, poolings: tuple[Pooling, ...]
) -> dict[str, np.ndarray]:
    """Project tokens on their main directions over train checkpoints, and pool them like latents.

    Args:
        checkpoints: Of the zoo.
        components: How many directions at most.
        frames: Of its networks; directions are those of the tokens as they are aligned.
        poolings: Which.
    """
    if not poolings:
        return {}
    train = checkpoints.some({"train": checkpoints.places["train"]})
    fitted = fit_token_pca(lambda: (part.values for part in train.pieces()), components)
    layer, made = checkpoints.positions[:, 1], []
    for part in checkpoints.pieces():
        seen = (own for tokens in part.values for own in frames.of(tokens))
        projected = np.stack([project_tokens(own, *fitted) for own in seen])
        made.append(pool_in_frames("pca", projected, layer, frames, poolings))
    return _under_each_other(made)


def _under_each_other(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
