"""The experiments on what Algorithm 1 has trained, as stages (Algorithms 2 and 3, §5)."""

from collections.abc import Sequence
from typing import Any

from flows.ablate import ablate
from flows.algorithm import Compiled, Run, evaluate_on
from flows.analyse import analyse_one
from flows.baseline import Baseline, train_baseline
from flows.sharpening import sharpen_on
from flows.transfer_learning import transfer_all
from sane_core.embedding.embed import whole_models
from schemas.config.benchmark import BenchmarkConfig
from schemas.records import Artifact
from tasks.embeddings import EmbedStage, embed
from tasks.generation import GenerateStage, generate
from tasks.map import MapStage, make_map
from tasks.probes import ProbeStage, probe
from tasks.report import ReportStage, report
from tasks.transfer import TransferStage, transfer


def experiment(
    run: Run,
    config: BenchmarkConfig,
    zoo: Compiled,
    model: Artifact,
    others: Sequence[Compiled] = (),
) -> Artifact:
    """Run every experiment on one zoo, its probes on the others too; return the drawn report."""
    if config.pretrain.autoencoder.bottleneck == "model":
        config = config.model_copy(update={"embed": whole_models(config.embed)})
    done: dict[str, Artifact] = {"evaluation": evaluate_on(run, zoo, model, config.embed.passes())}
    baseline = train_baseline(run, config, zoo) if config.global_baseline else None
    if baseline:
        done["baseline"] = baseline.evaluation
    if "probe" in config.experiments:
        done |= _probe(run, config, zoo, model, baseline, others)
    if "generate" in config.experiments and zoo.zoo.images and zoo.zoo.training:
        done["generation"] = _generate(run, config, zoo, model, baseline)
    if "transfer" in config.experiments and zoo.zoo.images and zoo.zoo.training:
        done |= transfer_all(run, config, zoo, model, baseline.model if baseline else None)
    if "ablate" in config.experiments:
        done["ablation"] = ablate(run, config, zoo, model)
    if "analyse" in config.experiments:
        done["analysis"] = analyse_one(run, config, zoo, model)
    made: dict[str, Any] = {"tokens": zoo.tokens, "windows": zoo.windows, "model": model}
    return run(report, ReportStage(), zoo=zoo.zoo.artifact, **made, **done)


def _probe(
    run: Run,
    config: BenchmarkConfig,
    zoo: Compiled,
    model: Artifact,
    baseline: Baseline | None,
    others: Sequence[Compiled],
) -> dict[str, Artifact]:
    """Predict properties from embeddings (§5.1), of this zoo and by its probes of others."""
    stage = EmbedStage(embed=config.embed, epochs=zoo.epochs)
    inputs = {"tokens": zoo.tokens, "model": model}
    inputs["embeddings"] = run(embed, stage, **inputs)
    run(make_map, MapStage(), zoo=zoo.zoo.artifact, embeddings=inputs["embeddings"])
    done = {}
    if config.probe.transfer and others:
        settings = TransferStage(
            probe=config.probe,
            embed=config.embed.embedding(),
            names=(zoo.name, *(other.name for other in others)),
            epochs=tuple(other.epochs for other in others),
            own_frame=config.together,
            preprocess=config.preprocess,
        )
        tested = {f"to_{i}": other.tokens for i, other in enumerate(others)}
        tested |= {f"zoo_{i}": other.zoo.artifact for i, other in enumerate(others)}
        tested["zoo"] = zoo.zoo.artifact
        done["transfer"] = run(transfer, settings, **inputs, **tested)
    if baseline:
        inputs["baseline"] = baseline.embed(zoo)
    inputs["zoo"] = zoo.zoo.artifact
    settings_here = ProbeStage(
        probe=config.probe, embed=config.embed.embedding(), preprocess=config.preprocess
    )
    return done | {"probes": run(probe, settings_here, **inputs)}


def _generate(
    run: Run, config: BenchmarkConfig, zoo: Compiled, model: Artifact, baseline: Baseline | None
) -> Artifact:
    """Sample networks (§5.2)."""
    stage = GenerateStage(
        generate=config.generate,
        embed=config.embed.passes(),
        recipe=zoo.zoo.training,
        epochs=zoo.epochs,
    )
    inputs = {"images": zoo.zoo.images, "tokens": zoo.tokens, "model": model}
    inputs["zoo"] = zoo.zoo.artifact
    if baseline:
        inputs["baseline"] = baseline.model
    sharpened = sharpen_on(run, config, zoo, model, inputs["images"])
    return run(generate, stage, **inputs, **sharpened)
