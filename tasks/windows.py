"""Stage `windows`: cut tokens into windows with permuted views and compile them for FFCV."""

from sane_core.windows.compile import compile_set, metrics_of
from schemas.config.windows import WindowsConfig
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact
from tasks.watched import Watched


@stage("windows")
def compile_windows(job: Job, config: WindowsConfig, seed: int, tokens: OpenArtifact) -> None:
    """Write the shards of the train and the validation split, and what is known of them."""
    facts = compile_set(tokens.folder, config, seed, Watched(job))
    job.metrics.update(metrics_of(facts))
