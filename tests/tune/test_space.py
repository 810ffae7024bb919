"""A study file is refused in one sentence before anything runs."""

import sys
from pathlib import Path

import pytest
import yaml
from typer import Typer
from typer.testing import CliRunner

from flows.tune_cli import tune
from flows.tune_configuration import load_study, read_search
from schemas.config.tune import LOSSES, TuneConfig
from schemas.errors import ConfigError, UserError

ROOT = Path(__file__).resolve().parents[2]
RATE = "pretrain.learning_rate"


def study(**values: object) -> dict[str, object]:
    space = {RATE: {"low": "1e-4", "high": 0.01, "log": True}}
    return {"study": "small", "benchmark": {"name": "small"}, "space": space} | values


@pytest.fixture
def file(tmp_path: Path):
    """Write a study file."""

    def write(**values: object) -> Path:
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(study(**values)))
        return path

    return write


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"space": {}}, "space must have length >= 1, got {}"),
        ({"space": {RATE: {"low": 2, "high": 1}}}, "low must be <= high (1), got 2"),
        ({"space": {RATE: {"low": 0, "high": 1, "log": True}}}, "low must be > 0 where log is"),
        ({"space": {RATE: {"choices": []}}}, "choices must have length >= 1, got []"),
        ({"space": {RATE: {"choices": [0.1, 0.1]}}}, "must differ from each other"),
        ({"space": {RATE: {"choices": [[1]]}}}, "must hold numbers, texts, true, false or null"),
        ({"space": {RATE: {"low": 0.1}}}, f"space.{RATE}.high must be given"),
        ({"space": {RATE: {"min": 0.1, "high": 1}}}, f"unknown key space.{RATE}.min"),
        ({"trails": 3}, "unknown key trails (did you mean trials?)"),
        ({"trials": 0}, "trials must be >= 1, got 0"),
        ({"objective": "loss"}, "objective must match the pattern"),
        ({"benchmark": {"pretrain": {"epochs": 0}}}, "pretrain.epochs must be >= 1, got 0"),
        ({"benchmark": "nowhere.yaml"}, "nowhere.yaml does not exist"),
        (
            {"space": {"pretrain.gamma": {"low": 0, "high": 1}}, "objective": "validation_loss"},
            "objective must not be validation_loss where pretrain.gamma is searched",
        ),
        (
            {"space": {"preprocess.alignment": {"choices": [True, False]}}},
            "must not be validation_reconstruction where preprocess.alignment is searched, which "
            "changes what that measures; choose probe.<target>",
        ),
    ],
)
def test_a_study_file_that_is_wrong_is_refused(file, change, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_study(file(**change))
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        (
            {"pretrain.learning_rat": {"low": 0.1, "high": 1}},
            "unknown key pretrain.learning_rat in space (did you mean pretrain.learning_rate?)",
        ),
        ({RATE: {"low": -1, "high": 1}}, "pretrain.learning_rate must be > 0"),
        (
            {"pretrain.epochs": {"low": 1.5, "high": 3}},
            "epochs must be a whole number, got 1.5",
        ),
        ({"pretrain.patience": {"low": 1.5, "high": 3}}, "whole number, got 1.5"),
        ({"pretrain.target": {"choices": ["clean", "dirty"]}}, "must be 'clean' or 'noised'"),
        ({"pretrain.target": {"low": 0, "high": 1}}, "pretrain.target must"),
        ({"pretrain": {"choices": [1]}}, "pretrain must be"),
        ({"generate.keep": {"low": 1, "high": 3}}, "depends on, one of seed, zoos, together"),
        ({"embed.halo": {"low": 1, "high": 3}}, "must be a key that validation_reconstruction"),
        (
            {
                "pretrain.autoencoder.d_model": {"choices": [96, 128]},
                "pretrain.autoencoder.heads": {"choices": [4, 5]},
            },
            "d_model must be even and a multiple of heads (5), got 96",
        ),
    ],
)
def test_keys_and_values_that_no_benchmark_takes_are_refused(space, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_search(TuneConfig.model_validate(study(space=space)))
    assert sentence in str(refused.value)
    assert "--set" not in str(refused.value)


def test_values_that_only_fit_together_are_accepted() -> None:
    space = {
        "pretrain.autoencoder.d_model": {"choices": [96, 192]},
        "pretrain.autoencoder.heads": {"choices": [3, 6]},
    }
    assert read_search(TuneConfig.model_validate(study(space=space))).space.written is None


def test_a_probe_may_be_searched_over_what_it_embeds() -> None:
    config = study(space={"embed.halo": {"low": 1, "high": 3}}, objective="probe.epoch")
    assert read_search(TuneConfig.model_validate(config)).space.earlier == []


@pytest.mark.parametrize(
    ("key", "values", "kind"),
    [
        ("pretrain.epochs", {"low": 1, "high": 3}, "Integers"),
        ("pretrain.gamma", {"low": 0, "high": 1}, "Floats"),
        ("pretrain.clip", {"low": 1, "high": 2}, "Floats"),
        ("pretrain.patience", {"low": 1, "high": 2}, "Integers"),
        ("pretrain.clip", {"choices": [None, 1.0]}, "Choices"),
    ],
)
def test_numbers_are_whole_where_the_key_takes_only_those(key, values, kind: str) -> None:
    search = read_search(TuneConfig.model_validate(study(space={key: values})))
    assert type(search.space.dimensions[key]).__name__ == kind


def test_keys_of_earlier_stages_are_known_and_end_pruning_where_data_differ() -> None:
    def search(key: str, values: list[object]) -> object:
        space = {key: {"choices": values}}
        return read_search(TuneConfig.model_validate(study(space=space, objective="probe.epoch")))

    windows = search("windows.length", [16, 32])
    assert (windows.space.earlier, windows.prunes) == (["windows.length"], True)
    seeds = search("seed", [1, 2])
    assert (seeds.space.earlier, seeds.prunes) == (["seed"], False)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("windows.last_epoch", [5, 25]),
        ("windows.starts", ["stratified", "uniform"]),
        ("pretrain.first_view", ["aligned", "permuted"]),
    ],
)
def test_what_is_validated_on_is_no_key_of_a_loss_and_ends_pruning(key, values) -> None:
    space = {key: {"choices": values}}
    for objective in LOSSES:
        with pytest.raises(ValueError, match=f"{objective} where {key} .* choose probe.<target>"):
            TuneConfig.model_validate(study(space=space, objective=objective))
    search = read_search(TuneConfig.model_validate(study(space=space, objective="probe.epoch")))
    assert not search.prunes


def test_the_length_of_windows_compares_by_reconstruction_and_not_by_contrast() -> None:
    space = {"windows.length": {"choices": [16, 32]}}
    TuneConfig.model_validate(study(space=space, objective="validation_reconstruction"))
    with pytest.raises(ValueError, match="where windows.length .* choose validation_reconstr"):
        TuneConfig.model_validate(study(space=space, objective="validation_loss"))


def test_several_zoos_need_one_autoencoder() -> None:
    zoos = {"zoos": [{"name": "a"}, {"name": "b"}]}
    with pytest.raises(UserError, match="must vary one autoencoder, got 2 zoos.*together: true"):
        read_search(TuneConfig.model_validate(study(benchmark=zoos)))


def test_a_remote_store_needs_a_storage_of_its_own() -> None:
    remote = study(benchmark={"store": "s3://bucket/sane"})
    with pytest.raises(UserError, match="storage must be given where the store is not a folder"):
        read_search(TuneConfig.model_validate(remote)).open_study()


def test_a_storage_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    benchmark = {"store": str(tmp_path / "store")}
    config = study(benchmark=benchmark, storage=f"sqlite:///{tmp_path}/none/tune.db")
    with pytest.raises(UserError, match="tune.db cannot be opened .*correct `storage`"):
        read_search(TuneConfig.model_validate(config)).open_study()


def test_without_optuna_the_search_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"needs optuna.*constraints.txt '\.\[tune\]'"):
        read_search(TuneConfig.model_validate(study()))


def test_the_command_line_refuses_in_one_sentence_and_leaves_nothing(file, tmp_path: Path) -> None:
    app = Typer()
    app.command()(tune)
    path = file(space={"pretrain.epochs": {"low": 0, "high": 2}})
    done = CliRunner().invoke(app, [str(path), "--trials", "3"])
    assert isinstance(done.exception, ConfigError)
    assert "pretrain.epochs must be >= 1, got 0" in str(done.exception)
    assert [*tmp_path.iterdir()] == [path]


def test_the_example_is_valid_and_the_same_as_a_deployment() -> None:
    example = load_study(ROOT / "deployments" / "tune.yaml")
    content = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())
    (deployed,) = (d for d in content["deployments"] if d["entrypoint"] == "flows.tune.tune")
    assert TuneConfig.model_validate(deployed["parameters"]["config"]) == example
    assert read_search(example).space.earlier == []
