"""Stage `sharpen`: the decoder fine-tuned on its own noisy samples; a model as `model` makes it."""

from sane_core.generation.sharpen_zoo import SharpenSources, sharpen_on_zoo
from schemas.config.embed import EmbedConfig
from schemas.config.sharpen import SharpenConfig
from schemas.records import Record
from tasks.progress import progress_bar
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact


class SharpenStage(Record):
    """The configuration of sharpening with what it takes from embedding."""

    sharpen: SharpenConfig
    embed: EmbedConfig


@stage("sharpen")
def sharpen(
    job: Job,
    config: SharpenStage,
    seed: int,
    images: OpenArtifact,
    tokens: OpenArtifact,
    model: OpenArtifact,
    zoo: OpenArtifact | None = None,
) -> None:
    """Train the decoder to decode noise on latents to networks that answer well.

    The zoo is needed where networks have weights that are in no token.
    """
    opened = {"images": images, "tokens": tokens, "model": model} | ({"zoo": zoo} if zoo else {})
    data = " ".join(f"{name}={given.artifact.digest}" for name, given in opened.items())
    with progress_bar("sharpen", config.sharpen.steps, "steps") as bar:
        report = sharpen_on_zoo(
            SharpenSources(**{name: given.folder for name, given in opened.items()}),
            config.sharpen,
            config.embed,
            seed,
            job.folder,
            scratch=job.scratch,
            data=data,
            on_step=lambda step, steps, loss: bar.reach(step, steps, f"loss {loss:.3f}"),
        )
    job.metrics.update(report.metrics)
    job.timings.update(report.timings)
    job.facts.update(report.facts)
