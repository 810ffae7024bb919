"""Stage `report`: the figures and tables of one zoo, from its artifacts."""

from collections.abc import Mapping

from sane_core.reporting.draw import ReportSources, draw_report
from schemas.errors import SaneError
from schemas.records import Record
from tasks.counterparts import beside, images_config, name_of_zoo
from tasks.progress import progress_bar
from tasks.stage import stage
from tasks.store import manifest_of
from tasks.store_records import Job, OpenArtifact


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
    generation = experiments.get("generation")
    targets = [item for name, item in experiments.items() if name.startswith("transferred_")]
    seen = [_images(item) for item in (zoo, *targets)]
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
        transferred=[item.folder for item in targets],
        targets=[item.manifest.config for item in targets],
        beside=beside(zoo.folder, zoo.manifest, seen[0]),
        name=name_of_zoo(zoo.manifest),
        dataset=next((str(images["dataset"]) for images in seen if images), ""),
        generated=generation.manifest.config if generation else {},
        images=_images(generation) if generation else None,
        metrics={name: value for manifest in own for name, value in manifest.metrics.items()},
        facts={name: value for manifest in own for name, value in manifest.facts.items()},
    )
    with progress_bar("report", 1, "zoos") as bar:
        draw_report(sources, job.folder)
        bar.advance()


def _images(opened: OpenArtifact) -> Mapping[str, object] | None:
    """Return the configuration of a stage's images, as far as they are still there."""
    images = opened.manifest.inputs.get("images")
    try:
        return images_config(manifest_of(images)) if images else None
    except SaneError:
        return None
