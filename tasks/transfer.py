"""Stage `transfer`: probes fitted on one zoo, tested on the others."""

from sane_core.embedding.files import read_embeddings
from sane_core.probing.transfer import Zoo, transfer_zoos
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.probe import ProbeConfig
from schemas.records import Record
from tasks.progress import progress_bar
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact


class TransferStage(Record):
    """The configuration of probing, and what zoos are called.

    Attributes:
        names: The zoo fitted on, then those tested on.
        epochs: Of those tested on, the epochs of each.
        own_frame: Whether the SANE was trained on all of them together.
        preprocess: As all of them were made into tokens.
    """

    probe: ProbeConfig
    embed: EmbedConfig
    names: tuple[str, ...]
    epochs: tuple[tuple[int, ...], ...]
    own_frame: bool
    preprocess: PreprocessConfig = PreprocessConfig()


@stage("transfer")
def transfer(
    job: Job,
    config: TransferStage,
    seed: int,
    tokens: OpenArtifact,
    model: OpenArtifact,
    embeddings: OpenArtifact,
    zoo: OpenArtifact,
    **others: OpenArtifact,
) -> None:
    """Test probes on other zoos; these come as `to_0`, `to_1`, …: their tokens, and `zoo_0`, …."""
    source, *names = config.names
    zoos = [
        Zoo(name, others[f"to_{i}"].folder, epochs, others[f"zoo_{i}"].folder)
        for i, (name, epochs) in enumerate(zip(names, config.epochs, strict=True))
    ]
    with progress_bar("transfer", 1, "zoos") as bar:
        metrics = transfer_zoos(
            Zoo(source, tokens.folder, (), zoo.folder),
            model.folder,
            read_embeddings(embeddings.file("embeddings.parquet")),
            zoos,
            config.probe,
            config.embed,
            seed,
            job.folder,
            config.own_frame,
            config.preprocess,
        )
        bar.advance()
    job.metrics.update(metrics)
