"""The ablations of one zoo (§B, Table 6, Figure 6): each variant its own training, all else equal.

What two variants share, such as the tokens of an aligned zoo, the store computes once.
"""

from dataclasses import dataclass

from flows.algorithm import Compiled, Run, cut, evaluate_on, train_as, variant
from schemas.config.ablate import VIEW_SETTINGS, ViewSetting
from schemas.config.benchmark import BenchmarkConfig
from schemas.config.pretrain import PretrainConfig
from schemas.records import Artifact
from tasks.ablation import AblationStage, WindowSize, ablation
from tasks.evaluation import EvaluationStage, evaluate

INFERENCE = "inference"
"""The variant of the windows at inference."""


@dataclass(frozen=True)
class _Variant:
    """A training that is all prepared.

    Attributes:
        name: Its name.
        run: Runs its stages.
        zoo: Its tokens and windows.
        settings: Of the training.
        windows: In which it is evaluated, beside those of training.
    """

    name: str
    run: Run
    zoo: Compiled
    settings: PretrainConfig
    windows: tuple[int, ...] = ()


def ablate(run: Run, config: BenchmarkConfig, zoo: Compiled, model: Artifact) -> Artifact:
    """Run every ablation that is asked for, and put them side by side."""
    settings = VIEW_SETTINGS if config.ablate.views else ()
    sizes = [_size(config, length) for length in config.ablate.window_sizes]
    # All windows are cut before the first training: what cannot be cut should cost none.
    variants = [_of_views(run, config, zoo, setting) for setting in settings]
    variants += [_of_size(run, config, zoo, size) for size in sizes]
    made: dict[str, Artifact] = {}
    for each in variants:
        made |= _train(config, each)
    windows = config.ablate.inference_windows
    if windows:
        made[f"evaluation:{INFERENCE}"] = _inference(run, config, zoo, model)
    stage = AblationStage(views=settings, sizes=tuple(sizes), inference=bool(windows))
    return run(ablation, stage, **made)


def _of_views(run: Run, config: BenchmarkConfig, zoo: Compiled, setting: ViewSetting) -> _Variant:
    """Cut the windows of a row of Table 6."""
    own = variant(run, setting.name)
    preprocess = config.preprocess.model_copy(update={"align": setting.aligned})
    compiled = cut(own, zoo.name, zoo.zoo, preprocess, config.windows)
    return _Variant(setting.name, own, compiled, config.ablate.of_views(config.pretrain, setting))


def _size(config: BenchmarkConfig, length: int) -> WindowSize:
    _, settings = config.ablate.of_size(config.windows, config.pretrain, length)
    return WindowSize(length=length, batch=settings.batch)


def _of_size(run: Run, config: BenchmarkConfig, zoo: Compiled, size: WindowSize) -> _Variant:
    """Cut windows of another length."""
    windows, settings = config.ablate.of_size(config.windows, config.pretrain, size.length)
    own = variant(run, size.name)
    compiled = cut(own, zoo.name, zoo.zoo, config.preprocess, windows)
    return _Variant(size.name, own, compiled, settings, windows=(0,))


def _train(config: BenchmarkConfig, prepared: _Variant) -> dict[str, Artifact]:
    run, zoo, name = prepared.run, prepared.zoo, prepared.name
    model = train_as(run, prepared.settings, config.windows.reader, [zoo])
    evaluation = evaluate_on(run, zoo, model, config.embed.passes(), prepared.windows)
    return {
        f"windows:{name}": zoo.windows,
        f"model:{name}": model,
        f"evaluation:{name}": evaluation,
    }


def _inference(run: Run, config: BenchmarkConfig, zoo: Compiled, model: Artifact) -> Artifact:
    """Evaluate the benchmark's own autoencoder in windows of other lengths (Figure 6)."""
    stage = EvaluationStage(
        embed=config.embed.passes(),
        epochs=zoo.epochs,
        splits=("test",),
        windows=config.ablate.inference_windows,
    )
    return variant(run, INFERENCE)(evaluate, stage, tokens=zoo.tokens, model=model)
