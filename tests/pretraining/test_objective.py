"""One step's forward pass: the two losses put together, in parts, and as one compiled graph."""

import pytest
import torch

from sane_core.pretraining.augment import ViewPair
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.pretraining.losses import nt_xent, reconstruction_loss
from sane_core.pretraining.objective import Objective, mask_of
from schemas.config.pretrain import AutoencoderConfig, PretrainConfig

SHAPE = AutoencoderShape(d_t=7, window=6, positions=(12, 3, 6))
SMALL = AutoencoderConfig(d_model=16, heads=2, layers=1, d_z=5, d_projection=4)
CONFIG = PretrainConfig(autoencoder=SMALL, gamma=0.3)
VARIANCES = ((1.0, 4.0, 0.25), (2.0,))


def objective(config: PretrainConfig = CONFIG, **options) -> Objective:
    return Objective(build(SHAPE, config.autoencoder, 0), config, **options)


def pair(padded: bool = True, windows: int = 4) -> ViewPair:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 8, (2, windows, 6), generator=generator)
    if padded:
        lengths[:, 0, 4:] = 0
    tokens = torch.randn(2, windows, 6, 7, generator=generator) * mask_of(lengths, 7)
    n = torch.arange(6)
    return ViewPair(
        tokens=tokens.half(),
        positions=torch.stack([n, n // 2, n % 2], dim=1).expand(windows, -1, -1),
        lengths=lengths,
        sets=torch.zeros(windows, dtype=torch.int64),
        padded=padded,
        real=int(lengths.sum()),
    )


def rows_of(whole: ViewPair, rows: slice) -> ViewPair:
    lengths = whole.lengths[:, rows]
    return ViewPair(
        whole.tokens[:, rows],
        whole.positions[rows],
        lengths,
        whole.sets[rows],
        whole.padded,
        int(lengths.sum()),
    )


def noise() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_the_loss_weighs_reconstruction_against_contrast():
    whole, seen = objective(), pair()
    losses = whole(whole.prepare(seen))
    tokens, lengths = seen.tokens.flatten(0, 1).float(), seen.lengths.flatten(0, 1)
    positions = seen.positions.repeat(2, 1, 1)
    latents = whole.model.encode(tokens, positions, lengths)
    decoded = whole.model.decode(latents, positions, lengths)
    reconstruction = reconstruction_loss(decoded, tokens, mask_of(lengths, 7))
    contrastive = nt_xent(whole.model.projection(latents), CONFIG.temperature)
    assert torch.allclose(losses.reconstruction, reconstruction)
    assert torch.allclose(losses.contrastive, contrastive)
    assert torch.allclose(losses.loss, 0.7 * reconstruction + 0.3 * contrastive)


def test_noise_is_seen_and_not_asked_for():
    whole = objective()
    inputs, clean = whole.prepare(pair(), noise()), whole.prepare(pair())
    assert torch.equal(inputs.target, clean.seen)
    assert not torch.equal(inputs.seen, clean.seen)


def test_a_batch_without_padding_needs_no_mask_and_loses_nothing_by_it():
    whole, seen = objective(), pair(padded=False)
    inputs = whole.prepare(seen)
    assert inputs.visible is None
    masked = whole(whole.prepare(seen._replace(padded=True)))
    assert torch.allclose(whole(inputs).loss, masked.loss, atol=1e-6)


def test_layers_are_normalized_by_the_variances_of_their_own_set():
    config = CONFIG.model_copy(update={"layer_normalization": True})
    whole, seen = objective(config, variances=VARIANCES), pair()
    inputs = whole.prepare(seen._replace(sets=torch.tensor([0, 1, 0, 1])))
    assert inputs.weights is not None
    assert inputs.weights[0].tolist() == [1, 1, 0.25, 0.25, 4, 4]
    assert inputs.weights[1].tolist() == [0.5, 0.5, 1, 1, 1, 1]
    assert torch.equal(inputs.weights[:4], inputs.weights[4:])
    assert not torch.allclose(
        whole(inputs).reconstruction, objective()(objective().prepare(seen)).reconstruction
    )


def test_normalizing_layers_of_unknown_variance_is_refused():
    config = CONFIG.model_copy(update={"layer_normalization": True})
    with pytest.raises(ValueError, match="needs the variances.*compile the windows again"):
        objective(config)


def test_parts_of_a_batch_have_its_reconstruction_and_gradient_as_their_mean():
    config = CONFIG.model_copy(update={"gamma": 0.0})
    whole, seen = objective(config), pair()
    everything = whole(whole.prepare(seen, noise()))
    everything.loss.backward()
    wanted = [p.grad.clone() for p in whole.model.parameters() if p.grad is not None]
    whole.zero_grad(set_to_none=True)
    total = torch.zeros(())
    for rows in (slice(0, 2), slice(2, 4)):
        part = rows_of(seen, rows)
        inputs = whole.prepare(part, noise(), batch=4, rows=rows, real=seen.real / 2)
        loss = whole(inputs).loss / 2
        loss.backward()
        total += loss.detach()
    got = [p.grad for p in whole.model.parameters() if p.grad is not None]
    assert torch.allclose(total, everything.loss, atol=1e-6)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(got, wanted, strict=True))


def test_the_gathered_projections_are_those_that_are_compared():
    half = pair(windows=2)

    def twice(projected: torch.Tensor) -> torch.Tensor:
        first, second = projected.chunk(2)
        return torch.cat([first, first, second, second])

    alone, together = objective(), objective(gather=twice)
    own = alone(alone.prepare(half)).contrastive
    assert float(together(together.prepare(half)).contrastive - own) > 0.1


@pytest.mark.parametrize(
    ("update", "padded"),
    [
        ({}, False),
        ({"positions": "sinusoidal"}, True),
        ({"bottleneck": "model", "unseen": "clamp"}, True),
    ],
)
def test_a_step_compiles_to_one_graph_with_the_same_losses(update, padded):
    config = CONFIG.model_copy(
        update={"autoencoder": SMALL.model_copy(update=update), "layer_normalization": True}
    )
    whole = objective(config, variances=VARIANCES)
    inputs = whole.prepare(pair(padded), noise())
    plain = whole(inputs)
    torch._dynamo.reset()
    whole.compile_pass(backend="aot_eager")
    compiled = whole(inputs)
    compiled.loss.backward()
    assert torch.allclose(compiled.loss, plain.loss, atol=1e-5)
    assert all(p.grad is not None for p in whole.model.parameters())


def test_nt_xent_compiles_too_where_there_is_one_process():
    whole = objective()
    inputs = whole.prepare(pair(), noise())
    torch._dynamo.reset()
    compiled = torch.compile(whole, backend="aot_eager", fullgraph=True)(inputs)
    assert torch.allclose(compiled.loss, whole(inputs).loss, atol=1e-5)


def test_a_step_looks_at_no_value():
    config = CONFIG.model_copy(update={"layer_normalization": True})
    whole = objective(config, variances=VARIANCES).to("meta")
    losses = whole(whole.prepare(pair().to("meta")))
    losses.loss.backward()
    assert losses.loss.shape == ()


@pytest.mark.parametrize("padded", [True, False])
def test_autocast_changes_the_losses_by_rounding_alone(padded):
    whole = objective()
    inputs = whole.prepare(pair(padded), noise())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = whole(inputs)
    assert rounded.loss.dtype == torch.float32
    assert torch.allclose(rounded.loss, whole(inputs).loss, rtol=0.03)
