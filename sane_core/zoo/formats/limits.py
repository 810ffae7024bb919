"""How much a file may ask for. What asks for more is refused before it is allocated."""

from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True)
class Limits:
    """Bounds on one checkpoint; the defaults hold for networks of up to a billion weights."""

    bytes: int = 8 * GIB
    """Bytes of the file, or of all shards together, and of the tensors in it as stored."""
    entries: int = 100_000
    """Tensors, and records of an archive."""
    values: int = 2**31
    """Values of one tensor."""
    name_length: int = 512
    """Characters of an entry's name."""
    header_bytes: int = 16 * 2**20
    """Bytes of a JSON header or of a pickle (which hold names and shapes, not weights)."""
    operations: int = 2_000_000
    """Pickle operations; a tensor takes about 30. Each may make an object of up to 200 bytes."""
    nesting: int = 64
    """Levels of nesting in JSON and in a pickle."""
    dimensions: int = 32
    """Dimensions of one tensor."""
