"""Every kind of features that a probe is fitted on, of all checkpoints of a zoo (paper §5.1).

SANE's embeddings stand beside W, s(W) and three controls that need no pretraining: an untrained
encoder, a PCA of the tokens, and what the networks answer to random inputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.registry import architecture_named
from sane_core.embedding.device import on_gpu
from sane_core.embedding.embed import encode
from sane_core.embedding.files import Embeddings
from sane_core.embedding.pooling import GLOBAL, pool
from sane_core.pretraining.autoencoder import build
from sane_core.pretraining.behaviour import read_others
from sane_core.pretraining.files import read_config
from sane_core.probing.controls import fit_token_pca, project_tokens
from sane_core.probing.outputs import answers, random_inputs
from sane_core.probing.statistics import weight_statistics
from sane_core.seeding import seed_for
from sane_core.weights.alignment import Alignment, read_alignment
from sane_core.weights.files import TokenSet, read_layers, read_statistics, read_tokens
from sane_core.weights.layers import Layer
from sane_core.weights.shards import stored_groups, within
from sane_core.weights.standardize import Statistics, unstandardize
from sane_core.weights.symmetry.derive import symmetries_of
from sane_core.weights.tokens import detokenize
from schemas.config.embed import EmbedConfig

SPLITS = ("train", "validation", "test")
OUTPUTS = "outputs"
KINDS = ("weights", "statistics", "pca", "untrained", OUTPUTS)
"""What is made beside the embeddings, in this order."""
MAY_LACK = ("weights", OUTPUTS)
"""Features that a zoo may not have: it is said why, and the others go on."""
LARGEST_W, MOST_W = 2**20, 2**28
"""Weights at most whose W is probed: of a network, and of all checkpoints (2 GB in float64). The
paper leaves W out for ResNet-18s as well."""


@dataclass(frozen=True)
class Checkpoints:
    """A zoo's checkpoints as tokens, split by split, and what they were made of.

    Attributes:
        folder: Of the preprocess stage.
        parts: Tokens of the train, the validation and the test split.
        zoo: Folder of the zoo stage; needed where networks have entries that are no tokens.
    """

    folder: Path
    parts: tuple[TokenSet, ...]
    zoo: Path | None = None

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """What tokens were cut from."""
        return read_layers(self.folder / "layers.parquet")

    @cached_property
    def statistics(self) -> Statistics:
        """What weights were standardized by."""
        return read_statistics(self.folder / "layers.parquet")

    @cached_property
    def architecture(self) -> Architecture:
        """The networks'.

        Raises:
            ValueError: If it cannot be built here.
        """
        table = pq.read_table(self.folder / "layers.parquet", columns=["architecture"])
        return architecture_named(table["architecture"][0].as_py())

    def raw(self, part: TokenSet) -> dict[str, np.ndarray]:
        """Return weights, not standardized but aligned, signs and all.

        Returns:
            Entry -> float32 [checkpoints, ...].
        """
        return unstandardize(detokenize(part.values, self.layers), self.layers, self.statistics)

    def entries(self, part: TokenSet) -> dict[str, np.ndarray]:
        """Return the raw weights with the entries that are no tokens, as far as the zoo is known.

        Raises:
            ValueError: If the architecture cannot be built here.
        """
        if self.zoo is None:
            return self.raw(part)
        at = (self.zoo, self.folder, self.architecture, self.layers)
        return self.raw(part) | read_others(*at, part.runs, part.epochs)

    @cached_property
    def alignment(self) -> Alignment:
        """How units were moved and flipped."""
        return read_alignment(self.folder / "alignment.parquet")

    def as_trained(self, weights: dict[str, np.ndarray], part: TokenSet) -> dict[str, np.ndarray]:
        """Take aligned weights back to the order and the signs that they were trained in.

        Args:
            weights: Entry -> float32 [checkpoints, ...], as of `raw` or `entries`.
            part: Whose they are.

        Raises:
            ValueError: If the architecture cannot be built here.
        """
        groups = stored_groups(symmetries_of(self.architecture).groups, self.architecture)
        return self.alignment.unapply(weights, part.runs, within(groups, weights))

    def activations(self, part: TokenSet) -> tuple[str | None, ...]:
        """Return the non-linearity that each network has instead of its architecture's own."""
        table = pq.read_table(self.folder / "checkpoints.parquet")
        if "hyperparameters" not in table.column_names:
            return (None,) * len(part)
        struct = table["hyperparameters"].combine_chunks()
        if struct.type.get_field_index("activation") < 0:
            return (None,) * len(part)
        own = pc.struct_field(struct, ["activation"]).to_pylist()
        keys = zip(table["run"].to_pylist(), table["epoch"].to_pylist(), strict=True)
        of = dict(zip(keys, own, strict=True))
        return tuple(of[key] for key in zip(part.runs.tolist(), part.epochs.tolist(), strict=True))


def read_checkpoints(folder: Path, embeddings: Embeddings, zoo: Path | None) -> Checkpoints:
    """Read the tokens of the embedded checkpoints."""
    epochs = np.unique(embeddings.epochs).tolist()
    parts = tuple(read_tokens(folder / "tokens", split, epochs) for split in SPLITS)
    return Checkpoints(folder, parts, zoo)


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
        embed: Chunk sizes of the untrained control.
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
    makers: tuple[Callable[[], dict[str, np.ndarray]], ...] = (
        lambda: {"weights": flat_weights(checkpoints)},
        lambda: {"statistics": statistics(checkpoints)},
        lambda: _pooled_alike(_token_pca(checkpoints, model), embeddings),
        lambda: _pooled_alike(_untrained(checkpoints, model, embed, seed), embeddings),
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


def flat_weights(checkpoints: Checkpoints) -> np.ndarray:
    """W: all weights, flattened, in the aligned and standardized frame.

    Raises:
        ValueError: If networks are too large.
    """
    first = checkpoints.parts[0]
    if (size := int(first.lengths.sum())) > LARGEST_W:
        raise ValueError(f"networks have {size} weights, a probe of W takes at most {LARGEST_W}")
    if (total := size * sum(map(len, checkpoints.parts))) > MOST_W:
        raise ValueError(f"checkpoints have {total} weights, a probe of W takes at most {MOST_W}")
    columns = np.flatnonzero((np.arange(first.values.shape[2]) < first.lengths[:, None]).ravel())
    return np.concatenate(
        [part.values.reshape(len(part), -1)[:, columns] for part in checkpoints.parts]
    )


def statistics(checkpoints: Checkpoints) -> np.ndarray:
    """s(W) of the raw weights; their order does not change it, their signs do."""
    found = []
    for part in checkpoints.parts:
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
            for part in checkpoints.parts
        ]
    )


def _pooled_alike(made: dict[str, np.ndarray], embeddings: Embeddings) -> dict[str, np.ndarray]:
    """Keep a control's poolings that SANE's embeddings have as well."""
    poolings = {name.split("_", 1)[1] for name in embeddings.vectors}
    return {name: values for name, values in made.items() if name.split("_", 1)[1] in poolings}


def _token_pca(checkpoints: Checkpoints, model: Path) -> dict[str, np.ndarray]:
    _, config = read_config(model)
    fitted = fit_token_pca(checkpoints.parts[0].values, config.d_z)
    projected = [project_tokens(part.values, *fitted) for part in checkpoints.parts]
    return pool("pca", np.concatenate(projected), checkpoints.parts[0].positions[:, 1])


def _untrained(
    checkpoints: Checkpoints, model: Path, embed: EmbedConfig, seed: int
) -> dict[str, np.ndarray]:
    untrained = on_gpu(build(*read_config(model), seed_for(seed, "untrained encoder")).eval())
    latents = [
        encode(untrained, part.values, part.positions, part.lengths, embed)
        for part in checkpoints.parts
    ]
    return pool("untrained", np.concatenate(latents), checkpoints.parts[0].positions[:, 1])
