"""Measure what needs a GPU, in parts of minutes: `make gpu`; each says what it waits for.

`docs/results/gpu.json` lists every measurement as measured or pending. A call measures what is
pending until its time is up; the next one goes on, within a zoo at the epoch it was in.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results" / "gpu.json"
LIMIT = 500
"""Seconds of one call."""


class TimeIsUp(Exception):
    """What is not finished goes on in the next call."""


@dataclass(frozen=True)
class Measurement:
    """Something to measure.

    Attributes:
        name: What the results call it.
        asks: What is expected, in words.
        run: Measures it by a given time; returns numbers, or raises `TimeIsUp`.
    """

    name: str
    asks: str
    run: Callable[[float], object]


def population(until: float) -> object:
    """Every way to train at once, against a plain loop."""
    del until
    from population import measure

    return [row.__dict__ | {"share_of_limit": row.share} for row in measure(quick=True)]


def alignment(until: float) -> object:
    """Align ResNet-18s, alone and 16 at a time."""
    del until
    from shared.alignment import measure_alignment

    return [row.__dict__ for row in measure_alignment(quick=False)]


def pretraining(until: float) -> object:
    """Train the largest preset for some steps."""
    del until
    from shared.steps import measure_steps

    return [row.__dict__ | {"share_of_limit": row.share} for row in measure_steps(*RESNET18)]


def zoo(recipe: str, **changes: object) -> Callable[[float], object]:
    """Train a zoo, resumed from the work folder."""

    def run(until: float) -> object:
        from sane_core.images.prepare import prepare
        from sane_core.zoo.build import train_zoo
        from schemas.config.recipes import RECIPES
        from schemas.config.zoo import ZooConfig

        config = ZooConfig.model_validate(RECIPES[recipe].model_dump() | changes)
        work = ROOT / "runs" / "gpu" / recipe
        images, scratch = work / "images", work / "scratch"
        if not (images / "images.json").exists():
            images.mkdir(parents=True, exist_ok=True)
            prepare(config.images, ROOT / "data", 0, images)
        scratch.mkdir(exist_ok=True)
        begun = time.monotonic()
        chosen: dict[str, object] = {}

        def check(members: int) -> None:
            del members
            if time.monotonic() > until:
                raise TimeIsUp

        def note(way: str, at_once: int, seconds: dict[str, float]) -> None:
            chosen.update(way=way, members_at_once=at_once, seconds_per_step=seconds)

        made = Path(tempfile.mkdtemp(dir=work))
        metrics = train_zoo(config, images, 0, made, scratch, check, note)
        made.rename(work / "zoo")
        return metrics | chosen | {"seconds_of_the_last_call": time.monotonic() - begun}

    return run


def flow(
    name: str, *overrides: str, shown: tuple[str, ...], store: str | None = None
) -> Callable[[float], object]:
    """Run an experiment file; the store of the work folder keeps every stage that ended.

    Args:
        name: Of the file in `deployments/`.
        overrides: `KEY=VALUE`.
        shown: Beginnings of the metrics that are kept.
        store: Another file's, whose zoo is shared.
    """

    def run(until: float) -> object:
        work = ROOT / "runs" / "gpu" / (store or name)
        places = [f"store={work}/store", f"data={ROOT}/data"]
        places += [f"tracking.uri=sqlite:///{work}/mlflow.db", f"tracking.artifacts={work}/mlruns"]
        command = [sys.executable, "-m", "flows.cli", "run", f"deployments/{name}.yaml"]
        command += [part for change in (*places, *overrides) for part in ("--set", change)]
        work.mkdir(parents=True, exist_ok=True)
        try:
            left = until - time.monotonic()
            subprocess.run([*command, "--out", work / name], cwd=ROOT, check=True, timeout=left)
        except subprocess.TimeoutExpired:
            raise TimeIsUp from None
        found = json.loads((work / name / "results.json").read_text())
        return {metric: value for metric, value in found.items() if metric.startswith(shown)}

    return run


RESNET18 = ("resnet18", 54, "cuda")
"""Preset, steps and device of pretraining."""

WIDTH_16 = (
    "{recipe: cifar10-resnet18-narrow, name: cifar10-resnet18-width16, members: 16, epochs: 12, "
    "architecture: 'resnet18[size=16,width=16]', "
    "images: {train: null}}"
)
"""A zoo twice as wide as the one that ships."""

MEASUREMENTS = (
    Measurement(
        "population",
        "512+ members at once; aim: 100 times a loop for the CNNs, and what limits it",
        population,
    ),
    Measurement(
        "weights.alignment",
        "a ResNet-18 aligned in 1 s, in 0.3 s each of 16",
        alignment,
    ),
    Measurement(
        "pretraining.resnet18",
        "865M parameters, batch 32 x 2 views x 256 tokens: a step at 45 % of the rate of bf16 "
        "matrix products, 1.5 times a plain uncompiled float16 loop, waiting for data 5 % at most",
        pretraining,
    ),
    Measurement("zoo.mnist-cnn", "1,000 members to epoch 50", zoo("mnist-cnn")),
    Measurement(
        "probes.mnist-cnn",
        "500-run MNIST zoo, probes against the paper's bar .978/.958/.402 (accuracy, epoch, gap)",
        flow("mnist-500", shown=("probe.r2.", "probe.difference.")),
    ),
    Measurement(
        "generation.mnist-cnn",
        "Table 3 on 500 runs: SUB 86.7 zero-shot, 92.3 after 25 epochs, GAUSS 20.8 zero-shot",
        flow(
            "mnist-generate",
            "zoos=[{recipe: mnist-cnn, members: 500, epochs: 25}]",
            "generate.prompts=140",
            shown=("generation.",),
            store="mnist-500",
        ),
    ),
    Measurement(
        "generation.resnet18-width16",
        "Table 7, 16 ResNet-18s of width 16, all images: haloed and conditioned not worse than any "
        "other, zero-shot within 10 points of the prompts",
        flow(
            "resnet-generate",
            f"zoos=[{WIDTH_16}]",
            "preprocess.d_t=144",
            "sharpen.steps=600",
            shown=("generation.", "front."),
        ),
    ),
    Measurement(
        "zoo.cifar10-resnet18",
        "60 ResNet-18s of full width and size, 12 epochs",
        zoo(
            "cifar10-resnet18",
            members=60,
            epochs=12,
            precision="bfloat16",
            images={"dataset": "cifar10-jpeg", "normalize": "dataset"},
        ),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=LIMIT, help="time of this call")
    until = time.monotonic() + parser.parse_args().seconds
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not torch.cuda.is_available():
        print("no GPU here: nothing is measured", file=sys.stderr)
    for measurement in MEASUREMENTS:
        entry = kept.get(measurement.name, {"status": "pending"}) | {"asks": measurement.asks}
        kept[measurement.name] = entry
        if torch.cuda.is_available() and entry["status"] == "pending" and time.monotonic() < until:
            print(measurement.name, flush=True)
            try:
                entry["values"] = measurement.run(until)
                entry |= {"status": "measured", "device": torch.cuda.get_device_name()}
            except TimeIsUp:
                print("goes on in the next call", flush=True)
        RESULTS.write_text(json.dumps(kept, indent=2) + "\n")
    for name, entry in kept.items():
        print(f"{entry['status']:10s} {name}: {entry['asks']}")


if __name__ == "__main__":
    main()
