"""`sane model` and `sane embed`: a stage's model becomes a folder, and files embeddings."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from sane_core.api.sane import Sane
from schemas.config.embed import EmbedConfig
from schemas.errors import UserError
from schemas.records import Record
from tasks.store import Store
from tests.api.stages import MLP, PREPROCESS, RESNET, SEED, network, write_model
from tests.commands import run

CHUNKS = EmbedConfig(chunk=7, halo=2)


class Nothing(Record):
    """A stage without a configuration."""


class Passes(Record):
    """A stage that passes networks in chunks."""

    embed: EmbedConfig


@pytest.fixture(scope="module")
def store(places, tmp_path_factory) -> Store:
    """A store with the lineage of one model."""
    root = tmp_path_factory.mktemp("exported")
    made = Store(root / "store")

    def put(stage, folder, config, metrics=None, key="k" * 8, **inputs):
        def copy(job):
            shutil.copytree(folder, job.folder, dirs_exist_ok=True)
            shutil.rmtree(job.folder / "scratch", ignore_errors=True)
            job.metrics.update(metrics or {})

        return made.get_or_make(stage, key, copy, config=config, inputs=inputs, seed=SEED)[0]

    zoo = put("zoo", places.zoos[MLP], Nothing())
    tokens = put("tokens", places.tokens[MLP], PREPROCESS, zoo=zoo)
    windows = put("windows", places.tokens[MLP], Nothing(), tokens=tokens)
    metrics = {"pretrain.train_loss": 1.0, "pretrain.validation_loss": 2.0}
    model = put("model", write_model(root / "model"), Nothing(), metrics, windows_0=windows)
    probed = {"probe.r2.test_accuracy.sane_mean": 0.7, "probe.r2.test_accuracy.statistics": 0.9}
    put("probes", places.zoos[MLP], Nothing(), probed, model=model)
    put("evaluation", places.zoos[MLP], Passes(embed=CHUNKS), tokens=tokens, model=model)
    put("report", places.zoos[MLP], Nothing(), model=model)
    # An ablation trains after its benchmark, in other chunks, and has no report of its own.
    other = write_model(root / "other", window=4)
    ablated = put("model", other, Nothing(), key="ablated", windows_0=windows)
    whole = Passes(embed=EmbedConfig(chunk=3))
    put("evaluation", places.zoos[MLP], whole, key="ablated", tokens=tokens, model=ablated)
    return made


@pytest.mark.parametrize("place", ["", "/model/kkkkkkkk"])
def test_a_model_of_a_store_is_exported_with_what_it_was_made_from(store, sane, tmp_path, place):
    out = tmp_path / "mine"
    said = run("model", "export", f"{store.uri}{place}", "--out", out)
    assert f"Model:  {out}" in said
    assert "/model/kkkkkkkk" in said
    found = Sane.load(out)
    assert found.description.name == "mine"
    assert found.description.preprocess == PREPROCESS
    assert found.description.seed == SEED
    assert found.description.embed == CHUNKS
    assert found.description.shape.window == 8
    assert found.description.metrics == {
        "pretrain.validation_loss": 2.0,
        "probe.r2.test_accuracy.sane_mean": 0.7,
    }
    for name, values in sane.bundle.references[0].items():
        assert (values == found.bundle.references[0][name]).all()


def test_a_model_without_a_report_is_exported_by_its_key(store, tmp_path):
    run("model", "export", f"{store.uri}/model/ablated", "--out", tmp_path / "mine")
    described = Sane.load(tmp_path / "mine").description
    assert (described.shape.window, described.embed.chunk) == (4, 3)


def test_without_a_report_the_newest_model_is_exported(store, tmp_path):
    shutil.copytree(store.uri, tmp_path / "store", ignore=shutil.ignore_patterns("report"))
    said = run("model", "export", tmp_path / "store", "--out", tmp_path / "mine")
    assert "/model/ablated" in said


def test_a_folder_that_is_there_is_not_written_to(store, tmp_path):
    with pytest.raises(UserError, match="must not be there yet"):
        run("model", "export", store.uri, "--out", tmp_path)


def test_a_store_without_a_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="must be a store with a trained model, .* got none"):
        run("model", "export", tmp_path / "empty", "--out", tmp_path / "x")


def test_a_name_that_no_folder_can_have_is_refused_in_one_line(store, tmp_path):
    with pytest.raises(UserError, match="cannot be exported: .*name: String should match") as said:
        run("model", "export", store.uri, "--out", tmp_path / "x", "--name", "a b")
    assert "\n" not in str(said.value)
    assert not (tmp_path / "x").exists()


@pytest.fixture
def files(tmp_path) -> list[Path]:
    paths = [tmp_path / f"{i}.pt" for i in range(2)]
    for i, path in enumerate(paths):
        torch.save(network(MLP, i), path)
    return paths


def test_files_are_embedded_into_a_table(sane, files, tmp_path):
    sane.save(tmp_path / "tiny")
    out = tmp_path / "embeddings.parquet"
    run("embed", *files, "--model", tmp_path / "tiny", "--out", out)
    table = pl.read_parquet(out)
    assert table["file"].to_list() == [str(path) for path in files]
    assert table["aligned"].to_list() == [True, True]
    assert (table["embedding"].to_numpy() == sane.embed(files).vectors).all()


def test_the_older_spelling_of_the_command_works(sane, files, tmp_path):
    sane.save(tmp_path / "tiny")
    shown = run("model", "embed", *files, "--model", tmp_path / "tiny")
    assert shown == run("embed", *files, "--model", tmp_path / "tiny")


def test_networks_of_several_lengths_give_a_row_per_token(resnet_sane, files, tmp_path):
    resnet_sane.save(tmp_path / "two")
    torch.save(network(RESNET, 5), tmp_path / "resnet.pt")
    every, out = [*files, tmp_path / "resnet.pt"], tmp_path / "latents.parquet"
    run("embed", *every, "--model", tmp_path / "two", "--level", "token", "--out", out)
    table = pl.read_parquet(out)
    for path in every:
        own = table.filter(pl.col("file") == str(path))
        alone = resnet_sane.embed(path, level="token")
        np.testing.assert_allclose(own["latents"].to_numpy(), alone.vectors, atol=1e-5)
        np.testing.assert_array_equal(own.select("n", "l", "k").to_numpy(), alone.positions)
    shown = run("embed", *files, "--model", tmp_path / "two", "--level", "token")
    assert "tokens)" in shown


def test_tokens_are_not_pooled(sane, files, tmp_path):
    sane.save(tmp_path / "tiny")
    with pytest.raises(UserError, match="--level token pools nothing, got --pooling mean"):
        run("embed", *files, "--level", "token", "--pooling", "mean", "--model", tmp_path / "tiny")


def test_the_zoo_whose_statistics_files_take_may_be_named(sane, files, tmp_path):
    sane.save(tmp_path / "model")
    assert "mlps" in run("embed", *files, "--model", tmp_path / "model", "--zoo", "mlps")
    with pytest.raises(UserError, match="zoo must be one of mlps"):
        run("embed", *files, "--model", tmp_path / "model", "--zoo", "others")


def test_without_a_file_to_write_embeddings_are_shown(sane, files, tmp_path):
    sane.save(tmp_path / "tiny")
    shown = run("embed", *files, "--model", tmp_path / "tiny", "--pooling", "mean")
    assert "mlps" in shown
    assert "(4)" in shown


def test_a_model_is_shown(sane, tmp_path):
    sane.save(tmp_path / "tiny")
    shown = run("model", "show", tmp_path / "tiny")
    assert "apache-2.0" in shown
    assert "zoo mlps" in shown


def test_what_cannot_be_embedded_is_one_sentence(sane, tmp_path):
    sane.save(tmp_path / "tiny")
    (tmp_path / "a.pt").write_bytes(b"no checkpoint, only text")
    with pytest.raises(UserError, match="files cannot be embedded: .*a.pt cannot be read as"):
        run("embed", tmp_path / "a.pt", "--model", tmp_path / "tiny")
    with pytest.raises(UserError, match="cannot be loaded: a SANE must be .* got 'nope'"):
        run("model", "show", "nope")
