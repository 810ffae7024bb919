"""What every benchmark prints and writes: a list of rows, and what they were measured on."""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One number.

    Attributes:
        name: What was measured.
        value: How much.
        unit: Of what.
        compared_with: What `ratio` compares it with, in words.
        ratio: How many times better (more work per second) or larger (seconds), as said there.
        limit: The physical limit in the same unit, measured in the same run.
    """

    name: str
    value: float
    unit: str
    compared_with: str | None = None
    ratio: float | None = None
    limit: float | None = None

    @property
    def share(self) -> float | None:
        """Which share of the physical limit was reached."""
        return self.value / self.limit if self.limit else None


def benchmark(description: str, measure: Callable[[bool], list[Row]]) -> None:
    """Read the command line, measure, print the rows, and write them if asked to."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="at most 60 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here as well")
    arguments = parser.parse_args()
    # A measurement may work in a folder of its own.
    target = arguments.json and arguments.json.resolve()
    machine = describe_machine()
    rows = measure(arguments.quick)
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    for row in rows:
        print(_line(row))
    if target:
        target.parent.mkdir(parents=True, exist_ok=True)
        listed = [asdict(row) | {"share_of_limit": row.share} | machine for row in rows]
        target.write_text(json.dumps(listed, indent=2) + "\n")


def describe_machine() -> dict[str, str | int | float]:
    """Return what the numbers depend on, the load of other processes included."""
    import os

    import torch

    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cpu": _processor(),
        "cores": os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 2),
    }


def alternate(variants: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Time each variant `repeats` times, in turn, so that a noisy minute hits all of them.

    Returns:
        Seconds of every repeat, by variant; a first round is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for repeat in range(repeats + 1):
        for name, run in variants.items():
            start = time.perf_counter()
            run()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def median(seconds: list[float]) -> float:
    """Return the middle of the repeats."""
    return statistics.median(seconds)


def _line(row: Row) -> str:
    line = f"{row.name:44s} {row.value:12.4g} {row.unit}"
    if row.ratio is not None:
        line += f"   {row.ratio:.2f} x {row.compared_with}"
    if row.share is not None:
        line += f"   {100 * row.share:.2g} % of {row.limit:.4g}"
    return line


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
