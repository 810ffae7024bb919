"""New networks are brought into a zoo's frame one way, and s(W) is that of raw weights.

One zoo has batch norms that no token is cut from, another units whose signs were flipped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from sane_core.api.sane import Sane
from sane_core.architectures.registry import architecture_named
from sane_core.embedding.files import Embeddings
from sane_core.embedding.zoo import embed_zoo
from sane_core.pretraining.files import load
from sane_core.probing import judge
from sane_core.probing.checkpoints import Checkpoints, read_checkpoints
from sane_core.probing.features import statistics
from sane_core.probing.foreign import tokens_of
from sane_core.probing.gate import fit_gate
from sane_core.probing.statistics import weight_statistics
from sane_core.probing.visitors import Zoo, visitors
from sane_core.weights.frame import read_frame
from sane_core.weights.preprocess import preprocess_zoo
from sane_core.weights.work import PlainWork
from sane_core.zoo.files import read_weights
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from tests.api.stages import D_T, SEED, write_model, write_zoo

NORMED = "cifar-resnet20[width=2]"
SIGNED = "mlp[activation=tanh,size=4]"
EPOCHS = (0, 2)


@dataclass(frozen=True)
class Framed:
    """A zoo of five runs, in tokens."""

    name: str
    zoo: Path
    tokens: Path
    model: Path
    config: PreprocessConfig
    embeddings: Embeddings

    @property
    def checkpoints(self) -> Checkpoints:
        return read_checkpoints(self.tokens, self.embeddings, self.zoo)

    def stored(self, run: int, epoch: int) -> dict[str, np.ndarray]:
        """The raw trained entries of one checkpoint, [1, ...]."""
        shapes = architecture_named(self.name).shapes()
        found = read_weights(self.zoo / "weights", shapes, [run], [epoch])
        return {name: values[0] for name, values in found.items()}


def framed(root: Path, name: str, config: PreprocessConfig) -> Framed:
    zoo, model = write_zoo(root / "zoo", name, "zoo"), write_model(root / "model")
    (root / "tokens").mkdir()
    preprocess_zoo(zoo, config, SEED, PlainWork(root / "tokens", root / "scratch"))
    at = (load(model), root / "tokens" / "tokens", EPOCHS, EmbedConfig())
    return Framed(name, zoo, root / "tokens", model, config, embed_zoo(*at))


@pytest.fixture(scope="module")
def normed(tmp_path_factory: pytest.TempPathFactory) -> Framed:
    root = tmp_path_factory.mktemp("normed")
    return framed(root, NORMED, PreprocessConfig(d_t=D_T, max_sweeps=1))


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Framed:
    root = tmp_path_factory.mktemp("signed")
    return framed(root, SIGNED, PreprocessConfig(d_t=D_T, signs=True))


@pytest.mark.parametrize("which", ["normed", "signed"])
def test_a_tried_network_gets_the_tokens_that_the_stage_and_a_user_get(
    which: str, request: pytest.FixtureRequest
) -> None:
    made: Framed = request.getfixturevalue(which)
    frame = read_frame(made.tokens, made.zoo, made.config, SEED)
    tokens = tokens_of(made.stored(3, 2), made.checkpoints, frame)
    (part,) = made.checkpoints.last_of("test").pieces()
    np.testing.assert_allclose(tokens, part.values, atol=1e-5)
    sane = Sane.from_artifacts(
        made.tokens, made.model, name="s", zoos=made.zoo, preprocess=made.config, seed=SEED
    )
    own = {name: values[0] for name, values in made.stored(3, 2).items()}
    vector = sane.embed([own], pooling="mean").vectors
    test = (made.embeddings.split == "test") & (made.embeddings.epochs == 2)
    np.testing.assert_allclose(vector, made.embeddings.vectors["sane_mean"][test], atol=1e-4)


def test_entries_that_are_no_tokens_decide_as_well(normed: Framed) -> None:
    """Where batch norms differ most, a match by tokens alone finds another order."""
    frame = read_frame(normed.tokens, normed.zoo, normed.config, SEED)
    assert set(frame.reference) == set(architecture_named(NORMED).shapes())
    frame = replace(frame, reference=_louder(frame.reference))
    alone = replace(frame, reference=read_frame(normed.tokens, None, frame.config, SEED).reference)
    weights = _louder(normed.stored(3, 2))
    found, other = (each.find(weights, [3]).permutations for each in (frame, alone))
    assert found.keys() == other.keys()
    assert any(not np.array_equal(found[name], other[name]) for name in found)


def _louder(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {n: 30 * v if "bn" in n or "norm" in n else v for n, v in weights.items()}


def test_a_zoo_that_was_not_aligned_takes_networks_as_they_are(signed: Framed) -> None:
    config = signed.config.model_copy(update={"align": False})
    frame = read_frame(signed.tokens, signed.zoo, config, SEED)
    weights = signed.stored(3, 2)
    found = frame.apply(frame.find(weights, [3]), weights, np.array([3]))
    assert all(np.array_equal(found[name], values) for name, values in weights.items())


@pytest.mark.parametrize("which", ["normed", "signed"])
def test_visitors_from_the_same_zoo_stay_where_they_are(
    which: str, request: pytest.FixtureRequest
) -> None:
    made: Framed = request.getfixturevalue(which)
    frame = read_frame(made.tokens, made.zoo, made.config, SEED)
    found = visitors(made.checkpoints, Zoo("same", made.tokens, EPOCHS, made.zoo), frame)
    (came,), (*_, own) = found.checkpoints.pieces(), made.checkpoints.pieces()
    np.testing.assert_allclose(came.values, own.values, atol=1e-5)
    np.testing.assert_allclose(found.statistics, statistics(made.checkpoints)[-2:], rtol=1e-6)


def test_s_w_is_that_of_raw_weights_whatever_signs_were_flipped(signed: Framed) -> None:
    checkpoints, own = signed.checkpoints, signed.embeddings
    found = statistics(checkpoints)
    for row, (run, epoch) in enumerate(zip(own.runs, own.epochs, strict=True)):
        raw = weight_statistics(signed.stored(int(run), int(epoch)), checkpoints.layers)
        np.testing.assert_allclose(found[row], raw[0], atol=1e-6)
    flipped = [
        weight_statistics(checkpoints.raw(p), checkpoints.layers) for p in checkpoints.pieces()
    ]
    assert not np.allclose(found, np.concatenate(flipped), atol=1e-3)


@pytest.mark.parametrize("which", ["normed", "signed"])
def test_a_network_of_the_zoo_is_tried_as_the_test_run_it_is(
    which: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Framed = request.getfixturevalue(which)
    monkeypatch.setattr(judge, "KINDS", {"same": "nothing changed"})
    monkeypatch.setattr(judge, "make_foreign", lambda weights, *_: weights)
    pooled, beside = made.embeddings.vectors["sane_layers"], statistics(made.checkpoints)
    sides = [made.embeddings.split == name for name in ("train", "validation")]
    train, validation = ((pooled[rows], beside[rows]) for rows in sides)
    gate = fit_gate(train, validation, made.embeddings.runs[sides[1]], 0.5)
    frame = read_frame(made.tokens, made.zoo, made.config, SEED)
    at = (gate, made.checkpoints, frame, made.model, made.embeddings, beside, EmbedConfig(), 0)
    _, same = judge.try_gate(*at)
    last = (made.embeddings.split == "test") & (made.embeddings.epochs == 2)
    own = gate.distances(pooled[last], beside[last])
    assert same.distance == pytest.approx(float(np.median(own)), rel=1e-3)
