"""`sane analyse`: files of any architectures, with and without a SANE; bad ones are explained."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from flows.cli import app
from sane_core.api.analyse import analyse_files
from sane_core.api.sane import Sane
from sane_core.architectures.registry import architecture_named
from schemas.errors import UserError


def save(path: Path, architecture: str, **more: object) -> Path:
    torch.manual_seed(0)
    network = architecture_named(architecture).build()
    torch.save({"state_dict": network.state_dict(), **more}, path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("files")
    return [
        save(root / "cnn.pt", "cnn", best_prec1=91.5),
        save(root / "resnet.pt", "cifar-resnet20[width=4]"),
    ]


def test_files_have_spectra_without_a_sane(files: list[Path], tmp_path: Path) -> None:
    analyse_files(files, tmp_path)
    networks = pl.read_parquet(tmp_path / "networks.parquet")
    assert networks["architecture"].to_list() == ["cnn", "cifar-resnet20[width=4]"]
    assert networks["test_accuracy"].to_list() == [pytest.approx(0.915), None]
    assert networks["alpha"].null_count() == 0
    assert networks["spread"].null_count() == 2
    layers = pl.read_parquet(tmp_path / "layers.parquet")
    assert len(layers.filter(zoo="resnet")) == 20  # convolutions and the last layer
    assert not layers["note"].str.contains("spread").any()


def test_a_sane_gives_the_spread_of_what_it_can_take(files: list[Path], tmp_path: Path) -> None:
    sane = Sane.load("mnist-cnn")
    wrong = tmp_path / "wrong.pt"
    state = architecture_named("cnn").build().state_dict()
    next(iter(state.values()))[0, 0, 0, 0] = np.nan
    torch.save(state, wrong)
    analyse_files([files[0], wrong], tmp_path, sane)
    layers = pl.read_parquet(tmp_path / "layers.parquet")
    assert layers.filter(zoo="cnn")["spread"].null_count() == 0
    notes = layers.filter(zoo="wrong")["note"].to_list()
    assert notes[0].startswith("weights are not finite; no spread: weights must be finite")
    assert layers.filter(zoo="wrong")["alpha"].null_count() == 1


def test_the_command_prints_the_means_and_names_its_files(
    files: list[Path], tmp_path: Path
) -> None:
    result = CliRunner().invoke(app, ["analyse", *map(str, files), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "91.5" in result.output
    assert (tmp_path / "out/figures/analysis_layers.png").exists()


def test_a_file_that_is_none_is_explained(tmp_path: Path) -> None:
    wrong = tmp_path / "notes.pt"
    wrong.write_text("no network")
    result = CliRunner().invoke(app, ["analyse", str(wrong), "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, UserError)
    assert "notes.pt cannot be read as a checkpoint" in str(result.exception)
    assert not (tmp_path / "out").exists()
