"""Read a study file, and make of it what the search works with; every error is one sentence."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from flows.configuration import configure, load_configuration, read_mapping
from flows.sentences import sentence_for
from flows.tune_space import Space
from schemas.config.benchmark import BenchmarkConfig
from schemas.config.tune import TuneConfig, redefines
from schemas.errors import ConfigError, UserError

if TYPE_CHECKING:
    from tasks.study import Study

_READ = ("seed", "together", "zoos", "preprocess", "windows", "pretrain")


@dataclass(frozen=True)
class Search:
    """A study, read and checked.

    Attributes:
        config: Its configuration.
        written: What is varied, as it was given.
        benchmark: The same without experiments, which no trial runs.
        space: The benchmarks that it is varied to.
    """

    config: TuneConfig
    written: BenchmarkConfig
    benchmark: BenchmarkConfig
    space: Space

    @property
    def out(self) -> Path:
        """Folder of the outcome."""
        return Path(self.config.out or f"runs/{self.config.study}")

    @property
    def prunes(self) -> bool:
        """Whether trials are stopped early: only where their epochs compare."""
        if self.config.pruner.kind == "none":
            return False
        # A probe's trials are compared by their reconstruction on the way.
        return not any(redefines(key, "validation_reconstruction") for key in self.config.space)

    def open_study(self) -> "Study":
        """Open the study's database, or make it.

        Raises:
            UserError: It cannot be opened, or holds a study of this name with another identity.
        """
        from tasks.study import Study

        config, store = self.config, self.benchmark.store
        if config.storage is None and "://" in store:
            raise UserError(
                f"storage must be given where the store is not a folder of this machine ({store}): "
                "a SQLAlchemy URL, such as sqlite:///tune.db"
            )
        folder = Path(".tune" if "://" in store else f"{store}/.tune").absolute()
        folder.mkdir(parents=True, exist_ok=True)
        pruner = config.pruner if self.prunes else config.pruner.model_copy(update={"kind": "none"})
        return Study(
            config.study,
            config.storage or f"sqlite:///{folder / config.study}.db",
            folder / f"{config.study}.lock",
            self._identity(),
            self.space.dimensions,
            maximize=config.target is not None,
            seed=config.seed,
            pruner=pruner,
            first=self.space.written,
        )

    def _identity(self) -> Mapping[str, object]:
        """Return what all values of a study depend on; defaults are left out, for more may come."""
        read = (*_READ, *(("embed", "probe") if self.config.target else ()))
        benchmark = self.benchmark.model_dump(mode="json", include={*read}, exclude_defaults=True)
        space = {key: values.model_dump(mode="json") for key, values in self.config.space.items()}
        return {"objective": self.config.objective, "space": space, "benchmark": benchmark}


def load_study(file: Path, trials: int | None = None) -> TuneConfig:
    """Return the configuration in a study file; a benchmark's path counts from the file's folder.

    Args:
        file: A YAML file with keys of `TuneConfig`.
        trials: In place of the file's.

    Raises:
        ConfigError: The file, or that of the benchmark, cannot be read or is not valid.
    """
    values = read_mapping(file)
    if unknown := [key for key in values if key not in TuneConfig.model_fields]:
        near = difflib.get_close_matches(unknown[0], TuneConfig.model_fields, n=1)
        meant = f"did you mean {near[0]}?" if near else ", ".join(TuneConfig.model_fields)
        raise ConfigError(f"unknown key {unknown[0]} ({meant}); correct it in {file}")
    benchmark = values.get("benchmark")
    if isinstance(benchmark, str):
        values["benchmark"] = load_configuration(file.parent / benchmark)
    elif isinstance(benchmark, Mapping):
        values["benchmark"] = configure(benchmark, place=f"benchmark of {file}")
    if trials is not None:
        values["trials"] = trials
    try:
        return TuneConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{_sentence(error)}; correct it in {file}") from None


def _sentence(error: ValidationError) -> str:
    """Return what is wrong; a key of the space has dots, which sentences on keys do not expect."""
    detail = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")[0]
    where, sentence = detail["loc"], sentence_for(error)
    if len(where) > 1 and where[0] == "space" and f"space.{where[1]}" not in sentence:
        return sentence.replace("space", f"space.{where[1]}", 1)
    return sentence


def read_search(config: TuneConfig) -> Search:
    """Return the search of a configuration.

    Raises:
        ConfigError: A key or value of the space is not valid, or the benchmark's file.
        UserError: The benchmark trains more than one autoencoder, or Optuna is not installed.
    """
    written = config.benchmark
    if isinstance(written, str):
        written = load_configuration(Path(written))
    if len(written.zoos) > 1 and not written.together:
        raise UserError(
            f"a study must vary one autoencoder, got {len(written.zoos)} zoos with one each; "
            "set together: true, or leave one zoo"
        )
    out = config.out or f"runs/{config.study}"
    # What no trial runs must not be refused for want of what it would need.
    benchmark = written.model_copy(update={"experiments": (), "out": out})
    space = Space(config, benchmark)
    from tasks.study import check_installed

    check_installed()
    return Search(config, written, benchmark, space)
