"""Which stages a benchmark runs: with several zoos, every zoo's probes on the others."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.algorithm import Compiled
from flows.experiments import experiment
from flows.made_zoo import MadeZoo
from sane_core.reporting.counterpart import Counterpart
from schemas.config.benchmark import BenchmarkConfig
from schemas.config.embed import EmbedConfig
from schemas.config.recipes import RECIPES
from schemas.records import Artifact, Manifest
from tasks.counterparts import beside
from tasks.store_records import OpenArtifact


def artifact(name: str) -> Artifact:
    return Artifact(uri=name, digest=name, kind=name)


def zoo_of(name: str) -> Compiled:
    made = MadeZoo(artifact(f"zoo-{name}"), [0, 1], None, None)
    return Compiled(name, made, (0, 1), artifact(f"tokens-{name}"), artifact(f"windows-{name}"))


@dataclass
class Recorded:
    """Runs nothing and remembers what was asked for."""

    calls: dict[str, tuple[Any, dict[str, Artifact]]] = field(default_factory=dict)

    def __call__(self, stage: Any, config: Any, **inputs: Artifact) -> Artifact:
        self.calls[stage.name] = (config, inputs)
        return artifact(stage.name)


def run_on(others: list[Compiled], **probe: Any) -> Recorded:
    run = Recorded()
    config = BenchmarkConfig(experiments=("probe",), probe=probe)
    experiment(run, config, zoo_of("a"), artifact("model"), others)
    return run


def test_probes_of_a_zoo_are_tested_on_the_others_where_that_is_asked_for() -> None:
    run = run_on([zoo_of("b"), zoo_of("c")], transfer=True)
    config, inputs = run.calls["transfer"]
    assert config.names == ("a", "b", "c")
    assert config.own_frame is False
    assert inputs["tokens"].uri == "tokens-a"
    assert [inputs[f"to_{i}"].uri for i in range(2)] == ["tokens-b", "tokens-c"]
    assert [inputs[name].uri for name in ("zoo", "zoo_0", "zoo_1")] == ["zoo-a", "zoo-b", "zoo-c"]
    assert run.calls["report"][1]["transfer"] == artifact("transfer")


def test_what_is_embedded_beside_the_zoo_is_embedded_in_as_many_views() -> None:
    run = Recorded()
    embed = {"views": 3, "chunk": 9, "poolings": ["mean"]}
    config = BenchmarkConfig(experiments=("probe",), probe={"transfer": True}, embed=embed)
    experiment(run, config, zoo_of("a"), artifact("model"), [zoo_of("b")])
    assert run.calls["embeddings"][0].embed == config.embed
    for stage in ("probes", "transfer"):
        assert run.calls[stage][0].embed == EmbedConfig(views=3, chunk=9)
    assert run.calls["evaluation"][0].embed == EmbedConfig(chunk=9)


@pytest.mark.parametrize(("others", "asked"), [([], True), ([zoo_of("b")], False)])
def test_one_zoo_or_no_wish_is_no_transfer(others: list[Compiled], asked: bool) -> None:
    run = run_on(others, transfer=asked)
    assert "transfer" not in run.calls
    assert run.calls["probes"][1]["zoo"].uri == "zoo-a"


def opened(folder: Path, config: dict[str, Any], facts: dict[str, str]) -> OpenArtifact:
    folder.mkdir()
    named = {"dataset::dump": "d/mnist.pt", "optim::lr": 3e-4}
    runs = list(range(1000))
    columns = {"run": runs, "epoch": [50] * 1000, "architecture": ["cnn"] * 1000}
    pq.write_table(
        pa.table(columns | {"hyperparameters": [named] * 1000}), folder / "checkpoints.parquet"
    )
    manifest = Manifest(
        stage="zoo", key="k", digest="d", kind="zoo", config=config, inputs={}, files={},
        facts=facts, seed=0, versions={}, seconds=0,
    )  # fmt: skip
    return OpenArtifact(artifact(str(folder)), folder, manifest)


def read(zoo: OpenArtifact) -> Counterpart:
    return beside(zoo.folder, zoo.manifest, None)


def test_a_zoo_is_read_beside_what_its_manifest_says_it_is(tmp_path: Path) -> None:
    ingest = {"ingest": {"source": "zoos/mnist", "name": "m"}}
    published = opened(tmp_path / "published", ingest, {"zoo.reader": "model-zoo"})
    assert read(published) == Counterpart("MNIST", False, "like for like")
    other_layout = opened(tmp_path / "other", ingest, {"zoo.reader": "torch-folder"})
    assert read(other_layout).likeness == "stand-in"
    sample = {"ingest": {"source": "sample:mnist-cnn", "name": "m"}}
    assert read(opened(tmp_path / "sample", sample, {})).likeness == "same recipe"
    trained = {"recipe": RECIPES["mnist-cnn"].model_dump(mode="json")}
    without_images = opened(tmp_path / "trained", trained, {})
    assert read(without_images).likeness == "stand-in"
