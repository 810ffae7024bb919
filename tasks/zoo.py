"""Stage `zoo`: train a population of networks and keep every epoch."""

from sane_core.zoo.build import train_zoo
from schemas.config.zoo import ZooConfig
from tasks.progress import progress_bar
from tasks.stage import stage
from tasks.store_records import Job


@stage("zoo")
def build_zoo(job: Job, config: ZooConfig, seed: int) -> None:
    """Train a zoo: weights, checkpoints table, images."""
    with progress_bar("zoo", config.members * (config.epochs + 1), "member-epochs") as bar:
        job.metrics.update(train_zoo(config, seed, job.folder, job.scratch, bar.advance))
