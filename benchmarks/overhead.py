"""What Prefect, MLflow and the store cost: the flow `sane` against the science called in sequence.

Both do the same work on a small zoo, each time from nothing. The flow pretrains in a process of its
own, so that it can be killed; the sequence does not. Starting the embedded Prefect API and MLflow's
database and importing everything is measured apart, as it happens once. Last, the flow runs again,
unchanged.
"""

import importlib
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from shared.rows import Row, benchmark, median

from schemas.config.benchmark import BenchmarkConfig

ROOT = Path(__file__).resolve().parents[1]
QUICK = (
    "zoos.0.members=8",
    "zoos.0.epochs=2",
    "experiments=[probe]",
    "probe.targets=[epoch]",
    "probe.lambdas=[1.0]",
)
SHARED = ("windows.reader=numpy",)  # FFCV compiles itself in every process: not what is asked here


def measure(quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        os.environ["PREFECT_HOME"] = str(Path(name) / "prefect")
        os.chdir(name)
        config = _configuration(quick)
        starts = _start(config)
        sequence, flow, stages, steps = [], [], [], []
        for repeat in range(1 if quick else 3):
            fresh = config.model_copy(update={"store": f"store-{repeat}"})
            start = time.perf_counter()
            steps.append(_run_sequence(fresh, Path(f"sequence-{repeat}")))
            sequence.append(time.perf_counter() - start)
            flow.append(_run_flow(fresh))
            stages.append(_stage_seconds(Path(f"store-{repeat}")))
        unchanged = _run_flow(fresh)
    once, whole = median(sequence), median(flow)
    compared = "the seconds of the sequence"
    rows = [Row(f"start.{name}", seconds, "s") for name, seconds in starts.items()]
    rows += [
        Row("sequence", once, "s"),
        Row("flow", whole, "s", compared, whole / once),
        Row("flow.overhead.per_stage", (whole - once) / len(stages[0]), "s"),
        Row("flow.unchanged", unchanged, "s", compared, unchanged / once),
    ]
    for stage in stages[0]:
        within, alone = (median([one[stage] for one in many]) for many in (stages, steps))
        rows.append(
            Row(f"stage.{stage}", within, "s", f"{alone:.2f} s in sequence", within / alone)
        )
    return rows


def _configuration(quick: bool) -> BenchmarkConfig:
    from flows.configuration import load_configuration

    overrides = [*SHARED, *(QUICK if quick else ())]
    return load_configuration(ROOT / "deployments" / "tiny.yaml", overrides)


def _start(config: BenchmarkConfig) -> dict[str, float]:
    """Start what a first run starts, and return the seconds."""
    seconds = {}
    start = time.perf_counter()
    os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    os.environ["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] = "true"
    os.environ.pop("PREFECT_API_URL", None)
    from prefect import flow

    @flow
    def nothing() -> None: ...

    nothing()
    seconds["prefect"] = time.perf_counter() - start
    start = time.perf_counter()
    from tasks.tracking import Tracking

    Tracking(config.tracking).prepare()
    seconds["mlflow"] = time.perf_counter() - start
    start = time.perf_counter()
    importlib.import_module("flows.benchmark")
    seconds["imports"] = time.perf_counter() - start
    return seconds


def _run_flow(config: BenchmarkConfig) -> float:
    """Run the flow without its progress bars; return the seconds."""
    from flows.run import run_benchmark

    start = time.perf_counter()
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        run_benchmark(config)
    return time.perf_counter() - start


def _stage_seconds(store: Path) -> dict[str, float]:
    """Return what each stage took within the flow, by its manifest."""
    from schemas.records import Manifest

    manifests = [
        Manifest.model_validate_json(path.read_text()) for path in store.rglob("manifest.json")
    ]
    return {manifest.stage: manifest.seconds for manifest in manifests}


def _run_sequence(config: BenchmarkConfig, root: Path) -> dict[str, float]:
    """Call the science, stage by stage, folder to folder; return the seconds of each stage."""
    seconds = {}
    sequence = _Sequence(config, root)
    for stage, run in sequence.stages().items():
        (root / stage).mkdir(parents=True)
        start = time.perf_counter()
        run(root / stage)
        seconds[stage] = time.perf_counter() - start
    return seconds


class _Sequence:
    """The stages as plain calls; each writes a folder and reads those before it."""

    def __init__(self, config: BenchmarkConfig, root: Path) -> None:
        self.config, self.root, self.recipe = config, root, config.zoos[0]
        self.epochs = config.windows.epochs(self.recipe.epochs)
        self.metrics: dict[str, float] = {}

    def stages(self) -> dict[str, Callable[[Path], None]]:
        stages = [self.images, self.zoo, self.tokens, self.windows, self.model]
        if "probe" in self.config.experiments:
            stages += [self.embeddings, self.probes]
        if "generate" in self.config.experiments:
            stages += [self.generation]
        return {stage.__name__: stage for stage in [*stages, self.report]}

    def images(self, folder: Path) -> None:
        from sane_core.images.prepare import prepare

        self.metrics |= prepare(self.recipe.images, self.root, self.config.seed, folder)

    def zoo(self, folder: Path) -> None:
        from sane_core.zoo.build import train_zoo

        images, scratch = self.root / "images", self._scratch("zoo")
        self.metrics |= train_zoo(self.recipe, images, self.config.seed, folder, scratch)

    def tokens(self, folder: Path) -> None:
        from sane_core.weights.preprocess import preprocess_zoo
        from sane_core.weights.work import PlainWork

        work = PlainWork(folder, self._scratch("tokens"))
        self.metrics |= preprocess_zoo(
            self.root / "zoo", self.config.preprocess, self.config.seed, work
        )

    def windows(self, folder: Path) -> None:
        from sane_core.weights.work import PlainWork
        from sane_core.windows.compile import compile_set

        work = PlainWork(folder, self._scratch("windows"))
        compile_set(self.root / "tokens", self.config.windows, self.config.seed, work)

    def model(self, folder: Path) -> None:
        import torch

        from sane_core.pretraining.worker import TrainingJob, TrainingZoo, run

        job = TrainingJob(
            zoos=(TrainingZoo(windows=str(self.root / "windows")),),
            reader=self.config.windows.reader,
            folder=str(folder),
            scratch=str(self._scratch("model")),
            config=self.config.pretrain,
            seed=self.config.seed,
            data="",
            threads=torch.get_num_threads(),
        )
        run(job)

    def embeddings(self, folder: Path) -> None:
        from sane_core.embedding.files import write_embeddings
        from sane_core.embedding.zoo import embed_zoo
        from sane_core.pretraining.files import load

        tokens = self.root / "tokens" / "tokens"
        at = (load(self.root / "model"), tokens, self.epochs, self.config.embed)
        made = embed_zoo(*at, seed=self.config.seed)
        write_embeddings(folder / "embeddings.parquet", made)

    def probes(self, folder: Path) -> None:
        from sane_core.embedding.files import read_embeddings
        from sane_core.probing.zoo import probe_zoo

        self.metrics |= probe_zoo(
            self.root / "tokens",
            self.root / "model",
            read_embeddings(self.root / "embeddings" / "embeddings.parquet"),
            self.config.probe,
            self.config.embed,
            self.config.seed,
            folder,
            preprocess=self.config.preprocess,
        )

    def generation(self, folder: Path) -> None:
        from sane_core.generation.material import Sources
        from sane_core.generation.zoo import generate_from_zoo

        names = ("images", "tokens", "model", "zoo")
        self.metrics |= generate_from_zoo(
            Sources(**{name: self.root / name for name in names}),
            self.recipe.training(),
            self.epochs,
            self.config.generate,
            self.config.embed,
            self.config.seed,
            folder,
        )

    def report(self, folder: Path) -> None:
        from sane_core.reporting.draw import ReportSources, draw_report

        names = ("zoo", "tokens", "model", "probes", "generation")
        made = {name: self.root / name for name in names if (self.root / name).exists()}
        sources = ReportSources(
            zoo=made["zoo"],
            tokens=made["tokens"],
            model=made["model"],
            probe=made.get("probes"),
            generation=made.get("generation"),
            metrics=self.metrics,
            facts={},
        )
        draw_report(sources, folder)

    def _scratch(self, stage: str) -> Path:
        scratch = self.root / "scratch" / stage
        scratch.mkdir(parents=True, exist_ok=True)
        return scratch


if __name__ == "__main__":
    benchmark(__doc__, measure)
