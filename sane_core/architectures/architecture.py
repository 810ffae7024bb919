"""A network's architecture by name: how to build it, and what its state dict must look like."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from math import prod

import torch
from torch import nn

from sane_core.architectures.options import (
    Option,
    choose,
    defaults_of,
    require_at_least,
    write_specification,
)

Shapes = Mapping[str, tuple[int, ...]]
"""State-dict entry -> shape."""


@dataclass(frozen=True)
class Architecture:
    """A network that can be built any number of times; equal where its name is equal.

    Attributes:
        name: Canonical specification.
        input_shape: Image shape (channels, height, width).
        build: Builds the plain module with PyTorch's own initialization.
    """

    name: str
    input_shape: tuple[int, int, int]
    build: Callable[[], nn.Module] = field(compare=False, repr=False)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return trained parameter -> shape, in state-dict order."""
        return dict(self._parameters)

    def buffers(self) -> dict[str, tuple[int, ...]]:
        """Return buffer -> shape, in state-dict order: running statistics and their counters."""
        return dict(self._buffers)

    def parameter_count(self) -> int:
        """Return the number of trained weights."""
        return sum(prod(shape) for shape in self._parameters.values())

    @cached_property
    def outline(self) -> nn.Module:
        """The module in eval mode, without memory for its weights (PyTorch's meta device)."""
        with torch.device("meta"):
            return self.build().eval()

    def check(self) -> None:
        """Send two images without content through the outline.

        Raises:
            ValueError: If the network cannot be built, or does not map images to logits.
        """
        wanted = f"architecture {self.name} must map images {self.input_shape} to logits"
        try:
            with torch.no_grad(), torch.device("meta"):
                logits = self.outline(torch.zeros(2, *self.input_shape))
        except Exception as error:  # whatever a builder or a user's own module raises
            raise ValueError(f"{wanted}, but on the meta device: {error}") from error
        if not isinstance(logits, torch.Tensor) or logits.dim() != 2 or len(logits) != 2:
            got = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
            raise ValueError(f"{wanted} [batch, classes], got {got} for a batch of 2")

    @cached_property
    def _parameters(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(p.shape) for name, p in self.outline.named_parameters()}

    @cached_property
    def _buffers(self) -> dict[str, tuple[int, ...]]:
        stored = self.outline.state_dict()
        return {
            name: tuple(buffer.shape)
            for name, buffer in self.outline.named_buffers()
            if name in stored
        }


@dataclass(frozen=True)
class Family:
    """Architectures that differ by options.

    Attributes:
        name: Registered name.
        build: Builds the module; its keyword parameters with defaults are the options. Every
            family has `channels`, `size` (pixels per side) and `classes`.
        landmarks: Entries of every member -> number of axes: what `infer` may rely on.
        infer: Reads the options off the shapes of the parameters, or returns None where the
            entries are another family's. What shapes cannot tell stays at its default.
    """

    name: str
    build: Callable[..., nn.Module]
    landmarks: Mapping[str, int]
    infer: Callable[[Shapes], dict[str, Option] | None]

    def defaults(self) -> dict[str, Option]:
        """Return option -> default."""
        return defaults_of(self.build)

    def member(self, options: Mapping[str, Option]) -> Architecture:
        """Return the architecture with these options.

        Raises:
            ValueError: If an option is unknown, has another type than its default, or is a count
                below 1.
        """
        defaults = self.defaults()
        chosen = choose(self.name, options, defaults)
        for key, value in chosen.items():
            if type(value) is int:
                require_at_least(f"{self.name}[{key}]", value, 1)
        size = int(chosen["size"])
        return Architecture(
            name=write_specification(self.name, chosen, defaults),
            input_shape=(int(chosen["channels"]), size, size),
            build=partial(self.build, **chosen),
        )

    def options_of(self, parameters: Shapes) -> dict[str, Option] | None:
        """Return the options that these shapes suggest, or None where a landmark is missing."""
        if any(len(parameters.get(name, ())) != axes for name, axes in self.landmarks.items()):
            return None
        return self.infer(parameters)
