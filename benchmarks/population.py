"""Train 64 digits CNNs at once, against a loop over members at its best number of threads.

Both ways take the same steps: batches gathered by index, forward, backward, Adam. The physical
limit is how fast this machine multiplies float32 matrices, over the multiplications a step needs.
"""

from collections.abc import Callable
from functools import partial
from math import prod

import numpy as np
import torch
from shared.rows import Row, alternate, benchmark, median
from torch.nn import functional

from sane_core.zoo.architectures import DIGITS_CNN, Conv, Linear, MaxPool, SequentialNet
from sane_core.zoo.images import Images, split_digits
from sane_core.zoo.population import initialize, score, train

MEMBERS = 64
BATCHES = (10, 64)
LOOPED = 4
"""Members the loop trains in one repeat; each costs the same, so 64 would only take longer."""
STEPS = 15
"""Steps of one repeat, so that building networks and optimizers does not count."""
SIDE = 1024
"""Rows and columns of the matrices whose product gives the limit."""


def measure(quick: bool) -> list[Row]:
    cores = torch.get_num_threads()
    images = split_digits(0, 1000, 297, 500)
    repeats = 5 if quick else 21
    rows = []
    for batch in BATCHES:
        chosen = slice(0, batch * STEPS)
        part = Images(images["train"].pixels[chosen], images["train"].labels[chosen])
        counts = range(1, cores + 1)
        variants: dict[str, Callable[[], object]] = {"at once": partial(_at_once, part, batch)}
        variants |= {f"loop {n}": _on_threads(n, partial(_loop, part, batch)) for n in counts}
        variants["matrix"] = _matrix_product
        seconds = {name: median(many) for name, many in alternate(variants, repeats).items()}
        best = min(counts, key=lambda n: seconds[f"loop {n}"])
        rate = MEMBERS * STEPS / seconds["at once"]
        loop_rate = LOOPED * STEPS / seconds[f"loop {best}"]
        limit = 2 * SIDE**3 / seconds["matrix"] / (batch * _operations())
        unit = "member-steps/s"
        looped = f"a loop over members, {best} of {cores} threads (its best)"
        rows += [
            Row(f"population.batch{batch}", rate, unit, looped, rate / loop_rate, limit),
            Row(f"loop.batch{batch}", loop_rate, unit, limit=limit),
        ]
    rate = 2 * SIDE**3 / seconds["matrix"]
    rows.append(Row("matrix.float32", rate / 1e9, "GFLOP/s"))
    return rows + _scoring(images["test"], repeats)


def _at_once(images: Images, batch: int) -> None:
    runs = list(range(MEMBERS))
    start = initialize(DIGITS_CNN, runs, 0)
    recipe = {"epochs": 1, "batch": batch, "learning_rate": 1e-3, "seed": 0}
    train(DIGITS_CNN, start, images, runs=runs, **recipe)


def _loop(images: Images, batch: int) -> None:
    pixels, labels = torch.from_numpy(images.pixels), torch.from_numpy(images.labels)
    for member in range(LOOPED):
        net = SequentialNet(DIGITS_CNN)
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
        order = np.random.default_rng(member).permutation(len(labels))
        for chosen in torch.from_numpy(order).split(batch):
            optimizer.zero_grad()
            functional.cross_entropy(net(pixels[chosen]), labels[chosen]).backward()
            optimizer.step()


def _scoring(images: Images, repeats: int) -> list[Row]:
    population = initialize(DIGITS_CNN, list(range(MEMBERS)), 0)
    nets = [SequentialNet(DIGITS_CNN) for _ in range(LOOPED)]
    pixels = torch.from_numpy(images.pixels)

    @torch.no_grad()
    def loop() -> None:
        for net in nets:
            net(pixels)

    variants = {"at once": partial(score, DIGITS_CNN, population, images), "loop": loop}
    seconds = {name: median(many) for name, many in alternate(variants, repeats).items()}
    rate, loop_rate = (
        members * len(images.labels) / seconds[name]
        for name, members in (("at once", MEMBERS), ("loop", LOOPED))
    )
    compared = "a loop over members, all threads"
    return [Row("population.score", rate, "member-images/s", compared, rate / loop_rate)]


def _on_threads(threads: int, run: Callable[[], None]) -> Callable[[], None]:
    def limited() -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            run()
        finally:
            torch.set_num_threads(before)

    return limited


def _matrix_product() -> torch.Tensor:
    ones = torch.ones(SIDE, SIDE)
    return ones @ ones


def _operations() -> int:
    """Return the multiplications and additions of one image's training step.

    A layer's are needed three times: for its outputs, for its weights' gradients and, except in the
    first layer, for its inputs' gradients.
    """
    height, total = DIGITS_CNN.input_shape[1], 0
    for i, operation in enumerate(DIGITS_CNN.operations):
        places = 1
        if isinstance(operation, Conv):
            height += 2 * operation.padding - operation.kernel + 1
            places = height * height
        elif isinstance(operation, MaxPool):
            height //= operation.size
        if isinstance(operation, Conv | Linear):
            weights = prod(DIGITS_CNN.shapes()[f"module_list.{i}.weight"])
            total += 2 * weights * places * (3 if i else 2)
    return total


if __name__ == "__main__":
    benchmark(__doc__, measure)
