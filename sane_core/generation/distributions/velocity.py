"""A velocity from noise to points, learned by conditional flow matching (Lipman et al., 2023).

The path between noise x0 ~ N(0, I) and a point x1 is straight, `x(t) = (1 - t) x0 + t x1`, so its
velocity is `x1 - x0`; the network learns the mean of it over all paths through x at time t.
Following that mean from t = 0 to 1 carries noise to the distribution of the points.

Points of mean 0 and unit covariance whose distribution is a Gaussian have the mean velocity
`(2t - 1) x / ((1 - t)² + t²)`. That is where the field starts, and the network learns what differs.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, silu

from sane_core.zoo.population.cores import on_cores
from schemas.config.flow import FlowConfig

FREQUENCIES = 4
"""Waves of time, of 1, 2, 4 and 8 half turns between noise and points."""

GAIN = 2.8
"""1 / E[silu(x)²] for x ~ N(0, 1): layers hand on the variance that they get."""


class Velocity(nn.Module):
    """A perceptron of three hidden layers over a point and its time."""

    def __init__(self, dimensions: int, width: int) -> None:
        super().__init__()
        sizes = (dimensions + 2 * FREQUENCIES, width, width, width, dimensions)
        self.first, self.second, self.third, self.last = map(nn.Linear, sizes[:-1], sizes[1:])

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Return velocities [points, d] of points [points, d] at times [points, 1] in 0..1."""
        angles = time * torch.pi * 2.0 ** torch.arange(FREQUENCIES)
        hidden = torch.cat((x, angles.sin(), angles.cos()), 1)
        for layer in (self.first, self.second, self.third):
            hidden = silu(layer(hidden))
        return self.last(hidden) + x * (2 * time - 1) / ((1 - time) ** 2 + time**2)


def train_velocity(points: Tensor, config: FlowConfig, seed: int) -> Velocity:
    """Learn the field that carries N(0, I) to these points, on one core: matrices are small.

    Args:
        points: float32 [points, d], of mean 0 and about unit covariance.
        config: Size of the network and its training.
        seed: Start of the network, and every draw.
    """
    (field,) = on_cores(lambda own: _train(points, config, own), [seed])
    return field


def _train(points: Tensor, config: FlowConfig, seed: int) -> Velocity:
    stream = torch.Generator().manual_seed(seed)
    field = _untrained(points.shape[1], config.width, stream)
    optimizer = torch.optim.Adam(field.parameters(), config.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    for _ in range(config.steps):
        chosen = torch.randint(len(points), (config.batch,), generator=stream)
        ends = points[chosen]
        starts = torch.randn(ends.shape, generator=stream)
        time = _spread_out(config.batch, stream)
        loss = mse_loss(field(torch.lerp(starts, ends, time), time), ends - starts)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return field.eval().requires_grad_(False)


@torch.inference_mode()
def follow(field: Velocity, x: Tensor, start: float, steps: int) -> Tensor:
    """Carry points along the field from time `start` to 1, by Heun's method.

    Args:
        field: Where to.
        x: Points at that time, [points, d].
        start: In 0..1.
        steps: Equal steps; each looks at the field where it starts and where it would end.
    """
    times = torch.linspace(start, 1, steps + 1).tolist()
    for now, then in zip(times[:-1], times[1:], strict=True):
        here = field(x, x.new_full((len(x), 1), now))
        there = field(x + (then - now) * here, x.new_full((len(x), 1), then))
        x = x + (then - now) * (here + there) / 2
    return x


def _untrained(dimensions: int, width: int, stream: torch.Generator) -> Velocity:
    """Draw weights that keep the variance; those of the last layer are zero.

    On the meta device PyTorch's own start draws nothing from its global generator.
    """
    with torch.device("meta"):
        field = Velocity(dimensions, width)
    field.to_empty(device="cpu")
    for layer in (field.first, field.second, field.third, field.last):
        nn.init.normal_(layer.weight, 0, (GAIN / layer.in_features) ** 0.5, generator=stream)
        nn.init.zeros_(layer.bias)
    nn.init.zeros_(field.last.weight)
    return field


def _spread_out(count: int, stream: torch.Generator) -> Tensor:
    """Draw times, one in each of `count` equal parts of 0..1, so that none is left out."""
    return ((torch.arange(count) + torch.rand(count, generator=stream)) / count)[:, None]
