"""A user's own network: `package.module:factory[option=value,...]`.

The factory is called with the options of the specification, each typed by its default. What its
images are, the option `image=CxHxW` says, or the module's own attribute `input_shape`.
"""

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.options import Option, choose, defaults_of, write_specification

IMAGE = "image"
"""The option that is never the factory's own."""


def users_architecture(name: str, options: Mapping[str, str]) -> Architecture:
    """Return the architecture that a user's factory builds.

    Args:
        name: `package.module:factory`; a class of modules is a factory too.
        options: Parameter of the factory -> value, and perhaps `image`.

    Raises:
        ValueError: If the factory cannot be imported or called, an option is wrong, it is not
            said what the images are, or the network does not map them to logits.
    """
    factory = _imported(name)
    defaults = defaults_of(factory)
    own = {key: value for key, value in options.items() if key != IMAGE}
    chosen = choose(name, own, defaults)
    build = partial(factory, **chosen)
    image = options.get(IMAGE)
    said: dict[str, Option] = {IMAGE: image} if image else {}
    shape = _parsed(image) if image else _own_shape(name, build)
    architecture = Architecture(write_specification(name, chosen | said, defaults), shape, build)
    architecture.check()
    return architecture


def _imported(name: str) -> Callable[..., nn.Module]:
    """Import a factory whose parameters all have a default."""
    module_name, _, factory_name = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), factory_name)
        parameters = inspect.signature(factory).parameters.values()
    except Exception as error:  # importing runs a user's code, which may raise anything
        raise ValueError(
            f"architecture {name} must be an importable function, but {error}; "
            "is its folder on the Python path?"
        ) from error
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for parameter in parameters:
        if parameter.kind not in variadic and parameter.default is inspect.Parameter.empty:
            raise ValueError(
                f"every parameter of {name} must have a default, got none for {parameter.name!r}"
            )
    return factory


def _own_shape(name: str, build: Callable[[], nn.Module]) -> tuple[int, int, int]:
    """Return the image shape that a module gives itself."""
    try:
        with torch.device("meta"):
            shape: Any = getattr(build(), "input_shape", None)
    except Exception as error:  # building runs a user's code, which may raise anything
        raise ValueError(
            f"architecture {name} must build on the meta device, but {error}"
        ) from error
    match shape:
        case [int(channels), int(height), int(width)]:
            return channels, height, width
        case _:
            raise ValueError(
                f"architecture {name} must say what its images are: write "
                f"{name}[{IMAGE}=CxHxW], or give its module an attribute input_shape = "
                f"(channels, height, width), got {shape!r}"
            )


def _parsed(text: str) -> tuple[int, int, int]:
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([1-9]\d*)", text)
    if not match:
        raise ValueError(f"{IMAGE} must read CxHxW, such as 3x32x32, got {text!r}")
    return int(match[1]), int(match[2]), int(match[3])
