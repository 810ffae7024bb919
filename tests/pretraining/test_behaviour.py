"""The behaviour loss: it sees functions, not weights, and teaches encoder and decoder."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch.func import functional_call

from sane_core.architectures.registry import architecture_named
from sane_core.images.images import Images
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.pretraining.behaviour import Behaviour
from sane_core.pretraining.whole import cut_whole, join_whole, weights_of
from sane_core.weights.files import TokenSet
from sane_core.weights.layers import layers_of_architecture
from sane_core.weights.standardize import measure, unstandardize
from sane_core.weights.symmetry.derive import groups_of
from sane_core.weights.symmetry.permute import permute, random_permutations
from sane_core.weights.tokens import detokenize, lengths_of, positions_of, tokenize
from schemas.config.pretrain import AutoencoderConfig, BehaviourConfig
from tests.pretraining.networks import generator, network

CNN = architecture_named("digits-cnn")
LAYERS = layers_of_architecture(CNN)
D_T, TOKENS = 73, 48
CONFIG = BehaviourConfig(weight=1.0, models=3, images=16, latent_noise=0.0)


@pytest.fixture(scope="module")
def population() -> dict[str, np.ndarray]:
    members = [network(CNN, seed) for seed in range(5)]
    return {name: np.stack([member[name] for member in members]) for name in members[0]}


@pytest.fixture(scope="module")
def images() -> Images:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
    return Images(pixels, np.zeros(40, np.int64), 1 / 255)


@pytest.fixture(scope="module")
def statistics(population):
    return measure(population, LAYERS)


def behaviour_of(population, statistics, images, config=CONFIG) -> Behaviour:
    tokens = TokenSet(
        values=tokenize(population, LAYERS, D_T, statistics),
        positions=positions_of(LAYERS, D_T),
        lengths=lengths_of(LAYERS, D_T),
        runs=np.arange(5),
        epochs=np.zeros(5, np.int64),
    )
    return Behaviour(tokens, LAYERS, statistics, CNN, images, config)


@pytest.fixture
def behaviour(population, statistics, images) -> Behaviour:
    return behaviour_of(population, statistics, images)


@dataclass
class Copies:
    """An autoencoder that forgets nothing."""

    config: AutoencoderConfig = AutoencoderConfig()

    def check_positions(self, positions):
        pass

    def encode_checked(self, tokens, positions, visible):
        return tokens

    decode_checked = encode_checked


def autoencoder(window: int = 16, **config):
    small = {"d_model": 16, "heads": 2, "layers": 1, "d_z": 6, "d_projection": 4} | config
    shape = AutoencoderShape(D_T, window, (TOKENS, 5, 20))
    return build(shape, AutoencoderConfig.model_validate(small), 0)


@pytest.mark.parametrize(("window", "first"), [(16, 0), (16, 5), (13, 12), (48, 0), (60, 0)])
def test_whole_networks_cut_into_windows_are_joined_again(window, first):
    tokens = torch.randn(3, TOKENS, 4, generator=generator())
    cut = cut_whole(tokens, torch.from_numpy(positions_of(LAYERS, D_T)), window, first)
    assert cut.tokens.shape[1:] == (window, 4)
    assert torch.equal(join_whole(cut.tokens, 3, TOKENS, first), tokens)
    places = join_whole(cut.positions, 3, TOKENS, first)
    assert torch.equal(places[2], torch.from_numpy(positions_of(LAYERS, D_T)))
    if cut.visible is None:
        assert (TOKENS + first) % window == 0
    else:
        shown = cut.visible.flatten(1)
        assert int(shown.sum()) == 3 * TOKENS
        assert not cut.tokens[~shown].any()


@pytest.mark.parametrize("d_t", [20, 73])
def test_weights_with_gradient_are_those_without(population, statistics, d_t):
    tokens = tokenize(population, LAYERS, d_t, statistics)
    wanted = unstandardize(detokenize(tokens, LAYERS), LAYERS, statistics)
    got = weights_of(torch.from_numpy(tokens), LAYERS, statistics)
    assert set(got) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_allclose(got[name].numpy(), values, atol=1e-6)


@pytest.mark.parametrize("window", [16, 20, 48, 64])
def test_networks_that_are_reconstructed_perfectly_behave_alike(behaviour, window):
    assert float(behaviour.loss(Copies(), window, generator())) == 0


def test_noise_on_the_latents_changes_behaviour(population, statistics, images):
    config = CONFIG.model_copy(update={"latent_noise": 0.3})
    noisy = behaviour_of(population, statistics, images, config)
    assert float(noisy.loss(Copies(), 16, generator())) > 1e-3


def test_the_loss_is_the_mean_squared_difference_of_log_probabilities(
    behaviour, population, statistics, images
):
    changed = {name: values * 1.3 for name, values in population.items()}
    pixels = torch.from_numpy(images.numbers(slice(8)))
    answers = []
    for weights in (population, changed):
        states = [{n: torch.from_numpy(v[i]) for n, v in weights.items()} for i in (1, 4)]
        module = CNN.build().eval()
        logits = torch.stack([functional_call(module, state, (pixels,)) for state in states])
        answers.append(torch.log_softmax(logits, dim=-1))
    tokens, decoded = (
        torch.from_numpy(tokenize(weights, LAYERS, D_T, statistics)[[1, 4]])
        for weights in (population, changed)
    )
    got = behaviour.distance(np.array([1, 4]), tokens, decoded, pixels)
    wanted = (answers[0] - answers[1]).square().mean()
    assert float(wanted.detach()) > 1e-4
    assert float(got) == pytest.approx(float(wanted.detach()), rel=1e-3)


def test_permuted_networks_behave_alike_and_half_permuted_ones_do_not(
    behaviour, population, statistics, images
):
    groups = groups_of(CNN)
    permutations = random_permutations(groups, 5, np.random.default_rng(0))
    whole = permute(population, groups, permutations)
    name = groups[0].axes[0].entry
    half = population | {name: whole[name]}
    pixels = torch.from_numpy(images.numbers())
    tokens = torch.from_numpy(behaviour.values)
    distances = [
        float(
            behaviour.distance(
                np.arange(5),
                tokens,
                torch.from_numpy(tokenize(weights, LAYERS, D_T, statistics)),
                pixels,
            )
        )
        for weights in (whole, half)
    ]
    assert distances[0] < 1e-9 < 1e-5 < distances[1]


@pytest.mark.parametrize("config", [{}, {"positions": "sinusoidal"}])
def test_the_gradient_reaches_encoder_and_decoder(behaviour, config):
    model = autoencoder(**config)
    behaviour.loss(model, 16, generator()).backward()
    for name, parameter in model.named_parameters():
        learns = not name.startswith("projection")
        assert (parameter.grad is not None and bool(parameter.grad.any())) == learns, name


def test_a_step_down_the_gradient_makes_networks_behave_more_alike(behaviour):
    model = autoencoder()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    losses = []
    for _ in range(5):
        loss = behaviour.loss(model, 16, generator())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_one_latent_for_all_needs_windows_of_whole_networks(behaviour):
    model = autoencoder(TOKENS, bottleneck="model")
    behaviour.loss(model, TOKENS, generator()).backward()
    short = autoencoder(16, bottleneck="model")
    with pytest.raises(ValueError, match="must hold whole networks .48 tokens.*got 16"):
        behaviour.loss(short, 16, generator())


def test_positions_beyond_the_tables_are_refused(behaviour):
    shape = AutoencoderShape(D_T, 16, (TOKENS - 1, 5, 20))
    model = build(shape, AutoencoderConfig(d_model=16, heads=2, layers=1), 0)
    with pytest.raises(ValueError, match="position n must be < 47"):
        behaviour.loss(model, 16, generator())


def test_the_generator_alone_decides_what_is_drawn(behaviour):
    model = autoencoder()
    first, again, other = (behaviour.loss(model, 16, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_networks_run_in_float32_whatever_the_autoencoder_does(behaviour):
    tokens = torch.from_numpy(behaviour.values)
    pixels = torch.from_numpy(behaviour.images.numbers())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        within = behaviour.distance(np.arange(5), tokens, 1.1 * tokens, pixels)
        assert behaviour.loss(autoencoder(), 16, generator()).dtype == torch.float32
    assert torch.equal(within, behaviour.distance(np.arange(5), tokens, 1.1 * tokens, pixels))


@pytest.mark.parametrize("broken", ["original", "decoded"])
def test_networks_that_answer_without_sense_are_left_out(behaviour, broken):
    tokens = torch.from_numpy(behaviour.values.copy())
    decoded = (1.2 * tokens).requires_grad_()
    values = torch.ones_like(tokens)
    values[1] = torch.inf
    pixels = torch.from_numpy(behaviour.images.numbers())
    originals = tokens * values if broken == "original" else tokens
    seen = decoded * values if broken == "decoded" else decoded
    loss = behaviour.distance(np.arange(5), originals, seen, pixels)
    loss.backward()
    others = [0, 2, 3, 4]
    alone = behaviour.distance(np.array(others), tokens[others], 1.2 * tokens[others], pixels)
    assert float(loss.detach()) == pytest.approx(float(alone), rel=1e-5)
    assert decoded.grad is not None
    assert decoded.grad[others].isfinite().all()
    assert decoded.grad[others].any()


def test_without_images_random_inputs_are_answered(population, statistics):
    blind = behaviour_of(population, statistics, None)
    assert float(blind.loss(Copies(), 16, generator())) == 0
    assert float(blind.loss(autoencoder(), 16, generator()).detach()) > 0


def test_images_of_another_shape_are_refused(population, statistics):
    wrong = Images(np.zeros((4, 3, 8, 8), np.uint8), np.zeros(4, np.int64))
    with pytest.raises(ValueError, match=r"images must have shape \(1, 8, 8\).*got \(3, 8, 8\)"):
        behaviour_of(population, statistics, wrong)


class Noted(Copies):
    """Copies, and what was shown."""

    def encode_checked(self, tokens, positions, visible):
        self.shown = tokens
        return super().encode_checked(tokens, positions, visible)


def test_noised_networks_answer_for_themselves(population, statistics, images):
    noised = BehaviourConfig(weight=1.0, models=5, images=16, latent_noise=0.0, weight_noise=0.5)
    opened = behaviour_of(population, statistics, images, noised)
    copies = Noted()
    assert opened.loss(copies, TOKENS, generator()) < 1e-9
    moved = (copies.shown - torch.from_numpy(opened.values)).abs()
    real = torch.arange(D_T) < torch.from_numpy(opened.lengths)[:, None]
    assert not moved[:, ~real].any()
    shown = {tuple(tokens.flatten().tolist()) for tokens in copies.shown}
    known = {tuple(tokens.flatten().tolist()) for tokens in torch.from_numpy(opened.values)}
    assert 0 < len(shown & known) < 5
