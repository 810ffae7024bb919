"""Sample zoos that ship with the package: real trained networks to start from.

Small copies (`sane_core.zoo.compact`): half precision, some epochs, all metrics. README.md beside
them says how each was made.
"""

from importlib.resources import files
from pathlib import Path

_TABLE = "checkpoints.parquet"


def sample_zoos() -> list[str]:
    """Return the names of the sample zoos."""
    folder = Path(str(files("sane_core.samples")))
    return sorted(path.parent.name for path in folder.glob(f"*/{_TABLE}"))


def sample_zoo(name: str) -> Path:
    """Return the folder of a sample zoo; `sane zoo ingest` and `read_weights` read it.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in sample_zoos():
        raise ValueError(f"sample zoo must be one of {', '.join(sample_zoos())}, got {name!r}")
    return Path(str(files("sane_core.samples"))) / name
