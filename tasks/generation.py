"""Stage `generation`: sample networks, beside prompts, baselines and scratch, and the front."""

from sane_core.generation.material import Sources
from sane_core.generation.zoo import generate_from_zoo
from schemas.config.embed import EmbedConfig
from schemas.config.generate import GenerateConfig
from schemas.config.training import TrainingConfig
from schemas.records import Record
from tasks.progress import progress_bar
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact


class GenerateStage(Record):
    """The configuration of generation with what it takes from the zoo and windows stages."""

    generate: GenerateConfig
    embed: EmbedConfig
    recipe: TrainingConfig
    epochs: tuple[int, ...]


@stage("generation")
def generate(
    job: Job,
    config: GenerateStage,
    seed: int,
    images: OpenArtifact,
    tokens: OpenArtifact,
    model: OpenArtifact,
    zoo: OpenArtifact | None = None,
    baseline: OpenArtifact | None = None,
) -> None:
    """Draw, select, fine-tune and compare (Algorithm 3)."""
    with progress_bar("generate", None, "steps") as bar:
        metrics = generate_from_zoo(
            Sources(
                images.folder,
                tokens.folder,
                model.folder,
                zoo.folder if zoo else None,
                baseline.folder if baseline else None,
            ),
            config.recipe,
            config.epochs,
            config.generate,
            config.embed,
            seed,
            job.folder,
            bar.reach,
        )
    job.metrics.update(metrics)
