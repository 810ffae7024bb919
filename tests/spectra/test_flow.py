"""The stages of the analysis: one per zoo, then one of all that share a SANE."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flows.algorithm import Compiled
from flows.analyse import analyse_all, analyse_one
from flows.configuration import load_configuration
from flows.made_zoo import MadeZoo
from flows.session import TOGETHER
from sane_core.analysis.correlate import FEWEST_NETWORKS
from sane_core.analysis.together import series_of
from schemas.config.benchmark import BenchmarkConfig
from schemas.config.zoo import ZooConfig
from schemas.records import Artifact, Record
from tasks.stage import Stage

DEPLOYMENTS = Path(__file__).resolve().parents[2] / "deployments"


def trained_zoos(name: str) -> list[ZooConfig]:
    """Return the zoos of an experiment file, which share a SANE and are analysed."""
    loaded = load_configuration(DEPLOYMENTS / name, ())
    assert (loaded.together, loaded.experiments) == (True, ("analyse",))
    return [zoo for zoo in loaded.zoos if isinstance(zoo, ZooConfig)]


def test_figure_4_has_enough_resnets_and_vggs_to_correlate() -> None:
    zoos = trained_zoos("figure4.yaml")
    assert sum(zoo.members for zoo in zoos) >= FEWEST_NETWORKS
    assert {series_of(zoo.architecture) for zoo in zoos} == {"cifar-resnet", "vgg"}


def test_figure_7_differs_in_the_batch_alone() -> None:
    zoos = trained_zoos("figure7.yaml")
    assert [zoo.batch for zoo in zoos] == [8, 16, 32, 64, 128, 256]
    assert len({zoo.model_copy(update={"batch": 1, "name": "same"}) for zoo in zoos}) == 1


def config(**changed: Any) -> BenchmarkConfig:
    zoos = [{"name": "one", "members": 4}, {"name": "two", "members": 4}]
    settings = {"zoos": zoos, "experiments": ["analyse"], "preprocess": {"d_t": 8}}
    return BenchmarkConfig.model_validate({**settings, "together": True, **changed})


def artifact(kind: str) -> Artifact:
    return Artifact(uri=f"store/{kind}", digest=kind, kind=kind)


@dataclass
class Done:
    stage: str
    zoo: str
    artifact: Artifact


@dataclass
class Recorder:
    """A session that runs nothing."""

    records: list[Done] = field(default_factory=list)
    calls: list[tuple[str, str, Record, dict[str, Artifact]]] = field(default_factory=list)
    zoo: str = ""

    def for_zoo(self, name: str) -> "Recorder":
        self.zoo = name
        return self

    def report(self, drawn: Artifact) -> tuple[str, Artifact]:
        return self.zoo, drawn

    def __call__(self, stage: Stage, settings: Record, **inputs: Artifact) -> Artifact:
        self.calls.append((self.zoo, stage.name, settings, inputs))
        made = artifact(f"{self.zoo}.{stage.name}")
        self.records.append(Done(stage.name, self.zoo, made))
        return made


def test_a_zoo_is_analysed_from_its_weights_its_tokens_and_the_sane() -> None:
    run = Recorder(zoo="one")
    made = MadeZoo(artifact("zoo"), [0, 1], None, None)
    zoo = Compiled("one", made, (0, 1), artifact("tokens"), artifact("windows"))
    analyse_one(run, config(), zoo, artifact("model"))
    ((_, name, settings, inputs),) = run.calls
    assert name == "analysis"
    assert inputs.keys() == {"zoo", "tokens", "model"}
    assert settings.model_dump()["name"] == "one"


def test_other_poolings_analyse_no_zoo_again_and_other_chunks_do() -> None:
    run = Recorder(zoo="one")
    made = MadeZoo(artifact("zoo"), [0, 1], None, None)
    zoo = Compiled("one", made, (0, 1), artifact("tokens"), artifact("windows"))
    for embed in ({}, {"poolings": ["mean"], "tokens": True}, {"chunk": 7}):
        analyse_one(run, config(embed=embed), zoo, artifact("model"))
    plain, pooled, cut = (settings for _, _, settings, _ in run.calls)
    assert plain == pooled
    assert plain != cut


def test_zoos_of_one_sane_are_put_side_by_side_in_their_order() -> None:
    session = Recorder(records=[Done("analysis", n, artifact(n)) for n in ("two", "one")])
    ((zoo, drawn),) = analyse_all(session, config())  # type: ignore[arg-type]
    assert zoo == TOGETHER
    assert drawn.kind == "together.analysis_together"
    ((_, _, _, inputs),) = session.calls
    assert [inputs[f"zoo_{i}"].kind for i in range(2)] == ["one", "two"]


@pytest.mark.parametrize(
    "changed", [{"experiments": ["probe"]}, {"zoos": [{"name": "one", "members": 4}]}]
)
def test_without_analyses_or_with_one_zoo_there_is_nothing_to_put_together(
    changed: dict[str, Any],
) -> None:
    session = Recorder()
    assert analyse_all(session, config(**changed)) == []  # type: ignore[arg-type]
    assert not session.calls
