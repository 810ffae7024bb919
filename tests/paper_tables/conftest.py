"""A store with made-up outcomes of experiments, as the stages write them."""

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from schemas.config.recipes import RECIPES
from schemas.records import Artifact
from tasks.store import Store

ACCURACY = ["method", "repeat", "model", "epoch", "test_accuracy"]
Files = Mapping[str, pl.DataFrame | str]


class Made:
    """A store, and what writes artifacts into it."""

    def __init__(self, root: Path) -> None:
        self.store = Store(root)
        self.count = 0

    def artifact(
        self,
        stage: str,
        files: Files,
        config: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Artifact] | None = None,
        seed: int = 0,
    ) -> Artifact:
        """Commit files under a key of their own."""
        self.count += 1
        key = sha256(str(self.count).encode()).hexdigest()[:32]
        work = self.store.stage(stage, key, config=config or {}, inputs=inputs or {}, seed=seed)
        with work as job:
            for name, content in files.items():
                if isinstance(content, str):
                    (job.folder / name).write_text(content)
                else:
                    content.write_parquet(job.folder / name)
        return job.artifact

    def zoo(self, recipe: str = "digits-cnn", seed: int = 0, **changes: Any) -> dict[str, Artifact]:
        """Commit a zoo by a recipe, its images and its tokens."""
        config = RECIPES[recipe].model_dump(mode="json") | changes
        images = self.artifact("images", {"images.json": "{}"}, {"images": config["images"]})
        checkpoints = pl.DataFrame({"architecture": [config["architecture"]], "run": [0]})
        files: Files = {"checkpoints.parquet": checkpoints, "weights.bin": f"weights {seed}"}
        zoo = self.artifact("zoo", files, {"recipe": config}, {"images": images}, seed)
        tokens = self.artifact("tokens", {"layers": f"tokens {seed}"}, {}, {"zoo": zoo}, seed)
        return {"images": images, "zoo": zoo, "tokens": tokens}

    def generation(
        self, zoo: Mapping[str, Artifact], rows: list[tuple[Any, ...]] | None = None, seed: int = 0
    ) -> Artifact:
        """Commit what generation on a zoo found."""
        config = {"generate": {"prompt_epoch": 25, "keep": 2, "candidates": 10}}
        together = pl.DataFrame(
            {"method": ["sub"], "repeat": [0], "models": [2], "epoch": [0], "test_accuracy": [0.97]}
        )
        files: dict[str, pl.DataFrame | str] = {
            "accuracy.parquet": accuracy(rows or sampled()),
            "ensembles.parquet": together,
        }
        inputs = {name: zoo[name] for name in ("images", "tokens")}
        return self.artifact("generation", files, config, inputs, seed)


def sampled(first: float = 0.90, methods: tuple[str, ...] = ("sub", "scratch")) -> list[Any]:
    """Return rows of methods, two models each, fine-tuned for 1 and 25 epochs."""
    return [
        (method, 0, model, epoch, first + 0.02 * model + 0.001 * epoch)
        for method in methods
        for model in range(2)
        for epoch in (0, 1, 25)
    ]


def accuracy(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=ACCURACY, orient="row")


def probed(r2: float = 0.95) -> dict[str, pl.DataFrame]:
    """Return what probes on nine runs found."""
    targets = ("test_accuracy", "epoch", "generalization_gap")
    rows = [
        {"features": features, "target": target, "test_r2": r2, "low": r2 - 0.02, "high": r2 + 0.01}
        for features in ("sane_mean", "statistics")
        for target in targets
    ]
    predictions = pl.DataFrame({"run": [*range(9)] * 2})
    return {"probes.parquet": pl.DataFrame(rows), "predictions.parquet": predictions}


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """An empty store."""
    return Made(tmp_path / "store")


@pytest.fixture
def transferred(tmp_path: Path) -> Callable[..., Path]:
    """Write what a transfer found into a folder."""

    def write(name: str = "transferred", lengths: tuple[int, ...] = (5,), **facts: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        keys = [(m, n, e) for m in ("scratch", "sub") for n in lengths for e in (0, 1, n)]
        rows = [
            {"target": "t", "method": method, "repeat": 0, "model": model, "length": length}
            | {"epoch": epoch, "test_accuracy": 0.1 * model + 0.2 + 0.1 * (method == "sub")}
            for method, length, epoch in keys
            for model in range(2)
        ]
        together = [
            {"target": "t", "method": method, "repeat": 0, "models": 2, "length": length}
            | {"epoch": epoch, "test_accuracy": 0.6}
            for method, length, epoch in keys
        ]
        pl.DataFrame(rows).write_parquet(folder / "accuracy.parquet")
        pl.DataFrame(together).write_parquet(folder / "ensembles.parquet")
        (folder / "target.json").write_text(json.dumps(facts))
        return folder

    return write
