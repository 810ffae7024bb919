"""Drawing latents of ResNet-18s against copying them, and against normal numbers alone.

Samples are of 39,124 tokens of 128 latents, 20 MB each, around as many prompts. The limit of shared
noise is the copy: each sample reads a prompt and writes itself, once, into new memory. Where every
token has its own noise, the limit is the slower of the copy and of drawing as many normal numbers
into a piece of memory that stays in the cache, by the generator that is used; NumPy's are beside
it. The plain way is one line of NumPy with temporary arrays, in float64 as NumPy does by default.

Limits and draws are measured in turns, on one thread and on all of them, and all are their best
repeat: other processes only ever add to them. Beside the seconds on the wall stand those that the
processor worked, summed over threads, which other processes add less to. The quick form draws 10
samples instead of 50, and times are scaled up.

Fitting a flow is for 140 networks of a CNN's size (48 tokens of 64 latents), with the defaults.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from shared.rows import Row, benchmark

from sane_core.generation.distributions.flow import fit_flow
from sane_core.generation.distributions.latents import PromptLatents
from sane_core.generation.distributions.noise import PIECE
from sane_core.generation.distributions.registry import DISTRIBUTIONS
from sane_core.seeding import rng_for
from schemas.config.flow import FlowConfig

MODELS, TOKENS, D_Z = 50, 39_124, 128
GIGABYTES = MODELS * TOKENS * D_Z * 4 / 1e9
SPREAD = 0.2
INDEPENDENT = ("model", "token", "gauss")


def measure(quick: bool) -> list[Row]:
    rows, every = [], torch.get_num_threads()
    models = 10 if quick else MODELS
    prompts = _prompts(models)
    for threads in sorted({1, every}):
        torch.set_num_threads(threads)
        found = _draws(prompts, models, threads, 2 if quick else 3)
        rows += [*found, *_normals(threads, 3 if quick else 10)]
    rows += _plain(prompts, min(models, 5), rows, every)
    rows += _small(quick)
    return rows


def _prompts(models: int) -> PromptLatents:
    latents = np.empty((models, TOKENS, D_Z), np.float32)
    for i in range(models):
        rng_for(0, "prompt", i).standard_normal(out=latents[i], dtype=np.float32)
    return PromptLatents(latents, np.zeros(D_Z), np.ones(D_Z), np.linspace(0, 1, models))


def _draws(prompts: PromptLatents, models: int, threads: int, repeats: int) -> list[Row]:
    works: dict[str, Callable[[], object]] = {"copy": lambda: _copy(prompts, threads)}
    others = ("token", "gauss", "pca_gaussian") if threads > 1 else ()
    for name in ("shared_noise", "model", *others):
        works[name] = _drawing(name, prompts, models)
    seconds = _best(works, repeats, MODELS / models)
    copy = GIGABYTES / seconds.pop("copy")[0]
    normals = max(_rate(_torch_normals, threads) for _ in range(repeats)) * 4 / 1e9
    rows = [Row(f"copy.{threads}-threads", copy, "GB/s")]
    for name, (taken, worked) in seconds.items():
        limit = min(copy, normals) if name in INDEPENDENT else copy
        rows.append(
            Row(f"{name}.{threads}-threads", GIGABYTES / taken, "GB/s",
                f"1 second for {MODELS} models; {taken:.2f} s, processor {worked:.2f} s",
                1 / taken,
                limit if name != "pca_gaussian" else None)
        )  # fmt: skip
    return rows


def _drawing(name: str, prompts: PromptLatents, models: int) -> Callable[[], object]:
    return lambda: DISTRIBUTIONS[name](prompts, models, SPREAD, rng_for(0, name))


def _copy(prompts: PromptLatents, threads: int) -> None:
    out = np.empty_like(prompts.latents)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(np.copyto, out, prompts.latents))


def _best(
    works: dict[str, Callable[[], object]], repeats: int, scale: float = 1
) -> dict[str, tuple[float, float]]:
    """Return the seconds of the best repeat of each, on the wall and of the processor, in turns."""
    best = dict.fromkeys(works, (float("inf"), float("inf")))
    for _ in range(repeats):
        for name, work in works.items():
            begun = time.perf_counter(), time.process_time()
            work()
            ended = time.perf_counter(), time.process_time()
            taken = [(end - begin) * scale for begin, end in zip(begun, ended, strict=True)]
            best[name] = min(best[name][0], taken[0]), min(best[name][1], taken[1])
    return best


def _normals(threads: int, repeats: int) -> list[Row]:
    """Return the rates of drawing normal numbers alone."""
    sources = {
        "torch": _torch_normals,
        "numpy-sfc64": lambda count: _numpy_normals(np.random.SFC64(0), count),
        "numpy-philox": lambda count: _numpy_normals(np.random.Philox(0), count),
    }
    rates = {
        name: max(_rate(source, threads) for _ in range(repeats))
        for name, source in sources.items()
    }
    return [
        Row(f"normals.{name}.{threads}-threads", rate / 1e6, "M/s", "numpy-sfc64",
            rate / rates["numpy-sfc64"])
        for name, rate in rates.items()
    ]  # fmt: skip


def _torch_normals(pieces: int) -> None:
    stream, piece = torch.Generator().manual_seed(0), torch.empty(PIECE)
    for _ in range(pieces):
        piece.normal_(generator=stream)


def _numpy_normals(source: np.random.BitGenerator, pieces: int) -> None:
    stream, piece = np.random.Generator(source), np.empty(PIECE, np.float32)
    for _ in range(pieces):
        stream.standard_normal(out=piece, dtype=np.float32)


def _rate(work: Callable[[int], None], threads: int, pieces: int = 300) -> float:
    """Return normal numbers per second on so many threads."""
    with ThreadPoolExecutor(threads) as pool:
        begun = time.perf_counter()
        list(pool.map(work, [pieces] * threads))
        return threads * pieces * PIECE / (time.perf_counter() - begun)


def _plain(prompts: PromptLatents, models: int, rows: list[Row], threads: int) -> list[Row]:
    """Return the seconds that the plain ways take for all models, and how many times ours."""

    def shared() -> None:
        _one_line(prompts, models, (models, 1, D_Z))

    def independent() -> None:
        _one_line(prompts, models, (models, TOKENS, D_Z))

    best = _best({"shared_noise": shared, "model": independent}, 2, MODELS / models)
    ours = {row.name: GIGABYTES / row.value for row in rows}
    against = f"as long as ours on {threads} threads"
    return [
        Row(f"plain.{name}", taken, "s", against, taken / ours[f"{name}.{threads}-threads"])
        for name, (taken, _) in best.items()
    ]


def _one_line(prompts: PromptLatents, models: int, noise: tuple[int, ...]) -> np.ndarray:
    rng = rng_for(0, "plain")
    index = rng.integers(models, size=models)
    return (
        prompts.latents[index] + SPREAD * prompts.scale * rng.standard_normal(noise)
    ).astype(np.float32)  # fmt: skip


def _small(quick: bool) -> list[Row]:
    latents = rng_for(0, "small").standard_normal((140, 48, 64), np.float32)
    config = FlowConfig(steps=100) if quick else FlowConfig()
    begun = time.perf_counter()
    flow = fit_flow(latents, config, 0)
    fitted = (time.perf_counter() - begun) * FlowConfig().steps / config.steps
    prompts = PromptLatents(latents, np.zeros(64), np.ones(64), np.linspace(0, 1, 140), flow)
    works: dict[str, Callable[[], object]] = {
        name: (lambda draw=draw: draw(prompts, 200, SPREAD, rng_for(0, "small")))  # type: ignore[misc]
        for name, draw in DISTRIBUTIONS.items()
        if name != "by_dimension"
    }
    seconds = _best(works, 2 if quick else 5)
    return [
        Row("small.flow.fit", fitted, "s"),
        *(
            Row(f"small.{name}.200-models", taken * 1e3, "ms")
            for name, (taken, _) in seconds.items()
        ),
    ]


if __name__ == "__main__":
    benchmark(__doc__, measure)
