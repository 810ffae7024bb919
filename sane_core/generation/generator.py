"""From latents to networks that can be scored: Algorithm 3 from its fourth step on.

decode with halo → detokenize on the target architecture → undo standardization → entries that no
token is cut from → batch-norm conditioning → score on validation images.

All of it runs where the autoencoder is (`Generator.device`), as many networks at once as memory
allows; what comes out is in the memory of the CPU.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from sane_core.architectures.architecture import Architecture
from sane_core.embedding.device import device_of
from sane_core.embedding.embed import decode, encode
from sane_core.generation.batch_norm import Conditioning, condition, has_running_statistics
from sane_core.generation.candidates import (
    Samples,
    Scores,
    Weights,
    best_of,
    joined,
    keep_best,
    score_candidates,
)
from sane_core.generation.refine_target import Refining
from sane_core.images.images import Images
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.weights.layers import Layer
from sane_core.weights.standardize import Statistics, unstandardize
from sane_core.weights.tokens import detokenize, tokenize
from sane_core.zoo.population.score import score, stack
from schemas.config.embed import EmbedConfig

AT_ONCE = 2**28
"""Weights of the networks that are encoded, or decoded, conditioned and scored together (1 GiB)."""


@dataclass(frozen=True)
class Generator:
    """A trained SANE ready to decode one architecture.

    Attributes:
        model: Trained autoencoder.
        architecture: What to decode to.
        layers: Its layers, as the tokens were cut.
        statistics: Per-layer statistics to undo.
        positions: int64 [N, 3].
        lengths: int64 [N].
        mean: Mean of the training latents [d_z].
        scale: Standard deviation of the training latents [d_z].
        embed: Chunk sizes.
        validation: Images every selection uses.
        rest: Trained entries that no token is cut from (a batch norm's scale and shift, where they
            were left out): entry -> float32 [prompts, ...]. A sample has those of the prompt that
            it stands on, or their mean.
        conditioning: What running statistics are measured on; none leaves them new.
        refining: What drawn latents are refined on, for samplers that ask for it.
    """

    model: Autoencoder
    architecture: Architecture
    layers: tuple[Layer, ...]
    statistics: Statistics
    positions: np.ndarray
    lengths: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    embed: EmbedConfig
    validation: Images
    rest: Mapping[str, np.ndarray] = field(default_factory=dict)
    conditioning: Conditioning | None = None
    refining: Refining | None = None

    def __post_init__(self) -> None:
        """Refuse an architecture that the autoencoder cannot decode.

        Raises:
            ValueError: If a position lies beyond its learned tables.
        """
        self.model.check_positions(self.positions)

    @property
    def device(self) -> str:
        """Where networks are decoded, conditioned, scored and trained: where the autoencoder is."""
        return str(device_of(self.model))

    def parts(self, count: int) -> Iterator[slice]:
        """Cut so many networks into those that are at hand at once."""
        many = max(1, AT_ONCE // self.architecture.parameter_count())
        return (slice(start, min(start + many, count)) for start in range(0, count, many))

    def encode(self, weights: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the latents of networks in the aligned frame, float32 [models, N, d_z]."""
        cut = {name: weights[name] for layer in self.layers for name in layer.entries}
        count = len(next(iter(cut.values())))
        some = ({name: values[part] for name, values in cut.items()} for part in self.parts(count))
        return np.concatenate([self._encoded(each) for each in some])

    def _encoded(self, weights: Weights) -> np.ndarray:
        tokens = tokenize(weights, self.layers, self.model.shape.d_t, self.statistics)
        return encode(self.model, tokens, self.positions, self.lengths, self.embed)

    def decode(self, latents: np.ndarray) -> Weights:
        """Decode latents, as `encode` gives them: detokenize, then undo standardization."""
        parts = self.parts(len(latents))
        return joined((self._decoded(latents[part]) for part in parts), len(latents))

    def _decoded(self, latents: np.ndarray) -> Weights:
        tokens = decode(self.model, latents, self.positions, self.lengths, self.embed)
        return unstandardize(detokenize(tokens, self.layers), self.layers, self.statistics)

    def complete(self, weights: Mapping[str, np.ndarray], prompt: np.ndarray) -> Weights:
        """Give networks what no token holds: remaining entries, conditioned running statistics.

        Args:
            weights: Entry -> float32 [models, ...]; buffers among them are replaced.
            prompt: The prompt each stands on, int64 [models]; -1 where there is none.

        Returns:
            Every trained entry and buffer of the architecture.

        Raises:
            ValueError: If an entry is missing.
        """
        shapes = self.architecture.shapes()
        whole = {name: values for name, values in weights.items() if name in shapes}
        whole |= self.rest_of(shapes.keys() - whole.keys(), prompt)
        if self.conditioning is None or not has_running_statistics(self.architecture):
            return whole
        population = stack(self.architecture, whole)
        conditioned = condition(
            self.architecture, population, self.conditioning, device=self.device
        )
        return {name: values.numpy() for name, values in conditioned.items()}

    def reconstruct(self, latents: np.ndarray, prompt: np.ndarray) -> Weights:
        """Decode and complete latents float32 [models, N, d_z] that stand on prompts [models]."""
        parts = self.parts(len(latents))
        whole = (self.complete(self.decode(latents[part]), prompt[part]) for part in parts)
        return joined(whole, len(latents))

    def rest_of(self, names: Iterable[str], prompt: np.ndarray) -> Weights:
        """Return entries that no token is cut from, of samples that stand on these prompts.

        Args:
            names: Entries.
            prompt: The prompt each stands on, int64 [models]; -1 gets the prompts' mean.

        Raises:
            ValueError: If no prompt has such an entry.
        """
        found = {}
        for name in names:
            if name not in self.rest:
                raise ValueError(
                    f"entry {name} of {self.architecture.name} is in no token and no prompt has "
                    "it; give prompts, or cut it into tokens (preprocess.batch_norm: affine)"
                )
            values = self.rest[name]
            found[name] = np.where(
                (prompt >= 0).reshape(-1, *[1] * (values.ndim - 1)), values[prompt], values.mean(0)
            ).astype(np.float32)
        return found

    def scores(self, weights: Mapping[str, np.ndarray]) -> Scores:
        """Score whole networks on validation images."""
        return score_candidates(self.architecture, weights, self.validation, self.device)

    def correct(self, weights: Mapping[str, np.ndarray], images: Images) -> np.ndarray:
        """Return which images whole networks get right, bool [models, images]."""
        population = stack(self.architecture, weights)
        return score(self.architecture, population, images, device=self.device)[0]

    def best(
        self,
        weights: Mapping[str, np.ndarray],
        keep: int,
        latents: np.ndarray | None = None,
        prompt: np.ndarray | None = None,
    ) -> Samples:
        """Keep the best of whole networks on validation images; see `keep_best`."""
        architecture, images = self.architecture, self.validation
        return keep_best(architecture, weights, images, keep, latents, prompt, device=self.device)

    def select(self, weights: Mapping[str, np.ndarray], prompt: np.ndarray, keep: int) -> Samples:
        """Complete candidates, score them on validation images and keep the best.

        Args:
            weights: Entry -> float32 [candidates, ...].
            prompt: int64 [candidates].
            keep: Models to keep.

        Raises:
            ValueError: If none is finite.
        """
        kept = self.best(self.complete(weights, prompt), keep, prompt=prompt)
        return best_of([kept], keep)

    def select_decoded(self, latents: np.ndarray, prompt: np.ndarray, keep: int) -> Samples:
        """The same for candidates as latents [candidates, N, d_z], as many at once as fit."""
        kept = []
        for part in self.parts(len(latents)):
            some, own = latents[part], prompt[part]
            kept.append(self.best(self.complete(self.decode(some), own), keep, some, own))
        return best_of(kept, keep)
