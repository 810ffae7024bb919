"""Train many networks at once, each way there is, against a loop over them at its best threads.

Everyone takes the same steps: batches gathered by index, forward, backward, optimizer. The physical
limit is how fast this machine multiplies float32 matrices, over the multiplications a step needs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from shared.rows import Row, alternate, benchmark, median
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.registry import architecture_named
from sane_core.images.images import Images
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import members_of
from sane_core.zoo.population.score import score
from sane_core.zoo.population.train import Training
from sane_core.zoo.population.ways import supported_ways
from schemas.config.training import TrainingConfig

SIDE = 1024
"""Rows and columns of the matrices whose product gives the limit."""
LOOPED = 4
"""Members the loop trains in one repeat; each costs the same, so more would only take longer."""


@dataclass(frozen=True)
class Case:
    """What is trained: `members` at once, `steps` steps of `batch` images in one repeat."""

    architecture: str
    batch: int
    members: int
    steps: int

    @property
    def name(self) -> str:
        family = self.architecture.split("[")[0]
        return f"{family}.batch{self.batch}.members{self.members}"


CPU = (
    Case("digits-cnn", 10, 64, 15),
    Case("digits-cnn", 64, 64, 10),
    Case("cnn", 10, 64, 6),
    Case("cnn", 64, 64, 3),
    Case("cnn3", 10, 64, 3),
    Case("resnet18[size=16,width=8]", 32, 8, 2),
    Case("resnet18[size=16,width=8]", 128, 8, 1),
)
CUDA = (
    Case("digits-cnn", 10, 2048, 20),
    Case("cnn", 10, 1024, 20),
    Case("cnn3", 10, 512, 20),
    Case("resnet18[size=16,width=8]", 128, 64, 5),
    Case("resnet18", 128, 8, 3),
)


def measure(quick: bool) -> list[Row]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    repeats = 3 if quick else 11
    rate = _matrix_rate(device, repeats)
    rows = [Row("matrix.float32", rate / 1e9, "GFLOP/s")]
    for case in CUDA if device == "cuda" else CPU:
        rows += _training(case, device, repeats, rate)
    return rows + _scoring(device, repeats)


def _training(case: Case, device: str, repeats: int, rate: float) -> list[Row]:
    architecture = architecture_named(case.architecture)
    images = _images(architecture, case.batch * case.steps)
    counts = range(1, torch.get_num_threads() + 1) if device == "cpu" else (1,)
    variants: dict[str, Callable[[], object]] = {
        way: _at_once(architecture, case, images, way, device)
        for way in supported_ways(architecture)
    }
    looping = partial(_loop, architecture, images, case.batch, device)
    variants |= {f"plain {n}": _on_threads(n, looping) for n in counts}
    seconds = {name: median(many) for name, many in alternate(variants, repeats).items()}
    best = min(counts, key=lambda n: seconds[f"plain {n}"])
    plain = LOOPED * case.steps / seconds[f"plain {best}"]
    limit = rate / _operations(architecture, case.batch)
    where = f"{best} of {len(counts)} threads (its best)" if device == "cpu" else "on the GPU"
    unit = "member-steps/s"
    rows = [Row(f"{case.name}.plain-loop", plain, unit, limit=limit)]
    for way in supported_ways(architecture):
        reached = case.members * case.steps / seconds[way]
        compared = f"a plain loop, {where}"
        rows.append(Row(f"{case.name}.{way}", reached, unit, compared, reached / plain, limit))
    return rows


def _at_once(
    architecture: Architecture, case: Case, images: Images, way: str, device: str
) -> Callable[[], None]:
    config = TrainingConfig(batch=case.batch, epochs=10**6)
    members = members_of(config, range(case.members), 0)
    start = initialize(architecture, members, 0)
    training = Training(architecture, start, images, members, config, 0, way=way, device=device)

    def run() -> None:
        training.advance()
        _wait(device)

    return run


def _loop(architecture: Architecture, images: Images, batch: int, device: str) -> None:
    pixels = torch.from_numpy(images.numbers()).to(device)
    labels = torch.from_numpy(images.labels).to(device)
    for member in range(LOOPED):
        net = architecture.build().to(device)
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
        order = torch.from_numpy(np.random.default_rng(member).permutation(len(labels)))
        for chosen in order.to(device).split(batch):
            optimizer.zero_grad()
            functional.cross_entropy(net(pixels[chosen]), labels[chosen]).backward()
            optimizer.step()
    _wait(device)


def _scoring(device: str, repeats: int) -> list[Row]:
    architecture = architecture_named("cnn")
    images = _images(architecture, 1000)
    config = TrainingConfig()
    population = initialize(architecture, members_of(config, range(64), 0), 0)
    nets = [architecture.build().to(device).eval() for _ in range(LOOPED)]
    pixels = torch.from_numpy(images.numbers()).to(device)

    @torch.no_grad()
    def loop() -> None:
        for net in nets:
            for part in pixels.split(256):
                net(part)
        _wait(device)

    variants = {
        "at once": partial(score, architecture, population, images, device=device),
        "loop": loop,
    }
    seconds = {name: median(many) for name, many in alternate(variants, repeats).items()}
    reached, plain = (
        members * len(images) / seconds[name]
        for name, members in (("at once", 64), ("loop", LOOPED))
    )
    compared = "a plain loop, all threads"
    return [Row("score.cnn", reached, "member-images/s", compared, reached / plain)]


def _images(architecture: Architecture, count: int) -> Images:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, *architecture.input_shape), np.uint8)
    return Images(pixels, rng.integers(0, 10, count), 1 / 255)


def _operations(architecture: Architecture, batch: int) -> int:
    """Return the multiplications and additions of one step of one member."""
    with torch.device("meta"):
        net = architecture.build()
        pixels = torch.zeros(batch, *architecture.input_shape)
    with FlopCounterMode(display=False) as counter:
        net(pixels).sum().backward()
    return int(counter.get_total_flops())


def _matrix_rate(device: str, repeats: int) -> float:
    """Return operations a second."""
    ones = torch.ones(SIDE, SIDE, device=device)

    def product() -> None:
        for _ in range(4):
            ones @ ones
        _wait(device)

    return 4 * 2 * SIDE**3 / median(alternate({"product": product}, repeats)["product"])


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _on_threads(threads: int, run: Callable[[], None]) -> Callable[[], None]:
    def limited() -> None:
        with _threads(threads):
            run()

    return limited


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    benchmark(__doc__, measure)
