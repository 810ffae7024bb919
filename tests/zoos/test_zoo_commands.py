"""`sane zoo` and `sane data` in the terminal."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.zoos import REGISTERED, register

PREFECT = Path(__file__).resolve().parents[2] / "deployments" / "prefect.yaml"


def said(*arguments: object) -> str:
    done = CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "200"})
    assert done.exception is None, done.output
    return done.output


def test_list_shows_zoos_and_the_recipes_that_can_be_trained(store, trained, ingested) -> None:
    listed = said("zoo", "list", "--store", store)
    assert re.search(r"trained\W+training\W+0–2", listed)
    assert re.search(r"ingested\W+torch\W+0\W+unknown", listed)
    assert "resnet18[size=16,width=8]" in listed


def test_show_counts_what_is_there_and_draws_the_page(store, ingested, tmp_path: Path) -> None:
    shown = said("zoo", "show", "ingested", "--store", store, "--out", tmp_path)
    assert re.search(r"runs\W+5; train", shown)
    assert re.search(r"duplicates\W+1", shown)
    page = (tmp_path / "zoo.html").read_text()
    assert "net_5.pt" in page


def test_data_lists_what_there_is_and_where_it_is_missing(tmp_path: Path) -> None:
    listed = said("data", "list", "--data", tmp_path)
    assert "digits" in listed
    assert "tiny-imagenet" in listed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "nothing"), "recipe must be one of digits-cnn, mnist-cnn"),
        (("train", "digits-cnn", "--members", "1"), "zoos.0.members must be >= 4, got 1"),
        (("train", "digits-cnn", "--set", "epoch=3"), "unknown key zoos.0.epoch in --set"),
        (("train", "mnist-cnn", "--data", "nowhere"), "sane data fetch mnist"),
        (("ingest", "nowhere", "--name", "a"), "'nowhere'"),
        (("ingest", ".", "--name", "A zoo"), "name must match the pattern"),
        (("show", "nothing"), "must hold a zoo called 'nothing', it holds none yet"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    from flows import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sane", "zoo", *arguments])
    monkeypatch.setattr("flows.run.run_zoos", _make_without_prefect)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def _make_without_prefect(config) -> list[Path]:
    from flows.made_zoo import make_zoo

    def never(*_: object, **__: object) -> None:
        raise AssertionError("nothing must be run")

    make_zoo(never, config, config.zoos[0])
    return []


def test_a_new_zoo_is_announced_where_there_is_a_server(monkeypatch, trained) -> None:
    events = []
    monkeypatch.setattr("flows.zoos.emit_event", lambda **event: events.append(event))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    register("trained", trained)
    assert events == []
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    register("trained", trained)
    assert events[0]["event"] == REGISTERED
    assert events[0]["payload"]["digest"] == trained.artifact.digest
    assert REGISTERED in PREFECT.read_text()


@pytest.mark.end_to_end
def test_a_zoo_is_trained_by_a_flow_and_found_again(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", "zoo", "train", "digits-cnn"]
    command += ["--members", "4", "--epochs", "1", "--set", "images.train=32"]
    made = []
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        (manifest,) = (tmp_path / "store" / "zoo").glob("*/manifest.json")
        made.append(json.loads(manifest.read_text())["created"])
    assert made[0] == made[1]
    assert (tmp_path / "runs/zoo-digits-cnn/digits-cnn/zoo.html").exists()
    assert (tmp_path / "mlruns/mlflow.db").exists()
