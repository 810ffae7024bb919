"""`sane sample`: checkpoint files to new networks, selected on images (Algorithm 3)."""

from collections.abc import Sequence
from enum import StrEnum
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.loading import explained, load_sane
from flows.sample_table import show

if TYPE_CHECKING:
    from sane_core.api.task import Task
    from schemas.config.refine import RefineConfig


class Method(StrEnum):
    """What latents are drawn from."""

    SUB = "sub"
    BOOT = "boot"
    GAUSS = "gauss"
    KDE30 = "kde30"


class Coupling(StrEnum):
    """What the tokens of a sample share."""

    SHARED_NOISE = "shared_noise"
    MODEL = "model"
    TOKEN = "token"


class RefineTarget(StrEnum):
    """What refined networks should answer."""

    LABELS = "labels"
    PROMPTS = "prompts"
    ENSEMBLE = "ensemble"


class Normalize(StrEnum):
    """How pixels are scaled."""

    NONE = "none"
    DATASET = "dataset"


def sample(
    out: Annotated[Path, typer.Option(help="Folder to write; empty, or not there yet.")],
    more: Annotated[
        list[str] | None, typer.Argument(help="More prompts: what --prompts *.pt expands to.")
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option(help="Checkpoints to draw around: a file or a pattern. Repeatable."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="What networks are to do: a dataset's name, npz:PATH or folder:PATH."),
    ] = None,
    model: Annotated[
        str, typer.Option("--sane", "--model", help="Name of a SANE that ships, or a folder.")
    ] = "mnist-cnn",
    n: Annotated[int, typer.Option("-n", help="Networks to keep.")] = 10,
    candidates: Annotated[int, typer.Option(help="Networks to draw, in each round.")] = 200,
    method: Annotated[
        Method,
        typer.Option(help="Once around prompts, in rounds, without prompts, or the best third."),
    ] = Method.SUB,
    coupling: Annotated[
        Coupling, typer.Option(help="What a sample's tokens share: prompt and noise, prompt, none.")
    ] = Coupling.SHARED_NOISE,
    bandwidth: Annotated[
        str | None,
        typer.Option(
            help="In standard deviations of the training latents; scott; validation. 0.05, or 0.3 "
            "of a sharpened decoder, if not given."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Rounds of boot and gauss.")] = 3,
    refine: Annotated[
        int, typer.Option(min=0, help="Gradient steps on drawn latents, on train images.")
    ] = 0,
    refine_target: Annotated[
        RefineTarget,
        typer.Option(
            help="What they lead to: the images' labels, or what the prompt or all prompts answer."
        ),
    ] = RefineTarget.ENSEMBLE,
    refine_rate: Annotated[
        float, typer.Option(help="How far a step leads, in std of the training latents.")
    ] = 0.05,
    seed: Annotated[int, typer.Option(min=0, help="Of every draw.")] = 0,
    architecture: Annotated[
        str | None, typer.Option(help="Registered name or package.module:factory; else by shapes.")
    ] = None,
    zoo: Annotated[
        str | None, typer.Option(help="Whose statistics they take, if they fit several zoos.")
    ] = None,
    validation: Annotated[
        int, typer.Option(min=1, help="Validation images to select on, at most.")
    ] = 2000,
    size: Annotated[int | None, typer.Option(help="Height and width of images.")] = None,
    grey: Annotated[bool, typer.Option("--grey", help="Bring images to one channel.")] = False,
    normalize: Annotated[
        Normalize | None,
        typer.Option(help="Of images, as in training; a recipe of these networks says it."),
    ] = None,
    data_folder: Annotated[Path, typer.Option(help="Folder of the datasets' files.")] = Path(
        "data"
    ),
    device: Annotated[
        str, typer.Option(help="Where autoencoder and networks run: cpu, cuda, cuda:1.")
    ] = "cpu",
) -> None:
    """Sample new networks around prompts, and select them on images."""
    from sane_core.api.sampled import check_empty

    with explained("nothing can be sampled"):
        check_empty(out)
        files = _expanded([*(prompts or ()), *(more or ())])
    sane = load_sane(model, device)
    images = {"size": size, "grey": grey or None, "normalize": normalize}
    with explained("nothing can be sampled"):
        task = None
        if data is not None:
            named = architecture or _only_architecture(sane.description.zoos)
            task = _task(data, images, named, data_folder, sane.description.seed, validation)
        found = sane.sample(
            architecture,
            files,
            n,
            task,
            candidates=candidates,
            method=method.value,
            coupling=coupling.value,
            bandwidth=_number(bandwidth),
            rounds=rounds,
            refine=_refinement(refine, refine_target, refine_rate),
            seed=seed,
            zoo=zoo,
            baselines=task is not None and bool(files),
        )
        paths = found.save(out)
    show(found)
    typer.echo(f"Samples: {paths[0]} … {paths[-1].name}, {out / 'samples.json'}")


def _expanded(patterns: Sequence[str]) -> list[Path]:
    """Return files, those that a pattern means by name."""
    files: list[Path] = []
    for pattern in patterns:
        found = sorted(glob(pattern, recursive=True)) if has_magic(pattern) else [pattern]
        if not found:
            raise ValueError(f"--prompts must name files, got {pattern}, which fits none")
        files += map(Path, found)
    return files


def _refinement(steps: int, target: RefineTarget, rate: float) -> "RefineConfig | None":
    from pydantic import ValidationError

    from sane_core.api.sample import sentence_of
    from schemas.config.refine import RefineConfig

    try:
        refine = RefineConfig(steps=steps, target=target.value, learning_rate=rate)
    except ValidationError as error:
        raise ValueError(f"--refine: {sentence_of(error)}") from None
    return refine if steps else None


def _number(bandwidth: str | None) -> Any:
    if bandwidth in (None, "scott", "validation"):
        return bandwidth
    try:
        return float(bandwidth)
    except ValueError:
        raise ValueError(
            f"bandwidth must be a number, scott or validation, got {bandwidth}"
        ) from None


def _only_architecture(zoos: Sequence[Any]) -> str | None:
    names = {zoo.architecture for zoo in zoos}
    return names.pop() if len(names) == 1 else None


def _task(
    data: str,
    changes: dict[str, Any],
    architecture: str | None,
    folder: Path,
    seed: int,
    validation: int,
) -> "Task":
    """Read the images as a recipe of these networks has them, changed by what is said."""
    from dataclasses import replace

    from pydantic import ValidationError

    from sane_core.api.sample import sentence_of
    from sane_core.api.task import task_of
    from schemas.config.images import ImagesConfig
    from schemas.config.recipes import recipe_on

    kind, _, path = data.partition(":")
    if path and Path(path).exists():
        data = f"{kind}:{Path(path).resolve()}"  # else it counts from the data folder
    recipe = recipe_on(architecture, data) if architecture else None
    config = recipe.images.model_dump() if recipe else {"dataset": data}
    config |= {name: value for name, value in changes.items() if value is not None}
    try:
        images = ImagesConfig.model_validate(config)
    except ValidationError as error:
        raise ValueError(sentence_of(error)) from None
    task = task_of(images, folder, seed)
    return replace(task, validation=task.validation.take(slice(validation)))
