"""Presets: sizes by name under a user's own keys, and Table 8 made from them."""

import pytest

from sane_core.pretraining.autoencoder import AutoencoderShape
from sane_core.reporting.table8 import (
    CNN3_TABLES,
    PUBLISHED_TABLES,
    count_parameters,
    table8,
    table8_shape,
)
from schemas.config.benchmark import BenchmarkConfig
from schemas.config.embed import EmbedConfig
from schemas.config.presets import PRESETS, preset_named, with_preset
from schemas.config.pretrain import AutoencoderConfig, PretrainConfig
from schemas.config.windows import WindowsConfig


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_benchmark(name):
    config = BenchmarkConfig.model_validate(with_preset({"preset": name}))
    assert config.pretrain == PRESETS[name].pretrain
    assert config.embed == PRESETS[name].embed


def test_the_tiny_preset_says_what_the_defaults_say():
    config = BenchmarkConfig.model_validate(with_preset({"preset": "tiny"}))
    assert config.model_copy(update={"preset": None}) == BenchmarkConfig()


def test_the_users_keys_win_however_deep():
    said = {
        "preset": "cnn",
        "windows": {"views": 7},
        "pretrain": {"epochs": 3, "autoencoder": {"layers": 2}},
    }
    config = BenchmarkConfig.model_validate(with_preset(said))
    assert config.windows == WindowsConfig(length=32, views=7)
    assert config.pretrain.epochs == 3
    assert config.pretrain.batch == 32
    assert config.pretrain.autoencoder == AutoencoderConfig(
        d_model=1024, heads=8, layers=2, d_z=128
    )


def test_records_of_the_user_win_as_mappings_do():
    own = PretrainConfig(epochs=3, autoencoder=AutoencoderConfig(layers=2))
    config = BenchmarkConfig.model_validate(
        with_preset({"preset": "cnn", "pretrain": own, "embed": EmbedConfig(halo=1)})
    )
    assert (config.pretrain.epochs, config.pretrain.batch) == (3, 32)
    assert (config.pretrain.autoencoder.layers, config.pretrain.autoencoder.d_model) == (2, 1024)
    assert config.embed == EmbedConfig(chunk=16, halo=1)


@pytest.mark.parametrize("benchmark", [{"name": "mine"}, None, BenchmarkConfig()])
def test_without_a_preset_nothing_changes(benchmark):
    assert with_preset(benchmark) is benchmark


def test_laying_keys_over_a_preset_leaves_it_as_it_was():
    before = preset_named("cnn").defaults()
    merged = with_preset({"preset": "cnn", "pretrain": {"autoencoder": {"d_z": 3}}})
    merged["windows"]["length"] = 1
    assert preset_named("cnn").defaults() == before


@pytest.mark.parametrize("name", ["resnet", 3, ["cnn"]])
def test_an_unknown_preset_is_refused_by_the_names_there_are(name):
    with pytest.raises(ValueError, match="must be one of tiny, cnn, cnn-code, resnet18, global"):
        with_preset({"preset": name})


@pytest.mark.parametrize("name", ["cnn", "cnn-code", "resnet18"])
def test_a_pass_of_an_embedding_is_as_long_as_a_window(name):
    preset = PRESETS[name]
    assert preset.embed.chunk + 2 * preset.embed.halo == preset.window


@pytest.mark.parametrize(
    ("name", "millions", "tables"),
    # The published code's: 202.5M and 865M. Of everything that is trained, the projection head
    # included; the CNNs' with tables for a CNN3's tokens, the ResNet's with the published code's.
    [("cnn-code", 202.5, CNN3_TABLES), ("resnet18", 865, PUBLISHED_TABLES)],
)
def test_parameters_are_as_many_as_published(name, millions, tables):
    shape = table8_shape(PRESETS[name])
    assert shape.positions == tables
    assert count_parameters(PRESETS[name], shape).all / 1e6 == pytest.approx(millions, rel=0.001)


def test_the_published_position_tables_are_no_part_of_the_cnn_s_202_million():
    shape = AutoencoderShape(289, 64, PUBLISHED_TABLES)
    counted = count_parameters(PRESETS["cnn-code"], shape)
    assert counted.all / 1e6 == pytest.approx(231, rel=0.005)
    assert counted.positions == sum(PUBLISHED_TABLES) * 512


def test_table_8_has_ours_beside_the_paper_s():
    table = table8()
    column = {heading: place for place, heading in enumerate(table.columns)}
    rows = {row[0]: row for row in table.rows}
    for heading, ours, paper in [
        ("token size d_t", "289", "289"),
        ("window in tokens", "32", "32"),
        ("d_model", "1024", "1024"),
        ("latent dimensions per token", "128", "128"),
        ("transformer layers, in encoder and decoder each", "4", "4"),
        ("attention heads", "8", "4, 8"),
    ]:
        assert rows[heading][column["cnn ours"]] == ours
        assert rows[heading][column["cnn paper"]] == paper
    assert rows["token size d_t"][column["resnet18 ours"]] == "288"
    assert rows["window in tokens"][column["resnet18 paper"]] == "256, 512"
    assert rows["parameters, million"][column["resnet18 ours"]] == "865.1"
