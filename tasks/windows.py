"""Stage `windows`: cut tokens into windows with permuted views and compile them for FFCV."""

import pyarrow.parquet as pq

from sane_core.architectures.registry import architecture_named
from sane_core.weights.files import read_layers, read_tokens
from sane_core.weights.symmetry.derive import groups_of
from sane_core.windows.beton import verify_beton
from sane_core.windows.compile import cut_windows, facts_of, write_facts
from sane_core.windows.write import write_beton
from schemas.config.windows import WindowsConfig
from tasks.progress import progress_bar
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact

SPLITS = ("train", "validation")


@stage("windows")
def compile_windows(job: Job, config: WindowsConfig, seed: int, tokens: OpenArtifact) -> None:
    """Write and verify `train.beton` and `validation.beton`."""
    checkpoints = pq.read_table(
        tokens.file("checkpoints.parquet"), columns=["architecture", "epoch"]
    )
    architecture = architecture_named(checkpoints["architecture"][0].as_py())
    epochs = config.epochs(max(checkpoints["epoch"].to_pylist()))
    lowest: list[int] = []
    with progress_bar("windows", len(SPLITS), "splits") as bar:
        for split in SPLITS:
            chosen = read_tokens(tokens.folder / "tokens", split, epochs)
            windows, covered = cut_windows(
                chosen,
                read_layers(tokens.file("layers.parquet")),
                groups_of(architecture),
                config,
                seed,
                job.scratch,
            )
            path = job.folder / f"{split}.beton"
            write_beton(path, windows, config.dtype)
            verify_beton(path)
            lowest.append(int(covered.min()))
            job.metrics[f"windows.{split}.samples"] = float(len(windows.runs))
            job.metrics[f"windows.{split}.bytes"] = float(path.stat().st_size)
            job.metrics[f"windows.{split}.mean_coverage"] = float(covered.mean())
            if split == "train":
                write_facts(job.folder / "windows.json", facts_of(chosen, config.length))
            bar.advance()
    job.metrics["windows.minimum_coverage"] = float(min(lowest))
