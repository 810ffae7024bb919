"""What embedding gives back: vectors, and how each network was read."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Read:
    """How one network was read.

    Attributes:
        label: Its file, or its place in the list.
        architecture: Its architecture, or the class of its module.
        zoo: The zoo whose reference and statistics it took; None where it took its own.
        aligned: Whether its units were brought into the reference's order.
        note: Why it was not aligned; "" where it was.
    """

    label: str
    architecture: str
    zoo: str | None
    aligned: bool
    note: str


@dataclass(frozen=True)
class NetworkLatents:
    """Latents of the tokens of one network.

    Attributes:
        network: How it was read.
        values: float32 [N, d_z].
        positions: int64 [N, 3], `[n, l, k]`.
    """

    network: Read
    values: np.ndarray
    positions: np.ndarray


@dataclass(frozen=True)
class Embedding:
    """Embeddings or latents of networks; NumPy takes it for `vectors`.

    Attributes:
        vectors: float32 [models, d] of models, [models, N, d_z] of tokens; without the first axis
            where a network was given on its own.
        networks: How each was read, in the same order.
        positions: int64 [N, 3], `[n, l, k]` of the tokens, where their latents were asked for;
            None otherwise, and where a network has one latent.
    """

    vectors: np.ndarray
    networks: tuple[Read, ...]
    positions: np.ndarray | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the vectors, so that NumPy and scikit-learn can use the whole."""
        return np.array(self.vectors, dtype=dtype, copy=copy)
