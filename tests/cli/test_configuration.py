"""What a user writes becomes a configuration, or one sentence that says why not."""

from pathlib import Path

import pytest

from flows.configuration import load_configuration
from schemas.config.benchmark import BenchmarkConfig
from schemas.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "experiment.yaml"
    path.write_text("name: small\nseed: 7\nzoos:\n  - members: 20\n    epochs: 30\n")
    return path


def refusal(file: Path, *overrides: str) -> str:
    """Return the message of the error that these inputs must raise."""
    with pytest.raises(ConfigError) as caught:
        load_configuration(file, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_keys_of_the_file_replace_the_defaults_and_leave_the_others(file: Path) -> None:
    config = load_configuration(file)
    assert (config.name, config.seed, config.zoos[0].members) == ("small", 7, 20)
    assert config.pretrain == BenchmarkConfig().pretrain


def test_without_overrides_and_with_one_that_changes_nothing_the_result_is_equal(
    file: Path,
) -> None:
    assert load_configuration(file) == load_configuration(file, ["seed=7"])


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("pretrain.epochs=3", ("pretrain", "epochs"), 3),
        ("zoos.0.members=40", ("zoos", 0, "members"), 40),
        ("generate.bandwidths=[0.1, 0.2]", ("generate", "bandwidths"), (0.1, 0.2)),
        ("pretrain.learning_rate=1e-4", ("pretrain", "learning_rate"), 1e-4),
        ("windows.reader=numpy", ("windows", "reader"), "numpy"),
        ("preprocess.align=false", ("preprocess", "align"), False),
        ("store=s3://bucket/a=b", ("store",), "s3://bucket/a=b"),
    ],
)
def test_an_override_sets_its_key(
    file: Path, override: str, path: tuple[str | int, ...], value: object
) -> None:
    node: object = load_configuration(file, [override])
    for step in path:
        node = node[step] if isinstance(step, int) else getattr(node, step)
    assert node == value


def test_overrides_reach_keys_that_the_file_leaves_to_their_defaults(tmp_path: Path) -> None:
    bare = tmp_path / "bare.yaml"
    bare.write_text("name: bare\n")
    assert load_configuration(bare, ["zoos.0.members=20"]).zoos[0].members == 20


def test_overrides_are_checked_together_not_one_by_one(file: Path) -> None:
    config = load_configuration(file, ["zoos.0.epochs=5", "generate.prompt_epoch=4"])
    assert config.generate.prompt_epoch == 4


def test_the_last_of_two_equal_overrides_holds(file: Path) -> None:
    assert load_configuration(file, ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "pretrain.epochs=0",
            "pretrain.epochs must be >= 1, got 0; correct it in --set pretrain.epochs=0",
        ),
        (
            "zoos.0.members=many",
            "zoos.0.members must be a whole number, got 'many'; "
            "correct it in --set zoos.0.members=many",
        ),
        (
            "windows.reader=torch",
            "windows.reader must be 'ffcv' or 'numpy', got 'torch'; "
            "correct it in --set windows.reader=torch",
        ),
        (
            "generate.bandwidths=3",
            "generate.bandwidths must be a list, got 3; correct it in --set generate.bandwidths=3",
        ),
        ("zoos=[]", "zoos must have length >= 1, got []; correct it in --set zoos=[]"),
        (
            "pretrain=",
            "pretrain must be a mapping of keys to values, got nothing; "
            "correct it in --set pretrain=",
        ),
        (
            "generate.keep=999",
            "generate.keep must be <= candidates (200), got 999; "
            "correct it in --set generate.keep=999",
        ),
        ("pretrain.epoch=2", "unknown key pretrain.epoch in --set (did you mean pretrain.epochs?)"),
        (
            "members=2",
            "unknown key members in --set (did you mean zoos.0.members?)",
        ),
        (
            "zoos.3.members=20",
            "unknown key zoos.3 in --set; the index of zoos must be a whole number < 1",
        ),
        ("seed.a=1", "unknown key seed.a in --set; seed is a value without keys"),
        ("seed", "--set must be key=value, such as pretrain.epochs=2, got 'seed'"),
        ("=3", "--set must be key=value, such as pretrain.epochs=2, got '=3'"),
    ],
)
def test_a_wrong_override_is_named_with_what_must_hold(
    file: Path, override: str, message: str
) -> None:
    assert refusal(file, override) == message


def test_an_override_that_is_not_yaml_is_named(file: Path) -> None:
    message = refusal(file, "name=[")
    assert message.startswith("the value of --set name=[ is not valid YAML (line 1:")


def test_a_key_that_is_near_none_lists_the_valid_ones(file: Path) -> None:
    assert refusal(file, "pretrain.xyz=1").startswith(
        "unknown key pretrain.xyz in --set (valid keys: autoencoder, epochs,"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "pretrain:\n  epocs: 4\n",
            "unknown key pretrain.epocs (did you mean pretrain.epochs?); correct it in {file}",
        ),
        (
            "zoos:\n  - {}\n  - member: 20\n",
            "unknown key zoos.1.member (did you mean zoos.1.members?); correct it in {file}",
        ),
        ("seed: -1\n", "seed must be >= 0, got -1; correct it in {file}"),
        ("1: 2\n", "keys must be text, got 1; correct it in {file}"),
        ("", "{file} is empty; write at least one key, such as name: quickstart"),
        ("# later\n", "{file} is empty; write at least one key, such as name: quickstart"),
        (
            "- a\n- b\n",
            "{file} must hold keys and values, such as name: quickstart, got a list; "
            "see deployments/quickstart.yaml",
        ),
        (
            "name: a: b\n",
            "{file} is not valid YAML (line 1: mapping values are not allowed here); "
            "correct it there",
        ),
    ],
)
def test_a_wrong_file_is_named_with_what_must_hold(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    assert refusal(file) == message.format(file=file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.yaml"
    assert refusal(missing) == (
        f"{missing} does not exist; give the path of a YAML file, such as "
        "deployments/quickstart.yaml"
    )


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path} is a folder; give the path of a YAML file in it"


def test_a_binary_file_is_no_configuration(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00\x80")
    assert refusal(file) == f"{file} is not UTF-8 text; give the path of a YAML file"


def test_yaml_that_would_build_objects_is_refused(file: Path) -> None:
    file.write_text("name: !!python/object/apply:os.getcwd []\n")
    assert "is not valid YAML (line 1: could not determine a constructor" in refusal(file)


def test_a_preset_lies_under_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("preset: cnn\npretrain: {autoencoder: {layers: 2}}\n")
    config = load_configuration(file, ["pretrain.epochs=3"])
    assert (config.windows.length, config.pretrain.autoencoder.d_model) == (32, 1024)
    assert (config.pretrain.autoencoder.layers, config.pretrain.epochs) == (2, 3)
    assert config.pretrain.batch == 32


def test_a_preset_can_be_chosen_for_a_file(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("windows: {views: 3}\n")
    config = load_configuration(file, ["preset=resnet18", "windows.length=128"])
    assert (config.windows.length, config.windows.views) == (128, 3)
    assert config.pretrain.autoencoder.d_model == 2048


def test_an_unknown_preset_is_named_where_it_was_chosen(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("preset: huge\n")
    known = "preset must be one of tiny, cnn, cnn-code, resnet18, global, got 'huge'"
    with pytest.raises(ConfigError) as wrong:
        load_configuration(file)
    assert str(wrong.value) == f"{known}; correct it in {file}"
    with pytest.raises(ConfigError) as wrong:
        load_configuration(file, ["preset=huge"])
    assert str(wrong.value) == f"{known}; correct it in --set preset=huge"


def test_one_latent_without_whole_networks_is_refused_before_anything_runs(file: Path) -> None:
    with pytest.raises(ConfigError, match="windows.whole must be true where"):
        load_configuration(file, ["pretrain.autoencoder.bottleneck=model"])


def test_latents_of_tokens_that_have_none_are_refused_before_anything_runs(file: Path) -> None:
    whole = ["pretrain.autoencoder.bottleneck=model", "windows.whole=true"]
    assert load_configuration(file, whole).windows.whole
    with pytest.raises(ConfigError, match="embed.tokens must be false where"):
        load_configuration(file, [*whole, "embed.tokens=true"])
