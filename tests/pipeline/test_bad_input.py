"""What a user can get wrong ends in one sentence that names it, before or instead of the work."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import DamagedArtifact, DiskFull


def only_line(text: str) -> str:
    """Return the one sentence of a run that ended at once."""
    lines = text.splitlines()
    assert len(lines) == 1, text
    return lines[0]


def last_line(text: str) -> str:
    """Return the sentence below the progress bars; nothing else may be about the error."""
    assert "Traceback" not in text
    assert text.count("rror") == 1, text
    return text.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "pretrain.epochs=0"], "error: pretrain.epochs must be >= 1, got 0;"),
        (["--set", "pretrain.epocs=3"], "error: unknown key pretrain.epocs in --set (did you"),
        (["--set", "generate.prompt_epoch=9"], "error: generate.prompt_epoch must be <= epochs"),
        (
            ["--set", "zoos.0.images.train=5000"],
            "error: zoos.0.images.train + validation + test images must be <= 1797",
        ),
        (["--set", "store=file"], "error: store file cannot be written (File exists): choose an"),
        (["--set", "store=file/below"], "error: store file/below cannot be written (Not a dir"),
        (["--out", "file"], "error: report folder file cannot be written (File exists): choose"),
        (["--out", "file/below"], "error: report folder file/below cannot be written (Not a dir"),
        (["--set", "tracking.uri=sqlite:///file/below"], "error: MLflow database"),
        (["--set", "tracking.uri=sqlite:///folder"], "error: MLflow database"),
        (["--set", "tracking.uri=sqlite:///garbage"], "error: MLflow database"),
    ],
)
def test_a_wrong_option_or_place_is_named_at_once(
    options: list[str], message: str, small: Path, sane, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "garbage").write_bytes(b"garbage " * 1000)
    done = sane("run", small, *options, cwd=tmp_path)
    assert only_line(done.stderr).startswith(message)
    assert done.returncode == 2
    assert [*tmp_path.rglob("manifest.json")] == []
    assert not (tmp_path / ".prefect").exists()


@pytest.mark.parametrize("content", [None, b"", b"not yaml: ["])
def test_a_wrong_file_is_named_at_once(content: bytes | None, sane, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    if content is not None:
        file.write_bytes(content)
    done = sane("run", file, cwd=tmp_path)
    assert only_line(done.stderr).startswith(f"error: {file} ")
    assert done.returncode == 2


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_tampered_artifact_is_named_and_the_next_run_heals_it(
    reference, small: Path, sane, store: Path, run_all
) -> None:
    part = next(store.glob("tokens/*/tokens/split=train/*.parquet"))
    flip(part)
    shutil.rmtree(store / "probes")
    done = sane("run", small, cwd=store.parent)
    assert last_line(done.stderr).startswith(f"error: {store}/tokens/")
    assert last_line(done.stderr).endswith(
        "tokens/split=train/part-00000.parquet was altered: its SHA-256 is not the manifest's; "
        "run the same command again: the stage will be rebuilt"
    )
    assert done.returncode == 1

    again = run_all(store, reference.config)
    assert again.made == {"tokens", "probes"}
    assert again.content == reference.content


DAMAGED = {
    "images": ("train_pixels.npy", "zoo"),
    "zoo": ("weights/part-00000.parquet", "tokens"),
    "tokens": ("tokens/split=test/part-00000.parquet", "embeddings"),
    "windows": ("train-00000.beton", "model"),
    "model": ("model.safetensors", "embeddings"),
}


def by_numpy(config):
    """FFCV compiles for long; numpy's reader gives the same weights."""
    reader = config.windows.model_copy(update={"reader": "numpy"})
    return config.model_copy(update={"windows": reader})


@pytest.mark.parametrize("stage", DAMAGED)
def test_an_altered_file_is_never_read_and_no_longer_trusted(
    stage: str, reference, store: Path, run_all
) -> None:
    name, reader = DAMAGED[stage]
    shutil.rmtree(store / reader)
    flip(next(store.glob(f"{stage}/*/{name}")))
    config = by_numpy(reference.config) if reader == "model" else reference.config
    with pytest.raises(DamagedArtifact, match=f"{name} was altered"):
        run_all(store, config)
    assert [*store.glob(f"{stage}/*/manifest.json")] == []


@pytest.mark.parametrize("stage", DAMAGED)
def test_a_truncated_file_is_rebuilt_in_the_same_run(
    stage: str, reference, store: Path, run_all
) -> None:
    path = next(store.glob(f"{stage}/*/{DAMAGED[stage][0]}"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    again = run_all(store, by_numpy(reference.config) if stage == "model" else reference.config)
    assert again.made == {stage}
    assert again.content == reference.content


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "sane-test", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, but: int) -> Path:
    """Fill a disk but for some KiB."""
    filler = disk / "filler"
    left = shutil.disk_usage(disk).free - but * 1024
    filler.write_bytes(bytes(max(0, left)))
    return filler


@pytest.mark.parametrize(
    ("stage", "free"),
    [
        ("images", [8]),
        ("zoo", [16]),
        ("tokens", [8]),
        ("windows", [16]),
        ("model", [16]),
        ("embeddings", [0]),
        ("map", [0]),
        ("probes", [0]),
        ("generation", [0]),
        ("report", [16]),
    ],
)
def test_a_full_disk_is_named_and_commits_nothing(
    stage: str, free: list[int], reference, disk: Path, run_all
) -> None:
    config = by_numpy(reference.config) if stage == "model" else reference.config
    store = Path(shutil.copytree(reference.store, disk / "store"))
    shutil.rmtree(store / stage)
    for kibibytes in free:
        filler = fill(disk, but=kibibytes)
        with pytest.raises(DiskFull, match="no space left") as caught:
            run_all(store, config)
        assert "\n" not in str(caught.value)
        assert [*store.glob(f"{stage}/*/manifest.json")] == []
        filler.unlink()

    again = run_all(store, config)
    assert again.made == {stage}
    assert again.content == reference.content
