"""Stage `ablation`: the ablations of one zoo side by side."""

from sane_core.ablation.collect import Trained, collect_inference, collect_sizes, collect_views
from schemas.config.ablate import ViewSetting
from schemas.records import Record
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact


class WindowSize(Record):
    """Windows that were trained on."""

    length: int
    batch: int

    @property
    def name(self) -> str:
        """Its name in runs."""
        return f"window-{self.length}"


class AblationStage(Record):
    """What was varied; the artifacts of a variant are `<part>:<its name>`."""

    views: tuple[ViewSetting, ...] = ()
    sizes: tuple[WindowSize, ...] = ()
    inference: bool = False


@stage("ablation")
def ablation(job: Job, config: AblationStage, seed: int, **made: OpenArtifact) -> None:
    """Collect what every variant lost in reconstruction (Table 6, Figure 6)."""
    del seed

    def trained(name: str) -> Trained:
        windows = made[f"windows:{name}"].manifest.metrics["windows.train.samples"]
        folders = (made[f"{part}:{name}"].folder for part in ("model", "evaluation"))
        return Trained(*folders, windows=int(windows))

    if config.views:
        variants = [trained(setting.name) for setting in config.views]
        job.metrics |= collect_views(config.views, variants, job.folder / "views.parquet")
    if config.sizes:
        variants = [trained(size.name) for size in config.sizes]
        sizes = [(size.length, size.batch) for size in config.sizes]
        job.metrics |= collect_sizes(sizes, variants, job.folder / "window_sizes.parquet")
    if config.inference:
        folder = made["evaluation:inference"].folder
        job.metrics |= collect_inference(folder, job.folder / "inference.parquet")
