"""The time of whole training steps: reading, views, noise, passes, optimizer, losses looked at.

A step's work is 6 operations for each weight of a matrix and token, and attention's; the projection
head is left out. The limit is the rate of matrix products alone, of the model's own shapes, those
of the passes back included, in the type of training. Beside it stands a plain loop of the same
model: read, pass, back, AdamW, nothing compiled, prefetched or fused; on a GPU in float16 with a
scaler, on a CPU in float32 as PyTorch computes unless told otherwise.

The limit is measured before, between and after the two, and all are their best repeat: other
processes only ever add to it.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from shared.rows import Row
from shared.training_set import LAYERS, WIDTH, write_windows
from torch import nn

from sane_core.pretraining.augment import pick_views, take_views
from sane_core.pretraining.autoencoder import Autoencoder, AutoencoderShape, build
from sane_core.pretraining.devices import autocast, choose_precision, peak_memory
from sane_core.pretraining.history import Measured, Pretrained, Watch
from sane_core.pretraining.objective import Objective
from sane_core.pretraining.train import pretrain
from sane_core.windows.reader import WindowReader, open_windows
from schemas.config.presets import preset_named
from schemas.config.pretrain import PretrainConfig

SIZES = {"cnn": (201, 48), "resnet18": (288, 39_124)}
"""Token size, and tokens of a network."""
WARM = {"cpu": 1, "cuda": 6}
"""Steps that are not counted."""


def measure_steps(preset: str, steps: int, device: str, compiled: str = "auto") -> list[Row]:
    """Measure a preset; so many steps each, in turns with the limit and the plain loop."""
    d_t, tokens = SIZES[preset]
    found = preset_named(preset)
    window = found.window or tokens
    where = torch.device(device)
    changes = {"epochs": 1, "device": device, "compile": compiled}
    config = found.pretrain.model_copy(update=changes)
    shape = AutoencoderShape(d_t, window, (tokens, LAYERS, WIDTH))
    precision = choose_precision(config.precision, where)
    with tempfile.TemporaryDirectory(prefix="sane-pretraining-") as name:
        # As many windows as steps and warming up take.
        epochs = steps + WARM[device]
        folder = write_windows(Path(name), window, d_t, tokens, config.batch, epochs)
        train, validation = (open_windows([folder], s, "numpy") for s in ("train", "validation"))
        limits = [_matrix_rate(config, shape, precision, where)]
        seconds, trained = _steps(train, validation, shape, config)
        limits.append(_matrix_rate(config, shape, precision, where))
        peak = peak_memory(where)
        if where.type == "cuda":
            torch.cuda.empty_cache()
        plain_type = torch.float16 if where.type == "cuda" else torch.float32
        plain = _plain_loop(train, shape, config, where, plain_type, min(steps, 4))
        limits.append(_matrix_rate(config, shape, precision, where))
    step, limit = min(seconds), max(limits)
    work = operations(trained.model, config.batch, window)
    kind = str(precision).removeprefix("torch.")
    slow = str(plain_type).removeprefix("torch.")
    case = f"{preset}.{kind}"
    against = f"a plain uncompiled loop in {slow}"
    rates = trained.measured
    return [
        Row(f"{case}.matrix-products", limit / 1e12, "TFLOP/s"),
        Row(f"{case}.step", work / step / 1e12, "TFLOP/s", against, min(plain) / step,
            limit / 1e12),
        Row(f"{case}.seconds-per-step", step, "s"),
        Row(f"{case}.parameters", sum(p.numel() for p in trained.model.parameters()) / 1e6, "M"),
        Row(f"{case}.waiting", 100 * rates.waited / rates.stepping, "% of the time, for data"),
        Row(f"{case}.memory", peak, "MB at the peak"),
        Row(f"{case}.compiled", float(rates.compiled == "yes"), "1: yes"),
    ]  # fmt: skip


def operations(model: Autoencoder, batch: int, window: int) -> float:
    """Return the floating-point operations of a step of both views, back and forth."""
    matrices = sum(
        module.weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and not name.startswith("projection")
    )
    blocks = len(model.encoder) + len(model.decoder)
    attention = 12 * blocks * window * model.config.d_model
    return 2.0 * batch * window * (6 * matrices + attention)


def _steps(
    train: WindowReader,
    validation: WindowReader,
    shape: AutoencoderShape,
    config: PretrainConfig,
) -> tuple[list[float], Pretrained]:
    """Train an epoch; return the seconds of each step after the first ones."""
    ends: list[tuple[int, float]] = []

    def note(step: int, steps: int, loss: float, measured: Measured) -> None:
        del steps, loss, measured
        ends.append((step, time.perf_counter()))

    trained = pretrain(train, validation, shape, config, 0, watch=Watch(on_step=note))
    warm = WARM[config.device]
    late = [end for end in ends if end[0] >= warm] or ends
    taken = [
        (after[1] - before[1]) / (after[0] - before[0])
        for before, after in zip(late, late[1:], strict=False)
    ]
    return taken, trained


def _matrix_rate(
    config: PretrainConfig, shape: AutoencoderShape, precision: torch.dtype, device: torch.device
) -> float:
    """Return operations per second of the products of a block, the three of each weight."""
    rows, width = 2 * config.batch * shape.window, config.autoencoder.d_model
    products: list[Callable[[], torch.Tensor]] = []
    work = 0
    for outputs, inputs in ((3, 1), (1, 1), (4, 1), (1, 4)):
        x = torch.randn(rows, inputs * width, device=device).to(precision)
        w = torch.randn(outputs * width, inputs * width, device=device).to(precision)
        g = torch.randn(rows, outputs * width, device=device).to(precision)
        products += [
            lambda x=x, w=w: x @ w.T,
            lambda g=g, w=w: g @ w,
            lambda g=g, x=x: g.T @ x,
        ]
        work += 6 * rows * w.numel()
    repeats = 20 if device.type == "cuda" else 2
    taken = []
    for _ in range(3):
        for product in products:
            product()
        begun = _now(device)
        for _ in range(repeats):
            for product in products:
                product()
        taken.append(_now(device) - begun)
    return work * repeats / min(taken)


def _plain_loop(
    train: WindowReader,
    shape: AutoencoderShape,
    config: PretrainConfig,
    device: torch.device,
    precision: torch.dtype,
    steps: int,
) -> list[float]:
    """Train the same model as one would write it down; return the seconds of each step."""
    model = build(shape, config.autoencoder, 0).to(device)
    objective = Objective(model, config).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, foreach=False)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    taken = []
    batches = _batches(train, config)
    for _ in range(steps + 1):
        begun = _now(device)
        batch = next(batches)
        views = pick_views(batch.tokens.shape[1], config.batch, config, torch.Generator())
        pair = take_views(batch, views).to(device)
        inputs = objective.prepare(pair, torch.Generator(device))
        with autocast(device, precision):
            losses = objective(inputs)
        optimizer.zero_grad()
        scaler.scale(losses.loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.loss.item()
        taken.append(_now(device) - begun)
    return taken[1:]


def _batches(train: WindowReader, config: PretrainConfig) -> Iterator:
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0)).numpy()
    return train.epoch_batches([*order.reshape(-1, config.batch)])


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
