"""The experiment `transfer`: every target of a zoo's SANE as a stage of its own (paper §5.2)."""

from flows.algorithm import Compiled, Run
from flows.sharpening import sharpen_on
from schemas.config.augmented import Augmented
from schemas.config.benchmark import BenchmarkConfig
from schemas.records import Artifact
from tasks.images import ImagesStage, prepare_images
from tasks.transfer_learning import TransferLearningStage, transfer_learning


def transfer_all(
    run: Run,
    config: BenchmarkConfig,
    zoo: Compiled,
    model: Artifact,
    baseline: Artifact | None = None,
) -> dict[str, Artifact]:
    """Transfer to every target of this zoo; return `transferred_0`, … in their order.

    Args:
        run: Runs stages.
        config: The targets.
        zoo: The zoo.
        model: Its SANE.
        baseline: Its autoencoder of one embedding per model, for the method `global_kde30`.
    """
    done: dict[str, Artifact] = {}
    inputs = {"tokens": zoo.tokens, "model": model, "zoo": zoo.zoo.artifact}
    for target in config.transfer.targets:
        if target.zoos and zoo.name not in target.zoos:
            continue
        stage = TransferLearningStage(
            target=target,
            embed=config.embed.passes(),
            recipe=target.training or zoo.zoo.training,
            epochs=zoo.epochs,
            preprocess=config.preprocess,
            zoo_augmented=Augmented.of(zoo.zoo.training),
        )
        images = run(prepare_images, ImagesStage.of(target.images, config.data))
        taught = images if target.sharpened_on == "target" else zoo.zoo.images
        sharpened = sharpen_on(run, config, zoo, model, taught, target.decoders)
        others: dict[str, Artifact] = {**sharpened}
        if baseline and "global_kde30" in target.methods:
            others["baseline"] = baseline
        done[f"transferred_{len(done)}"] = run(
            transfer_learning, stage, images=zoo.zoo.images, target=images, **inputs, **others
        )
    return done
