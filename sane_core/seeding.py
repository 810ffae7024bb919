"""Randomness by name: every draw of the project comes from `(seed, *names)` and nothing else.

Adding a draw somewhere never moves the numbers drawn elsewhere.
"""

import hashlib

import numpy as np


def seed_for(seed: int, *names: object) -> int:
    """Return a 63-bit seed for the draw called `names`.

    Args:
        seed: The run's one seed.
        names: What the draw is for, e.g. `"windows", run, epoch`; compared by their `str`.
    """
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def rng_for(seed: int, *names: object) -> np.random.Generator:
    """Return a NumPy generator for the draw called `names` (see `seed_for`)."""
    return np.random.default_rng(seed_for(seed, *names))
