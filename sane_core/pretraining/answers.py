"""What whole networks answer to images, with the gradient of their tokens, all at once.

The batch norms of a trained network use the statistics that it has kept. Those of a network that is
decoded for the first time are of no network yet: with `batch_statistics` it uses those of the
images that it is asked, as while it is trained.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from sane_core.architectures.architecture import Architecture
from sane_core.images.images import Images
from sane_core.pretraining.whole import weights_of
from sane_core.weights.layers import Layer
from sane_core.weights.standardize import Statistics
from sane_core.zoo.population.score import logits

COUNTER = "num_batches_tracked"


class Answers:
    """Tokens of one architecture, as networks that can be run."""

    def __init__(
        self,
        layers: tuple[Layer, ...],
        statistics: Statistics,
        architecture: Architecture,
        others: Mapping[str, np.ndarray] | None = None,
        *,
        batch_statistics: bool = False,
    ) -> None:
        """Keep what networks have beside their tokens.

        Args:
            layers: Layers that the tokens were cut from.
            statistics: What they were standardized with.
            architecture: Of all networks.
            others: Entries that are in no token, as of the aligned checkpoints: entry ->
                [checkpoints, ...]. A batch norm's running statistics, and its scale and shift where
                they were left out of the tokens.
            batch_statistics: Batch norms use the statistics of the images; those of `others` are
                not needed.

        Raises:
            ValueError: If an entry is missing.
        """
        cut = {name for layer in layers for name in layer.entries}
        buffers = {*architecture.buffers()}
        self.counters = sorted(name for name in buffers if name.endswith(COUNTER))
        unused = buffers if batch_statistics else {*self.counters}
        entries = {*architecture.shapes(), *buffers}
        missing = sorted(entries - cut - unused - {*(others or {})})
        if missing:
            raise ValueError(
                f"the behaviour of {architecture.name} needs the entries that are no tokens, as "
                f"the zoo has them, got none for {missing[:3]}; give the zoo beside its tokens"
            )
        self.layers, self.statistics, self.architecture = layers, statistics, architecture
        self.batch_statistics = batch_statistics
        self.others = {n: v for n, v in (others or {}).items() if n not in unused}

    def check_images(self, images: Images) -> None:
        """Make sure that the networks can read images.

        Raises:
            ValueError: If their shape is another.
        """
        if images.shape != self.architecture.input_shape:
            raise ValueError(
                f"images must have shape {self.architecture.input_shape} for "
                f"{self.architecture.name}, got {images.shape}"
            )

    def __call__(
        self, chosen: np.ndarray, tokens: torch.Tensor, pixels: torch.Tensor
    ) -> torch.Tensor:
        """Run networks.

        Args:
            chosen: Checkpoints whose entries that are no tokens they have, int64 [models].
            tokens: float32 [models, N, d_t].
            pixels: Network input float32 [images, channels, height, width].

        Returns:
            Log-probabilities [models, images, classes]; their gradients are finite, or taken as 0.
        """
        weights = weights_of(tokens, self.layers, self.statistics)
        for of_models in weights.values():
            if of_models.requires_grad:
                # Networks do not touch each other: only those of an answer that is not finite.
                of_models.register_hook(lambda grad: torch.nan_to_num(grad, 0.0, 0.0, 0.0))
        for name, values in self.others.items():
            weights[name] = torch.from_numpy(values[chosen]).to(tokens.device)
        if not self.batch_statistics:
            for name in self.counters:
                weights[name] = torch.zeros(len(chosen), dtype=torch.int64, device=tokens.device)
        answers = logits(self.architecture, weights, pixels, training=self.batch_statistics)
        return functional.log_softmax(answers, dim=-1)
