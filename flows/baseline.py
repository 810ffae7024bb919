"""The global baseline: the earlier hyper-representations, one embedding per model."""

from dataclasses import dataclass, replace

from flows.algorithm import Compiled, Run, evaluate_on, train_as, variant
from sane_core.embedding.embed import whole_models
from schemas.config.benchmark import BenchmarkConfig
from schemas.config.embed import EmbedConfig
from schemas.config.pretrain import PretrainConfig
from schemas.records import Artifact
from tasks.embeddings import EmbedStage, embed
from tasks.windows import compile_windows

GLOBAL = "global"
"""The variant's name."""


@dataclass(frozen=True)
class Baseline:
    """A trained global autoencoder.

    Attributes:
        run: Runs its stages.
        model: The autoencoder.
        evaluation: What it loses in reconstruction.
        settings: Embeds whole models.
    """

    run: Run
    model: Artifact
    evaluation: Artifact
    settings: EmbedConfig

    def embed(self, zoo: Compiled) -> Artifact:
        """Embed the checkpoints that SANE's embeddings are of."""
        stage = EmbedStage(embed=self.settings, epochs=zoo.epochs)
        return self.run(embed, stage, tokens=zoo.tokens, model=self.model)


def train_baseline(run: Run, config: BenchmarkConfig, zoo: Compiled) -> Baseline:
    """Train on whole models, with the width and the schedule of SANE itself."""
    own = variant(run, GLOBAL)
    settings = config.windows.model_copy(update={"whole": True, "reader": "ffcv"})
    whole = replace(zoo, windows=own(compile_windows, settings, tokens=zoo.tokens))
    model = train_as(own, _global(config), config.windows.reader, [whole])
    embedding = whole_models(config.embed)
    return Baseline(own, model, evaluate_on(own, zoo, model, embedding.passes()), embedding)


def _global(config: BenchmarkConfig) -> PretrainConfig:
    """Return how it is trained: as SANE, but for the bottleneck, on this zoo alone."""
    changed = {"bottleneck": "model", "d_z": config.global_d_z}
    autoencoder = config.pretrain.autoencoder.model_copy(update=changed)
    behaviour = config.pretrain.behaviour.model_copy(update={"weight": 0.0})
    return config.pretrain.model_copy(
        update={"autoencoder": autoencoder, "behaviour": behaviour, "weights": ()}
    )
