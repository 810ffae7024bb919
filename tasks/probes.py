"""Stage `probes`: read properties of networks from embeddings, beside baselines and controls."""

from sane_core.embedding.files import read_embeddings
from sane_core.probing.zoo import STEPS, probe_zoo, runs_tested
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.probe import ProbeConfig
from schemas.records import Record
from tasks.progress import progress_bar
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact


class ProbeStage(Record):
    """Probing, with the chunk sizes for the untrained control and how tokens were made."""

    probe: ProbeConfig
    embed: EmbedConfig
    preprocess: PreprocessConfig = PreprocessConfig()


@stage("probes")
def probe(
    job: Job,
    config: ProbeStage,
    seed: int,
    tokens: OpenArtifact,
    model: OpenArtifact,
    embeddings: OpenArtifact,
    baseline: OpenArtifact | None = None,
    zoo: OpenArtifact | None = None,
) -> None:
    """Fit ridge probes for every embedding, baseline and control (paper §5.1)."""
    pooled = read_embeddings(embeddings.file("embeddings.parquet"))
    others = read_embeddings(baseline.file("embeddings.parquet")) if baseline else None
    with progress_bar("probe", STEPS, "steps") as bar:
        metrics = probe_zoo(
            tokens.folder,
            model.folder,
            pooled,
            config.probe,
            config.embed,
            seed,
            job.folder,
            bar.advance,
            others,
            zoo.folder if zoo else None,
            config.preprocess,
        )
    job.metrics.update(metrics)
    job.facts["probe.tested"] = runs_tested(config.probe, config.embed.views)
