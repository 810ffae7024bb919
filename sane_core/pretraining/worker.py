"""Training as a process of its own: `python -m sane_core.pretraining.worker JOB.json PARENT`.

A process can be killed where a thread cannot, and a crash of a native library ends it alone. It
reports by rewriting `progress.json`, and a failure by `error.json`, both in the scratch folder. It
ends with its parent, so that a killed pipeline leaves no trainer behind.
"""

import json
import sys
from pathlib import Path
from typing import Literal

from pydantic import Field

from sane_core.processes import end_with
from schemas.config.pretrain import PretrainConfig
from schemas.errors import SaneError
from schemas.records import Record


class TrainingJob(Record):
    """What the worker needs to know."""

    windows: str = Field(description="folder with train.beton and validation.beton")
    reader: Literal["ffcv", "numpy"]
    folder: str = Field(description="gets the trained model")
    scratch: str = Field(description="keeps the resumable state, progress and errors")
    shape: dict[str, object] = Field(description="fields of AutoencoderShape")
    config: PretrainConfig
    seed: int
    threads: int = Field(ge=1, description="torch threads")


def run(job: TrainingJob) -> None:
    """Train, or go on training, and save the model."""
    import torch

    from sane_core.pretraining.autoencoder import AutoencoderShape
    from sane_core.pretraining.files import save
    from sane_core.pretraining.train import pretrain
    from sane_core.windows.reader import open_windows

    torch.set_num_threads(job.threads)
    scratch = Path(job.scratch)
    shape = AutoencoderShape.from_json(job.shape)

    def report(step: int, steps: int, loss: float) -> None:
        if step % 5 == 0 or step == steps:
            _replace(scratch / "progress.json", {"step": step, "steps": steps, "loss": loss})

    train, validation = (
        open_windows(
            Path(job.windows) / f"{part}.beton", job.reader, d_t=shape.d_t, length=shape.window
        )
        for part in ("train", "validation")
    )
    trained = pretrain(train, validation, shape, job.config, job.seed, scratch / "state.pt", report)
    save(Path(job.folder), trained, job.config.autoencoder)


def main(path: Path, parent: int) -> int:
    """Run the job in a file, for a parent process; return the exit code."""
    end_with(parent)
    job = TrainingJob.model_validate_json(path.read_text())
    try:
        run(job)
    except (SaneError, ValueError) as error:
        code = error.exit_code if isinstance(error, SaneError) else 1
        _replace(Path(job.scratch) / "error.json", {"message": str(error), "exit_code": code})
        return 1
    return 0


def _replace(path: Path, value: dict[str, object]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value))
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
