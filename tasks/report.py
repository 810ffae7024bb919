"""Stage `report`: the figures and tables of one zoo, from its artifacts."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sane_core.reporting.counterpart import Counterpart, Origin, counterpart
from sane_core.reporting.draw import ReportSources, draw_report
from schemas.errors import SaneError
from schemas.records import Record
from tasks.progress import progress_bar
from tasks.stage import stage
from tasks.store import manifest_of
from tasks.store_records import Job, OpenArtifact

LEARNING_RATE = "optim::lr"
"""What the published zoos' files call it."""


class ReportStage(Record):
    """The report takes everything from its inputs."""


@stage("report")
def report(
    job: Job,
    config: ReportStage,
    seed: int,
    zoo: OpenArtifact,
    tokens: OpenArtifact,
    windows: OpenArtifact,
    model: OpenArtifact,
    **experiments: OpenArtifact,
) -> None:
    """Draw every figure and collect every table."""
    del config, seed
    opened = {"zoo": zoo, "tokens": tokens, "windows": windows, "model": model} | experiments
    folders = {name: item.folder for name, item in experiments.items()}
    # A baseline's metrics have the names of SANE's own.
    own = [item.manifest for name, item in opened.items() if name != "baseline"]
    sources = ReportSources(
        zoo=zoo.folder,
        tokens=tokens.folder,
        model=model.folder,
        probe=folders.get("probes"),
        generation=folders.get("generation"),
        evaluation=folders.get("evaluation"),
        baseline=folders.get("baseline"),
        ablation=folders.get("ablation"),
        analysis=folders.get("analysis"),
        transfer=folders.get("transfer"),
        beside=beside(zoo),
        metrics={name: value for manifest in own for name, value in manifest.metrics.items()},
        facts={name: value for manifest in own for name, value in manifest.facts.items()},
    )
    with progress_bar("report", 1, "zoos") as bar:
        draw_report(sources, job.folder)
        bar.advance()


def beside(zoo: OpenArtifact) -> Counterpart:
    """Return the published zoo that a zoo is to be read beside."""
    table = pq.read_table(zoo.folder / "checkpoints.parquet", columns=["architecture"])
    architecture = str(table["architecture"][0].as_py())
    recipe, ingest = (zoo.manifest.config.get(name) for name in ("recipe", "ingest"))
    if isinstance(ingest, dict):
        source = str(ingest.get("source", ""))
        return counterpart(architecture, None, None, _origin(zoo, source))
    return counterpart(architecture, recipe if isinstance(recipe, dict) else None, _images(zoo))


def _images(zoo: OpenArtifact) -> dict[str, object] | None:
    """Return the configuration of a zoo's images, as far as they are still there."""
    images = zoo.manifest.inputs.get("images")
    try:
        config = manifest_of(images).config.get("images") if images else None
    except SaneError:
        return None
    return config if isinstance(config, dict) else None


def _origin(zoo: OpenArtifact, source: str) -> Origin:
    """Return what the files of an ingested zoo say of it."""
    table = pq.read_table(zoo.folder / "checkpoints.parquet")
    return Origin(
        source,
        zoo.manifest.facts.get("zoo.reader", ""),
        _dataset(table),
        runs=pc.count_distinct(table["run"]).as_py(),
        epochs=pc.max(table["epoch"]).as_py(),
        rates=_rates(table),
    )


def _dataset(table: pa.Table) -> str:
    """Return what the files call their dataset, if they do."""
    if "hyperparameters" not in table.column_names:
        return ""
    first = table["hyperparameters"][0].as_py() or {}
    return next((str(value) for name, value in first.items() if "dataset" in name and value), "")


def _rates(table: pa.Table) -> frozenset[float | None]:
    """Return the learning rates that the files name."""
    if "hyperparameters" not in table.column_names:
        return frozenset()
    struct = table["hyperparameters"].combine_chunks()
    if struct.type.get_field_index(LEARNING_RATE) < 0:
        return frozenset()
    values = pc.unique(pc.struct_field(struct, [LEARNING_RATE])).to_pylist()
    return frozenset(value if isinstance(value, int | float) else None for value in values)
