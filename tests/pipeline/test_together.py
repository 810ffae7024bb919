"""One SANE for several zoos of several architectures."""

from pathlib import Path

from flows.algorithm import compile_zoo, train
from flows.experiments import experiment
from sane_core.pretraining.files import load
from schemas.config.benchmark import BenchmarkConfig
from schemas.records import Artifact, Record
from tasks.stage import Place, Stage

IMAGES = {"train": 200, "validation": 100, "test": 100}
ZOO = {"members": 8, "epochs": 1, "train_share": 0.5, "validation_share": 0.25, "images": IMAGES}


def two_architectures(config: BenchmarkConfig, **changes: object) -> BenchmarkConfig:
    """The small benchmark on digit CNNs and MLPs, one autoencoder for both."""
    said = config.model_dump(mode="json", exclude_unset=True)
    training = said["pretrain"] | {"weights": [1.0, 0.5]}
    zoos = [
        ZOO | {"name": "cnns"},
        ZOO | {"name": "mlps", "architecture": "mlp[size=8,hidden=16x16]"},
    ]
    said |= {"zoos": zoos, "together": True, "experiments": ["probe"], "pretrain": training}
    said |= {"preprocess": {"d_t": 73}, "probe": said["probe"] | {"targets": ["test_accuracy"]}}
    return BenchmarkConfig.model_validate(said | changes)


def test_one_autoencoder_is_trained_on_two_architectures_and_probed_on_each(
    reference, tmp_path: Path
) -> None:
    config = two_architectures(reference.config)

    def run(stage: Stage, settings: Record, **inputs: Artifact) -> Artifact:
        return stage(settings, at=Place(store=str(tmp_path), seed=0), **inputs)

    zoos = [compile_zoo(run, config, source) for source in config.zoos]
    model = train(run, config, zoos)
    assert load(Path(model.uri)).config.positions == "sinusoidal"
    reports = [experiment(run, config, zoo, model) for zoo in zoos]
    assert reports[0].digest != reports[1].digest


def test_positions_of_one_zoo_are_learned_and_what_is_said_stays(reference) -> None:
    config = two_architectures(reference.config)
    assert config.pretrain.autoencoder.positions == "sinusoidal"
    again = BenchmarkConfig.model_validate_json(config.model_dump_json())
    assert again == config
    assert reference.config.pretrain.autoencoder.positions == "learned"
    autoencoder = {"d_model": 16, "heads": 2, "positions": "learned"}
    said = two_architectures(reference.config, pretrain={"autoencoder": autoencoder})
    assert said.pretrain.autoencoder.positions == "learned"
