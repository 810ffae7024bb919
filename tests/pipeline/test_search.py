"""`sane search` in a folder with a store, and what it says where there is nothing to search."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows import model_lineage
from flows.cli import app
from schemas.errors import UserError

RUNS = CliRunner()


def call(*arguments: object) -> str:
    """Call the command in this process; errors come as they are."""
    done = RUNS.invoke(app, ["search", *map(str, arguments)], env={"COLUMNS": "200"})
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_a_network_of_the_zoo_is_its_own_nearest(reference, network: Path, monkeypatch):
    monkeypatch.chdir(reference.folder)
    said = call(network, "-k", 3)
    first = next(line for line in said.splitlines() if " 1 " in line)
    assert "run 3" in first
    assert "0.000" in first
    assert "%" in first
    assert "99 of 100 networks of the zoo" in said


def test_the_map_stands_beside_the_report_and_both_are_in_mlflow(reference):
    folder = reference.folder / "runs/small"
    assert 'href="map.html"' in (folder / "report.html").read_text()
    drawn = json.loads(next(reference.store.glob("map/*/map.json")).read_text())
    assert len(drawn["x"]) == 8 * 3
    logged = [*(reference.folder / "mlruns").glob("**/map.html")]
    assert logged, "one of every run in this folder"
    assert {path.read_bytes() for path in logged} == {(folder / "map.html").read_bytes()}


def test_more_networks_than_there_are_cannot_be_found(reference, network: Path):
    with pytest.raises(UserError, match="k must be from 1 to 24, the zoo's checkpoints, got 25"):
        call(network, "--model", reference.store, "-k", 25)


def test_a_folder_without_a_store_says_what_to_do(network: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="store must be a store with a trained model"):
        call(network)


def test_a_store_without_embeddings_says_what_to_do(store: Path, network: Path):
    shutil.rmtree(store / "embeddings")
    with pytest.raises(UserError, match="must hold embeddings by model .* run the experiment pro"):
        call(network, "--model", store)


def test_embeddings_by_another_model_are_refused(store: Path, network: Path):
    (embedded,) = store.glob("embeddings/*")
    assert "run 3" in call(network, "--model", store, "--in", embedded)
    manifest = json.loads((embedded / "manifest.json").read_text())
    manifest["inputs"]["model"]["digest"] = "0" * 64
    (embedded / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="must be by the model that is searched with, .* got 00000"):
        call(network, "--model", store, "--in", embedded / "embeddings.parquet")


def test_embeddings_of_another_width_are_refused(reference, network: Path):
    (embedded,) = reference.store.glob("embeddings/*")
    with pytest.raises(UserError, match="must have .* dimensions, as the zoo's have, got"):
        call(network, "--model", "mnist-cnn", "--in", embedded)


def test_a_bundle_needs_to_be_told_the_zoo(network: Path):
    with pytest.raises(UserError, match="is a SANE without a zoo: name the zoo's embeddings"):
        call(network, "--model", "mnist-cnn")


def test_an_unknown_zoo_names_those_there_are(reference, network: Path):
    with pytest.raises(UserError, match="zoo must be one of digits-cnn, got 'other'"):
        call(network, "--model", reference.store, "--zoo", "other")


def test_a_newer_report_without_embeddings_hides_no_model_with_them(monkeypatch) -> None:
    monkeypatch.setattr(model_lineage, "_reported", lambda store: [("old", "a"), ("new", "b")])
    monkeypatch.setattr(model_lineage, "made_of", lambda store, stage, model: model == "old")
    assert model_lineage.model_of("store", having="embeddings")[1:] == ("old", "a")
    assert model_lineage.model_of("store")[1:] == ("new", "b")
    monkeypatch.setattr(model_lineage, "made_of", lambda store, stage, model: [])
    assert model_lineage.model_of("store", having="embeddings")[1:] == ("new", "b")
