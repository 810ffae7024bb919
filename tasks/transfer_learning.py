"""Stage `transfer_learning`: networks for other images or of another architecture, one target."""

from sane_core.generation.material import Sources
from sane_core.generation.transfer import TransferSources, transfer_to
from schemas.config.augmented import Augmented
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.training import TrainingConfig
from schemas.config.transfer import TransferTarget
from schemas.records import Record
from tasks.progress import progress_bar
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact


class TransferLearningStage(Record):
    """One target, and what its networks take from the zoo's stages."""

    target: TransferTarget
    embed: EmbedConfig
    recipe: TrainingConfig
    epochs: tuple[int, ...]
    preprocess: PreprocessConfig
    zoo_augmented: Augmented


@stage("transfer_learning")
def transfer_learning(
    job: Job,
    config: TransferLearningStage,
    seed: int,
    images: OpenArtifact,
    tokens: OpenArtifact,
    model: OpenArtifact,
    zoo: OpenArtifact,
    target: OpenArtifact,
    baseline: OpenArtifact | None = None,
    sharpened: OpenArtifact | None = None,
    sharpened_unlabelled: OpenArtifact | None = None,
) -> None:
    """Draw for a target, fine-tune and compare (§5.2); `target` are its images."""
    others = {
        "global": baseline,
        "sharpened": sharpened,
        "sharpened_unlabelled": sharpened_unlabelled,
    }
    with progress_bar(f"transfer {config.target.name}", None, "epochs") as bar:
        metrics = transfer_to(
            TransferSources(
                Sources(
                    images.folder,
                    tokens.folder,
                    model.folder,
                    zoo.folder,
                    {name: each.folder for name, each in others.items() if each},
                ),
                target.folder,
            ),
            config.target,
            config.recipe,
            config.epochs,
            config.embed,
            config.preprocess,
            seed,
            job.folder,
            bar.reach,
            config.zoo_augmented,
        )
    job.metrics.update(metrics)
