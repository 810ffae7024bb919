"""Stage `tokens`: align, standardize and tokenize a zoo."""

from sane_core.weights.preprocess import preprocess_zoo
from schemas.config.preprocess import PreprocessConfig
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact
from tasks.watched import Watched


@stage("tokens")
def preprocess(job: Job, config: PreprocessConfig, seed: int, zoo: OpenArtifact) -> None:
    """Align to one reference, standardize by the train split, tokenize to Parquet."""
    job.metrics.update(preprocess_zoo(zoo.folder, config, seed, Watched(job)))
