"""A stage of five shards, and shards that fail: at the top of a module, for other processes."""

import os
from pathlib import Path

import numpy as np
import torch

from schemas.errors import UserError
from schemas.records import Record
from tasks.stage import stage
from tasks.store_records import Job


class Numbers(Record):
    """Some numbers to draw and sum."""

    shards: int = 5
    trouble: str = ""
    log: str = ""


class Draw(Record):
    """One shard of them."""

    index: int
    seed: int
    trouble: str
    log: str


def draw(shard: Draw, folder: Path) -> dict[str, float]:
    """Write products of drawn numbers, in single precision so that every order of sums shows."""
    with Path(shard.log).open("a") as log:
        log.write(f"{shard.index} {os.getpid()}\n")
    begun = Path(shard.log).read_text().splitlines()
    times = sum(line.startswith(f"{shard.index} ") for line in begun)
    (folder / "half-written").write_bytes(b"?")
    if shard.index == 3:
        _fail(shard.trouble, times)
    rng = np.random.default_rng([shard.seed, shard.index])
    drawn = rng.standard_normal((300, 300)).astype(np.float32)
    product = (torch.from_numpy(drawn) @ torch.from_numpy(drawn).T).numpy() + drawn @ drawn.T
    (folder / "half-written").unlink()
    np.save(folder / "numbers.npy", product)
    return {"sum": float(product.sum()), "threads": torch.get_num_threads()}


def _fail(trouble: str, times: int) -> None:
    if trouble == "value":
        raise ValueError("halo must be >= 0, got -1")
    if trouble == "explained":
        raise UserError("the shard says what to do")
    if trouble == "transient" and times < 3:
        raise OSError(5, "Input/output error")
    if trouble == "once" and times < 2:
        raise RuntimeError("killed")
    if trouble == "death":
        os._exit(1)


@stage("toy")
def toy(job: Job, config: Numbers, seed: int) -> None:
    """Draw, then keep what the shards wrote."""
    shards = [
        Draw(index=index, seed=seed, trouble=config.trouble, log=config.log)
        for index in range(config.shards)
    ]
    seen: list[None] = []
    done = job.map(draw, shards, name="draw", on_done=lambda: seen.append(None))
    for index, shard in enumerate(done):
        job.keep(shard.folder / "numbers.npy", f"numbers/part-{index:05d}.npy")
        job.metrics[f"toy.sum.{index}"] = shard.value["sum"]
    job.metrics["toy.threads"] = max(shard.value["threads"] for shard in done)
    job.metrics["toy.seen"] = len(seen)
