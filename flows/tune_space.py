"""The space of a search: benchmarks that differ in some keys, all of them checked beforehand."""

import itertools
import json
import math
from collections.abc import Iterator
from functools import cached_property

from flows.configuration import configure
from schemas.config.benchmark import BenchmarkConfig
from schemas.config.tune import RangeConfig, TuneConfig, Values
from schemas.errors import ConfigError
from tasks.study_space import Choices, Dimension, Floats, Integers, Params

EARLIER = ("seed", "zoos", "together", "preprocess", "windows")
"""Sections that stages before pretraining read."""

_CORNERS = 256


class Space:
    """What a study searches: keys of a benchmark, and the values that they may take."""

    def __init__(self, config: TuneConfig, benchmark: BenchmarkConfig) -> None:
        """Check everything that can be checked before a trial runs.

        Raises:
            ConfigError: A key is unknown or measured by nothing, or a value is not valid.
        """
        self._benchmark = benchmark
        self._values = config.space
        self._written = benchmark.model_dump(mode="json")
        # Walks every path, so that from here on each key is one of the benchmark.
        self.configuration({key: _extremes(values)[0] for key, values in config.space.items()})
        for key in config.space:
            self._check_key(key, config)
        for corner in self._corners():
            self.configuration(corner)

    def configuration(self, params: Params) -> BenchmarkConfig:
        """Return the benchmark with these values.

        Raises:
            ConfigError: They are not valid.
        """
        overrides = [f"{key}={json.dumps(value)}" for key, value in params.items()]
        try:
            return configure(self._written, overrides, place="benchmark")
        except ConfigError as error:
            # The sentence is that of the command line's overrides, which these are to it.
            raise ConfigError(str(error).replace("--set", "space")) from None

    @cached_property
    def dimensions(self) -> dict[str, Dimension]:
        """The kind of every key's values."""
        return {key: self._dimension(key, values) for key, values in self._values.items()}

    @property
    def earlier(self) -> list[str]:
        """Keys with whose every value stages before pretraining are run again."""
        return [key for key in self._values if key.split(".")[0] in EARLIER]

    @property
    def written(self) -> Params | None:
        """The benchmark's own values, if the space holds them."""
        params = {key: self._value(key) for key in self._values}
        inside = all(self.dimensions[key].holds(value) for key, value in params.items())
        return params if inside else None

    def _check_key(self, key: str, config: TuneConfig) -> None:
        read = (*EARLIER, "pretrain", *(["embed"] if config.target else []))
        if key.split(".")[0] not in read:
            raise ConfigError(
                f"space.{key} must be a key that {config.objective} depends on, one of "
                f"{', '.join(read)}; leave it out"
            )
        if isinstance(self._value(key), dict | list):
            raise ConfigError(
                f"space.{key} must be a single value, got a section or list; go on "
                "to a key below it"
            )

    def _dimension(self, key: str, values: Values) -> Dimension:
        if not isinstance(values, RangeConfig):
            return Choices(values.choices)
        if not self._is_whole(key, values):
            return Floats(values.low, values.high, values.log)
        for name, bound in (("low", values.low), ("high", values.high)):
            if not bound.is_integer():
                raise ConfigError(f"space.{key}.{name} must be a whole number, got {bound:g}")
        return Integers(int(values.low), int(values.high), values.log)

    def _is_whole(self, key: str, values: RangeConfig) -> bool:
        """Return whether a key takes whole numbers only: by its value, or by trying another."""
        written = self._value(key)
        if isinstance(written, bool | str):
            raise ConfigError(f"space.{key} must have choices, for its value is no number")
        if written is not None:
            return isinstance(written, int)
        between = (values.low + values.high) / 2
        between = between + 0.5 if between.is_integer() else between
        try:
            configure(self._written, [f"{key}={between}"], place="benchmark")
        except ConfigError:
            return True
        return False

    def _value(self, key: str) -> object:
        node: object = self._written
        for step in key.split("."):
            node = node[int(step)] if isinstance(node, list) else node[step]  # type: ignore[index]
        return node

    def _corners(self) -> Iterator[dict[str, object]]:
        """Give the ends of all ranges and all choices: combined, where they are not too many."""
        ends = {key: self.dimensions[key].ends for key in self._values}
        if math.prod(len(values) for values in ends.values()) <= _CORNERS:
            for combination in itertools.product(*ends.values()):
                yield dict(zip(ends, combination, strict=True))
            return
        first = {key: values[0] for key, values in ends.items()}
        for key, values in ends.items():
            for value in values:
                yield {**first, key: value}


def _extremes(values: Values) -> tuple[object, ...]:
    if not isinstance(values, RangeConfig):
        return values.choices
    ends = (values.low, values.high)
    return tuple(int(end) if end.is_integer() else end for end in ends)
