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
    sharpened: OpenArtifact | None = None,
    sharpened_unlabelled: OpenArtifact | None = None,
) -> None:
    """Draw, select, fine-tune and compare (Algorithm 3)."""
    others = {
        "global": baseline,
        "sharpened": sharpened,
        "sharpened_unlabelled": sharpened_unlabelled,
    }
    with progress_bar("generate", None, "steps") as bar:
        metrics = generate_from_zoo(
            Sources(
                images.folder,
                tokens.folder,
                model.folder,
                zoo.folder if zoo else None,
                {name: each.folder for name, each in others.items() if each},
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
