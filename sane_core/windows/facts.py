"""What is known of a compiled window set: `windows.json`, beside its shards and written last.

It names every shard with its digest, so that a set is read whole or not at all.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from sane_core.windows.beton import damaged
from sane_core.windows.layout import SCHEMA_VERSION

FACTS = "windows.json"
"""Name of the file within the folder of a set."""


@dataclass(frozen=True)
class ShardFacts:
    """One `.beton`.

    Attributes:
        file: Its name in the folder of the set.
        samples: Windows in it.
        bytes: Its size.
        sha256: Its SHA-256, in hex.
    """

    file: str
    samples: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class SplitFacts:
    """The windows of one split.

    Attributes:
        shards: In the order of their windows.
        minimum_coverage: Windows over the token of a checkpoint that fewest windows cover.
        mean_coverage: Windows over a token, on average.
    """

    shards: tuple[ShardFacts, ...]
    minimum_coverage: int
    mean_coverage: float

    @property
    def samples(self) -> int:
        """Windows of the split."""
        return sum(shard.samples for shard in self.shards)

    @property
    def bytes(self) -> int:
        """Bytes of its shards."""
        return sum(shard.bytes for shard in self.shards)


@dataclass(frozen=True)
class WindowFacts:
    """What is known of a window set: all that an autoencoder must know to be trained on it.

    Attributes:
        d_t: Values per token.
        length: Window length W in tokens.
        dtype: Precision of the stored tokens.
        views: Views V of each window: the aligned one and the permuted ones.
        positions: Largest position + 1 of n, l and k.
        weights_per_token: Mean number of real weights in a token of a whole network.
        architecture: Name of the architecture that the windows are of.
        layer_variances: Variance of the real weights of layer l's tokens, l = 0, 1, …, over the
            train split's checkpoints of every epoch (column `variance` of the layer table): 1 where
            layers were standardized to unit variance, 0 for a constant layer.
        train: The train split.
        validation: The validation split.
        schema_version: Version of this layout; a reader accepts its own only.
    """

    d_t: int
    length: int
    dtype: Literal["float32", "float16"]
    views: int
    positions: tuple[int, int, int]
    weights_per_token: float
    architecture: str
    layer_variances: tuple[float, ...]
    train: SplitFacts
    validation: SplitFacts
    schema_version: int = SCHEMA_VERSION

    def split(self, name: str) -> SplitFacts:
        """Return the facts of a split.

        Raises:
            ValueError: It is neither "train" nor "validation".
        """
        splits = {"train": self.train, "validation": self.validation}
        if name not in splits:
            raise ValueError(f"split must be one of {', '.join(splits)}, got {name!r}")
        return splits[name]


def write_facts(path: Path, facts: WindowFacts) -> None:
    """Write the facts as JSON."""
    path.write_text(json.dumps(asdict(facts), indent=2) + "\n")


def read_facts(path: Path) -> WindowFacts:
    """Read what `write_facts` wrote.

    Raises:
        DamagedWindows: The file is missing, cannot be read, or is of another schema.
    """
    if not path.is_file():
        raise damaged(path, "is missing")
    try:
        content = json.loads(path.read_bytes())
        version = content.get("schema_version", 1)
        if version != SCHEMA_VERSION:
            raise damaged(
                path, f"was compiled by windows schema {version}, this code reads {SCHEMA_VERSION}"
            )
        return TypeAdapter(WindowFacts).validate_python(content)
    except (ValueError, AttributeError):
        raise damaged(path, "is unreadable") from None
