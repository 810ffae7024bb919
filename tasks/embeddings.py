"""Stage `embeddings`: encode and pool every checkpoint of the chosen epochs."""

from sane_core.embedding.zoo import write_embedded_zoo
from sane_core.pretraining.files import load
from sane_core.weights.shards import SPLITS
from schemas.config.embed import EmbedConfig
from schemas.records import Record
from tasks.progress import progress_bar
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact


class EmbedStage(Record):
    """The configuration of embedding with the epochs taken from the windows stage."""

    embed: EmbedConfig
    epochs: tuple[int, ...]


@stage("embeddings")
def embed(
    job: Job, config: EmbedStage, seed: int, tokens: OpenArtifact, model: OpenArtifact
) -> None:
    """Embed all splits (Algorithm 2)."""
    with progress_bar("embed", len(SPLITS), "splits") as bar:
        checkpoints, missing = write_embedded_zoo(
            job.folder,
            load(model.folder),
            tokens.folder / "tokens",
            config.epochs,
            config.embed,
            seed=seed,
            on_split=bar.advance,
        )
    job.metrics["embed.checkpoints"] = float(checkpoints)
    job.facts.update(missing)
