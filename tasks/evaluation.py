"""Stage `evaluation`: what a trained SANE loses of the networks of every split."""

from typing import Literal

from pydantic import Field

from sane_core.ablation.evaluate import Pass, evaluate_zoo
from schemas.config.embed import EmbedConfig
from schemas.records import Record
from tasks.progress import progress_bar
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact


class EvaluationStage(Record):
    """What is reconstructed, and in which windows beside those of training."""

    embed: EmbedConfig = Field(description="the chunks of embedding are one of the passes")
    epochs: tuple[int, ...] = Field(description="whose checkpoints are evaluated")
    splits: tuple[Literal["train", "validation", "test"], ...] = ("train", "validation", "test")
    windows: tuple[int, ...] = Field(
        default=(), description="further window lengths, with and without halo; 0: whole models"
    )
    checkpoints: int = Field(default=1000, ge=1, description="per split at most, drawn from all")

    def passes(self) -> list[Pass]:
        """Return how models are run, beside the windows of training."""
        embedded = Pass(self.embed.chunk, self.embed.halo)
        plain = [Pass(window) for window in self.windows]
        return [embedded, *plain, *(Pass(window, self.embed.halo) for window in self.windows)]


@stage("evaluation")
def evaluate(
    job: Job, config: EvaluationStage, seed: int, tokens: OpenArtifact, model: OpenArtifact
) -> None:
    """Reconstruct whole networks, clean, and measure what is lost (Eq. 5)."""
    with progress_bar("evaluate", None, "passes") as bar:
        metrics = evaluate_zoo(
            tokens.folder,
            model.folder,
            config.epochs,
            config.splits,
            config.passes(),
            config.checkpoints,
            seed,
            job.folder,
            bar.reach,
        )
    job.metrics.update(metrics)
