"""`sane predict` in a folder with a store, and what it says where there are no probes."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from flows.cli import app
from schemas.errors import UserError
from tests.pipeline.conftest import save_checkpoint

RUNS = CliRunner()


def call(*arguments: object) -> str:
    """Call the command in this process; errors come as they are."""
    done = RUNS.invoke(app, ["predict", *map(str, arguments)], env={"COLUMNS": "200"})
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


@pytest.fixture(scope="module")
def member(reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that the gate was fitted on: of so small a zoo, others may be called foreign."""
    (table,) = reference.store.glob("zoo/*/checkpoints.parquet")
    run = pl.read_parquet(table).filter(split="train")["run"][0]
    return save_checkpoint(reference.store, run, tmp_path_factory.mktemp("member") / "member.pt")


def test_a_network_of_the_zoo_is_read_and_a_stranger_is_not(
    reference, member: Path, tmp_path: Path, monkeypatch
):
    stranger, out = tmp_path / "stranger.pt", tmp_path / "read.parquet"
    torch.save({name: 50 * values for name, values in torch.load(member).items()}, stranger)
    monkeypatch.chdir(reference.folder)
    said = call(member, stranger, "--out", out)
    first, second = pl.read_parquet(out).to_dicts()
    assert (first["foreign"], second["foreign"]) == (False, True)
    assert np.isfinite(first["epoch"])
    assert np.isnan(second["epoch"])
    assert f"yes ({first['distance']:.2f})" in said
    assert f"no ({second['distance']:.2f})" in said
    assert f"{first['epoch']:.2f}" in said
    assert "No interval for epoch: too few validation runs." in said
    assert "Unlike this zoo: farther from its networks than 1" in said


def test_the_probes_may_be_named(reference, network: Path):
    (probes,) = reference.store.glob("probes/*")
    expected = call(network, "--model", reference.store, "--zoo", "digits-cnn")
    assert call(network, "--model", reference.store, "--probes", probes) == expected
    assert (
        call(network, "--model", reference.store, "--probes", probes / "predictor.safetensors")
        == expected
    )


def test_a_store_without_probes_says_what_to_do(store: Path, network: Path):
    shutil.rmtree(store / "probes")
    with pytest.raises(UserError, match=r"must hold probes by model .* name their file \(--pro"):
        call(network, "--model", store)


def test_probes_of_another_model_are_refused(store: Path, network: Path):
    (probes,) = store.glob("probes/*")
    manifest = json.loads((probes / "manifest.json").read_text())
    manifest["inputs"]["model"]["digest"] = "0" * 64
    (probes / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="must be of the model that is predicted with, .* got 000"):
        call(network, "--model", store, "--probes", probes)


def test_a_bundle_needs_its_own_probes(reference, network: Path, tmp_path: Path):
    with pytest.raises(UserError, match="mnist-cnn is a SANE without probes: name those that"):
        call(network, "--model", "mnist-cnn")
    with pytest.raises(UserError, match="must be the probes' predictor.safetensors, got"):
        call(network, "--model", "mnist-cnn", "--probes", network)


def test_an_unknown_zoo_names_those_there_are(reference, network: Path):
    with pytest.raises(UserError, match="zoo must be one of digits-cnn, got 'other'"):
        call(network, "--model", reference.store, "--zoo", "other")
