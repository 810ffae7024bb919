"""Read an experiment file and `--set` overrides into a `BenchmarkConfig`.

Whatever is wrong, the result is one `ConfigError`: a sentence that names the file or the key, what
must hold, what was given, and where to correct it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from flows.sentences import sentence_for, suggest
from schemas.config.benchmark import BenchmarkConfig
from schemas.config.presets import preset_named
from schemas.errors import ConfigError


@dataclass(frozen=True)
class Override:
    """One `--set key=value`: the path to the value, and the value as YAML reads it."""

    path: tuple[str, ...]
    value: object
    text: str


def load_configuration(file: Path, overrides: Iterable[str] = ()) -> BenchmarkConfig:
    """Return the configuration in `file`, with the `key=value` overrides laid over it.

    Args:
        file: A YAML file with (some of) the keys of `BenchmarkConfig`.
        overrides: Texts such as `pretrain.epochs=2` or `zoos.0.members=20`, applied in turn.

    Raises:
        ConfigError: The file cannot be read, or it or an override is not valid.
    """
    return configure(read_mapping(file), overrides, place=str(file))


def configure(
    values: Mapping[str, object], overrides: Iterable[str] = (), *, place: str
) -> BenchmarkConfig:
    """Return the configuration of `values`, with the `key=value` overrides laid over it.

    Args:
        values: Some of the keys of `BenchmarkConfig`.
        overrides: Texts such as `pretrain.epochs=2`, applied in turn.
        place: Where the user can correct the values.

    Raises:
        ConfigError: The values or an override are not valid.
    """
    parsed = [parse_override(text) for text in overrides]
    # A preset lies under what the file says, so it is read with the file.
    presets = [override for override in parsed if override.path == ("preset",)]
    parsed = [override for override in parsed if override.path != ("preset",)]
    for override in presets:
        values = _with_preset(values, override)
    written = _validate(values, place=place)
    if not parsed:
        return written
    changed = written.model_dump(mode="json")
    for override in parsed:
        _set(changed, override)
    return _validate(changed, place="; ".join(f"--set {override.text}" for override in parsed))


def read_mapping(file: Path) -> dict[str, object]:
    """Return the top-level mapping of a YAML file."""
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{file} does not exist; give the path of a YAML file, such as "
            "deployments/quickstart.yaml"
        ) from None
    except IsADirectoryError:
        raise ConfigError(f"{file} is a folder; give the path of a YAML file in it") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is not UTF-8 text; give the path of a YAML file") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not valid YAML ({_where(error)}); correct it there") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}; correct the path") from None
    if document is None:
        raise ConfigError(f"{file} is empty; write at least one key, such as name: quickstart")
    if not isinstance(document, dict):
        raise ConfigError(
            f"{file} must hold keys and values, such as name: quickstart, got a "
            f"{type(document).__name__}; see deployments/quickstart.yaml"
        )
    return document


def parse_override(text: str) -> Override:
    """Split `key=value` and read the value as YAML."""
    key, equals, value = text.partition("=")
    path = tuple(key.strip().split("."))
    if not equals or not all(path):
        raise ConfigError(f"--set must be key=value, such as pretrain.epochs=2, got {text!r}")
    try:
        return Override(path, yaml.safe_load(value), text)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"the value of --set {text} is not valid YAML ({_where(error)}); quote it"
        ) from None


def _with_preset(values: Mapping[str, object], override: Override) -> dict[str, object]:
    try:
        preset_named(override.value)
    except ValueError as error:
        raise ConfigError(f"{error}; correct it in --set {override.text}") from None
    return {**values, "preset": override.value}


def _validate(values: Mapping[str, object], place: str) -> BenchmarkConfig:
    """Return the configuration of `values`; `place` is where the user can correct them."""
    try:
        return BenchmarkConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{sentence_for(error)}; correct it in {place}") from None


def _set(values: dict[str, object], override: Override) -> None:
    """Put the override's value in its place; every step of its path must exist."""
    node: object = values
    *parents, last = override.path
    for depth, step in enumerate(parents):
        node = _entry(node, step, override.path[:depth])
    _entry(node, last, tuple(parents))
    if isinstance(node, list):
        node[int(last)] = override.value
    elif isinstance(node, dict):
        node[last] = override.value


def _entry(node: object, step: str, above: tuple[str, ...]) -> object:
    """Return what stands in `node` under `step`, a key of a mapping or an index of a list."""
    key = ".".join((*above, step))
    if isinstance(node, dict):
        if step in node:
            return node[step]
        raise ConfigError(f"unknown key {key} in --set{suggest(step, node, above)}")
    if isinstance(node, list):
        if step.isdecimal() and int(step) < len(node):
            return node[int(step)]
        raise ConfigError(
            f"unknown key {key} in --set; the index of {'.'.join(above)} must be a whole number "
            f"< {len(node)}"
        )
    raise ConfigError(f"unknown key {key} in --set; {'.'.join(above)} is a value without keys")


def _where(error: yaml.YAMLError) -> str:
    """Return the line and the problem in few words."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split())
