"""The stages of ablations and of the global baseline: what is shared, and what is a variant's."""

from dataclasses import dataclass, field, replace

import pytest

from flows.ablate import ablate
from flows.algorithm import Compiled
from flows.experiments import experiment
from flows.made_zoo import MadeZoo
from schemas.config.benchmark import BenchmarkConfig
from schemas.records import Artifact, Record
from tasks.stage import Stage

CONFIG = BenchmarkConfig.model_validate(
    {
        "experiments": ["ablate"],
        "windows": {"length": 8},
        "ablate": {"views": True, "window_sizes": [8, 16], "inference_windows": [4, 0]},
    }
)


@dataclass
class Recorder:
    """Runs nothing; an artifact's digest says what it was made of."""

    calls: list[tuple[str | None, str, Record, dict[str, Artifact]]] = field(default_factory=list)
    variant: str | None = None

    def of(self, variant: str) -> "Recorder":
        return replace(self, variant=variant)

    def __call__(self, stage: Stage, config: Record, **inputs: Artifact) -> Artifact:
        self.calls.append((self.variant, stage.name, config, inputs))
        made_of = (config.model_dump_json(), *(f"{k}={v.digest}" for k, v in inputs.items()))
        return Artifact(uri=f"store/{stage.name}", digest=str(hash(made_of)), kind=stage.name)

    def of_stage(self, name: str) -> dict[str | None, tuple[Record, dict[str, Artifact]]]:
        return {v: (config, inputs) for v, stage, config, inputs in self.calls if stage == name}


def artifact(kind: str) -> Artifact:
    return Artifact(uri=f"store/{kind}", digest=kind, kind=kind)


@pytest.fixture
def zoo() -> Compiled:
    made = MadeZoo(artifact("zoo"), [0, 1], artifact("images"), CONFIG.zoos[0].training())
    return Compiled("digits", made, (0, 1), artifact("tokens"), artifact("windows"))


def test_every_variant_trains_once_and_is_evaluated(zoo: Compiled) -> None:
    run = Recorder()
    ablate(run, CONFIG, zoo, artifact("model"))
    variants = {
        "unaligned-permuted-permuted",
        "aligned-permuted-permuted",
        "aligned-aligned-permuted",
        "aligned-aligned-aligned",
        "window-8",
        "window-16",
    }
    assert run.of_stage("model").keys() == variants
    assert run.of_stage("evaluation").keys() == variants | {"inference"}
    collected, inputs = run.of_stage("ablation")[None]
    parts = {f"{part}:{v}" for part in ("windows", "model", "evaluation") for v in variants}
    assert inputs.keys() == parts | {"evaluation:inference"}
    assert [size.name for size in collected.sizes] == ["window-8", "window-16"]


def test_only_the_unaligned_zoo_has_tokens_of_its_own(zoo: Compiled) -> None:
    run = Recorder()
    ablate(run, CONFIG, zoo, artifact("model"))
    aligned = {v: config.align for v, (config, _) in run.of_stage("tokens").items()}
    assert [v for v, align in aligned.items() if not align] == ["unaligned-permuted-permuted"]
    windows = run.of_stage("model")
    shared = {v: inputs["windows_0"].digest for v, (_, inputs) in windows.items()}
    assert len({digest for v, digest in shared.items() if v.startswith("aligned")}) == 1
    assert len(set(shared.values())) == 3  # unaligned; aligned and window-8; window-16


def test_all_windows_are_cut_before_the_first_training(zoo: Compiled) -> None:
    run = Recorder()
    ablate(run, CONFIG, zoo, artifact("model"))
    stages = [stage for _, stage, _, _ in run.calls]
    assert "windows" not in stages[stages.index("model") :]
    assert stages.count("windows") == stages.count("model") == 6


def test_windows_at_inference_need_no_training(zoo: Compiled) -> None:
    run = Recorder()
    only = CONFIG.ablate.model_copy(update={"views": False, "window_sizes": ()})
    ablate(run, CONFIG.model_copy(update={"ablate": only}), zoo, artifact("model"))
    assert [stage for _, stage, _, _ in run.calls] == ["evaluation", "ablation"]
    config, inputs = run.of_stage("evaluation")["inference"]
    assert (config.windows, config.splits, inputs["model"].digest) == ((0, 4), ("test",), "model")


def test_a_plain_function_runs_the_stages_too(zoo: Compiled) -> None:
    run = Recorder()
    ablate(lambda *stage, **inputs: run(*stage, **inputs), CONFIG, zoo, artifact("model"))
    assert {variant for variant, *_ in run.calls} == {None}


def test_every_benchmark_is_evaluated_and_reported(zoo: Compiled) -> None:
    run = Recorder()
    config = CONFIG.model_copy(update={"experiments": ()})
    experiment(run, config, zoo, artifact("model"))
    assert [stage for _, stage, _, _ in run.calls] == ["evaluation", "report"]
    assert "evaluation" in run.of_stage("report")[None][1]


def test_the_global_baseline_sees_whole_models_and_enters_every_table(zoo: Compiled) -> None:
    run = Recorder()
    changed = {"experiments": ("probe", "generate"), "global_baseline": True}
    experiment(run, CONFIG.model_copy(update=changed), zoo, artifact("model"))
    windows, _ = run.of_stage("windows")["global"]
    assert windows.whole
    training, _ = run.of_stage("model")["global"]
    own = training.pretrain.autoencoder
    assert (own.bottleneck, own.d_z) == ("model", CONFIG.global_d_z)
    assert training.pretrain.epochs == CONFIG.pretrain.epochs
    embedding, _ = run.of_stage("embeddings")["global"]
    assert embedding.embed.halo == 0
    for stage in ("probes", "generation", "report"):
        assert "baseline" in run.of_stage(stage)[None][1]


def test_without_the_baseline_nothing_of_it_is_made(zoo: Compiled) -> None:
    run = Recorder()
    experiment(run, CONFIG.model_copy(update={"experiments": ("probe",)}), zoo, artifact("model"))
    assert {variant for variant, *_ in run.calls} == {None}
    assert "baseline" not in run.of_stage("probes")[None][1]
