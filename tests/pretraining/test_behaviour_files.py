"""The behaviour loss of a zoo on disk: train checkpoints, their other entries, train images."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.func import functional_call

from sane_core.architectures.registry import architecture_named
from sane_core.images.files import write_images
from sane_core.images.images import Images
from sane_core.pretraining import behaviour
from sane_core.pretraining.behaviour import open_behaviour
from sane_core.weights.preprocess import preprocess_zoo
from sane_core.weights.work import PlainWork
from sane_core.zoo.weight_shards import RowGroup, ShardWriter
from schemas.config.preprocess import PreprocessConfig
from schemas.config.pretrain import BehaviourConfig
from schemas.tables import CHECKPOINTS
from tests.pretraining.networks import generator, network

RESNET = architecture_named("resnet18[size=8,width=2]")
CONFIG = BehaviourConfig(weight=1.0, models=3, images=16, latent_noise=0.0)


def write_zoo(folder: Path) -> Path:
    """Four runs of a ResNet, at two epochs."""
    (folder / "weights").mkdir(parents=True)
    pairs = [(run, epoch) for run in range(4) for epoch in (0, 3)]
    with ShardWriter(folder / "weights" / "part-00000.parquet", RowGroup()) as writer:
        for run, epoch in sorted(pairs, key=lambda pair: pair[::-1]):
            weights = network(RESNET, 10 * run + epoch)
            writer.add(run, epoch, weights, dict.fromkeys(weights, "float32"))
    splits = ("train", "validation", "train", "test")
    known = {
        "run": [run for run, _ in pairs],
        "epoch": [epoch for _, epoch in pairs],
        "split": [splits[run] for run, _ in pairs],
        "architecture": [RESNET.name] * len(pairs),
        "test_accuracy": [0.1 * run for run, _ in pairs],
    }
    columns = [pa.array(known.get(f.name, [None] * len(pairs)), f.type) for f in CHECKPOINTS]
    pq.write_table(pa.table(columns, schema=CHECKPOINTS), folder / "checkpoints.parquet")
    return folder


@pytest.fixture(scope="module", params=["exclude", "affine"])
def resnets(request, tmp_path_factory) -> tuple[Path, Path]:
    """Folders of a zoo and of its tokens."""
    folder = tmp_path_factory.mktemp("resnets")
    zoo, tokens = write_zoo(folder / "zoo"), folder / "tokens"
    tokens.mkdir()
    work = PlainWork(tokens, folder / "scratch")
    preprocess_zoo(zoo, PreprocessConfig(batch_norm=request.param, d_t=36), 0, work)
    return zoo, tokens


def test_what_is_no_token_is_the_aligned_original_s_own(resnets):
    zoo, tokens = resnets
    opened = open_behaviour(tokens, None, CONFIG, [3], zoo)
    assert len(opened.values) == 2
    pixels = torch.randn(6, *RESNET.input_shape, generator=generator())
    state = opened.answers(np.arange(2), torch.from_numpy(opened.values), pixels)
    for i, run in enumerate((0, 2)):
        own = {name: torch.from_numpy(v) for name, v in network(RESNET, 10 * run + 3).items()}
        logits = functional_call(RESNET.build().eval(), own, (pixels,))
        assert torch.allclose(state[i], torch.log_softmax(logits, -1), atol=1e-4)


def test_a_batch_norm_zoo_s_own_entries_are_asked_for(resnets):
    with pytest.raises(ValueError, match="needs the entries that are no tokens.*give the zoo"):
        open_behaviour(resnets[1], None, CONFIG, [3])


def test_only_train_images_are_answered(resnets, tmp_path):
    rng = np.random.default_rng(0)
    parts = {
        part: Images(
            rng.integers(0, 256, (5, *RESNET.input_shape), dtype=np.uint8), np.zeros(5, np.int64)
        )
        for part in ("train", "validation", "test")
    }
    write_images(tmp_path, parts, "noise", 2, "")
    opened = open_behaviour(resnets[1], tmp_path, CONFIG, None, resnets[0])
    assert len(opened.values) == 4
    np.testing.assert_array_equal(opened.images.pixels, parts["train"].pixels)


def test_more_checkpoints_than_memory_holds_are_drawn_from(resnets, monkeypatch):
    zoo, tokens = resnets
    every = open_behaviour(tokens, None, CONFIG, None, zoo)
    monkeypatch.setattr(behaviour, "token_size", lambda folder: 10**6 * 36)
    monkeypatch.setattr(behaviour, "token_count", lambda layers, d_t: 1)
    config = CONFIG.model_copy(update={"memory_mb": 3 * 4 * 36})
    some = [open_behaviour(tokens, None, config, None, zoo, seed) for seed in (0, 0, 1, 2, 3)]
    assert [len(opened.values) for opened in some] == [3] * 5
    for opened in some:
        known = (opened.values[:, None] == every.values).all((2, 3))
        assert (known.sum(1) == 1).all() and (known.sum(0) <= 1).all()
    assert np.array_equal(some[0].values, some[1].values)
    assert any(not np.array_equal(some[0].values, other.values) for other in some[2:])


def test_epochs_without_checkpoints_are_refused(resnets):
    with pytest.raises(ValueError, match=r"split train must have checkpoints of epochs \[7\]"):
        open_behaviour(resnets[1], None, CONFIG, [7], resnets[0])
