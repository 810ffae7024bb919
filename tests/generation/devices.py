"""A watch over everything that runs networks: each call must say where."""

import sys
from collections.abc import Callable
from importlib import import_module
from pkgutil import walk_packages

import pytest

import sane_core.api
import sane_core.generation
from sane_core.generation.batch_norm import condition
from sane_core.generation.generator import Generator
from sane_core.zoo.population.score import answers_of, score
from sane_core.zoo.population.train import train

HERE = "cpu:0"
"""The CPU, by a name that is nobody's default."""


def watch(monkeypatch: pytest.MonkeyPatch, device: str = HERE) -> list[str]:
    """Let generators be on a device; refuse to run networks anywhere else.

    Returns:
        Names of the functions that ran networks, as they are called.
    """
    for package in (sane_core.generation, sane_core.api):
        # What is imported later would take the watched functions along for good.
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    called: list[str] = []
    for function in (score, answers_of, condition, train):
        spy = _spy(function, device, called)
        for name, known in [*sys.modules.items()]:
            mine = name.startswith("sane_core.")
            if mine and getattr(known, function.__name__, None) is function:
                monkeypatch.setattr(known, function.__name__, spy)
    monkeypatch.setattr(Generator, "device", device)
    return called


def _spy(function: Callable, device: str, called: list[str]) -> Callable:
    def spy(*given: object, **named: object) -> object:
        got = named.get("device")
        assert got == device, f"{function.__name__} must run on {device}, got {got}"
        called.append(function.__name__)
        return function(*given, **named)

    return spy
