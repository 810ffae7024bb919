"""Sharpening: the decoder fine-tuned on the behaviour of its own noisy samples (beyond the paper).

A decoder that is trained on weights alone makes samples that lie on the accuracy-novelty front of
plain noise. Here it learns what noise on latents should be decoded to: networks that answer well.
The encoder and the position embedding are frozen, so latents and embeddings stay what they were,
bit for bit.

Every draw is known by its step, and the state is kept now and then: sharpening that was killed at
any step and resumed ends with the weights of one that was not, bit for bit on a CPU.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sane_core.generation.sharpen_loss import Losses, Sharpening
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.pretraining.devices import (
    allow_tf32,
    choose_device,
    choose_precision,
    peak_memory,
)
from sane_core.pretraining.engine import with_prefix
from sane_core.pretraining.schedule import one_cycle
from sane_core.pretraining.state import State, read_state, write_state
from sane_core.seeding import seed_for

DECODER = ("latents_in.", "decoder.", "decoder_norm.", "tokens_out.")
"""Beginnings of the names of what is trained."""

BLOCK = 25
"""Steps of a row of the curve; a state is kept between rows."""


@dataclass
class Sharpened:
    """A sharpened SANE.

    Attributes:
        model: Ready for inference.
        optimizer: Moments after the last step, on the CPU.
        curve: A row per `BLOCK` steps: step, learning_rate, target, reconstruction (means).
        parameters: Weights that were trained.
        steps: Taken by this process, which may have resumed.
        seconds: Theirs.
        peak_memory: In MB.
        device: What it computed on.
        precision: Of the decoder.
        notes: What a user should know.
    """

    model: Autoencoder
    optimizer: dict[str, torch.Tensor] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    parameters: int = 0
    steps: int = 0
    seconds: float = 0.0
    peak_memory: float = 0.0
    device: str = ""
    precision: str = ""
    notes: list[str] = field(default_factory=list)


def sharpen(
    model: Autoencoder,
    sharpening: Sharpening,
    seed: int,
    *,
    scratch: Path | None = None,
    data: str = "",
    on_step: Callable[[int, int, float], None] | None = None,
) -> Sharpened:
    """Train the decoder, or go on training it.

    Args:
        model: Trained autoencoder; its decoder is changed.
        sharpening: Networks and images.
        seed: The run's seed.
        scratch: Folder of the state to resume from; none is kept if not given.
        data: What networks, images and autoencoder are, by digest; a resumed one must have the
            same.
        on_step: Called with (step, steps, target loss).

    Raises:
        ValueError: If the loss becomes NaN or infinite, the device or precision is not there, or
            `scratch` holds the state of another one.
    """
    training = _Training(model, sharpening, seed, scratch, data)
    training.resume()
    while training.step < sharpening.config.steps:
        training.advance(on_step)
    return training.result()


def decoder_of(model: Autoencoder) -> dict[str, torch.nn.Parameter]:
    """Return the weights that sharpening trains, by name."""
    return {n: p for n, p in model.named_parameters() if n.startswith(DECODER)}


class _Training:
    """The decoder with its optimizer, and how far they are."""

    def __init__(
        self,
        model: Autoencoder,
        sharpening: Sharpening,
        seed: int,
        scratch: Path | None,
        data: str,
    ) -> None:
        config = sharpening.config
        self.sharpening, self.config, self.seed, self.scratch = sharpening, config, seed, scratch
        device = choose_device(config.device)
        self.precision = choose_precision(config.precision, device)
        allow_tf32(device)
        model.check_positions(sharpening.tokens.positions)
        self.model = model.to(device).train()
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        self.trained = decoder_of(self.model)
        for parameter in self.trained.values():
            parameter.requires_grad_(True)
        self.optimizer = torch.optim.AdamW(
            self.trained.values(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.step = 0
        self.sharpened = Sharpened(
            self.model,
            parameters=sum(p.numel() for p in self.trained.values()),
            device=device.type,
            precision=str(self.precision).removeprefix("torch."),
        )
        self.identity: dict[str, Any] = {
            "sharpen": config.model_dump(mode="json", exclude={"save_minutes"}),
            "seed": seed,
            "data": data,
        }
        self._saved = time.monotonic()

    def advance(self, on_step: Callable[[int, int, float], None] | None) -> None:
        """Take the steps of the next row of the curve, and keep the state if it is time."""
        begun, first = time.perf_counter(), self.step
        sums = torch.zeros(2, dtype=torch.float64)
        rate = 0.0
        for step in range(first, min(first + BLOCK, self.config.steps)):
            rate, momentum = one_cycle(step, self.config.steps, self.config.learning_rate)
            losses = self._step(rate, momentum)
            sums += losses
            self.step = step + 1
            if on_step:
                on_step(self.step, self.config.steps, float(losses[0]))
        target, reconstruction = (sums / (self.step - first)).tolist()
        self.sharpened.curve.append(
            {
                "step": self.step,
                "learning_rate": rate,
                "target": target,
                "reconstruction": reconstruction,
            }
        )
        self.sharpened.steps += self.step - first
        self.sharpened.seconds += time.perf_counter() - begun
        if time.monotonic() - self._saved >= 60 * self.config.save_minutes:
            self._save()

    def resume(self) -> None:
        """Go on from the state in the scratch folder, if there is one."""
        if self.scratch is None:
            return
        state = read_state(self.scratch, self.identity, self.sharpened.notes.append)
        if state is None:
            return
        decoder = with_prefix(state.tensors, "model.")
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(decoder[name])
                kinds = with_prefix(state.tensors, f"optimizer.{name}.")
                # AdamW keeps the number of steps on the CPU.
                self.optimizer.state[parameter] = {
                    kind: value.to("cpu" if kind == "step" else parameter.device)
                    for kind, value in kinds.items()
                }
        self.step, self.sharpened.curve = state.facts["step"], state.facts["curve"]

    def result(self) -> Sharpened:
        """Return what was trained."""
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        self.sharpened.model = self.model.eval()
        moments = with_prefix(self._tensors(), "optimizer.")
        self.sharpened.optimizer = {name: value.cpu() for name, value in moments.items()}
        self.sharpened.peak_memory = peak_memory(next(self.model.parameters()).device)
        return self.sharpened

    def _step(self, rate: float, momentum: float) -> torch.Tensor:
        """Change the decoder; return target and reconstruction, float64 [2]."""
        for group in self.optimizer.param_groups:
            group["lr"], group["betas"] = rate, (momentum, group["betas"][1])
        draw = torch.Generator().manual_seed(seed_for(self.seed, "sharpen", self.step))
        losses = self.sharpening.loss(self.model, self.step, draw, self.precision)
        self._total(losses).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        values = torch.stack([*losses]).detach().double().cpu()
        if not values.isfinite().all():
            raise ValueError(
                f"the loss of sharpening must stay finite, got {values.tolist()} in step "
                f"{self.step + 1}: lower sharpen.learning_rate or sharpen.bandwidth"
            )
        return values

    def _total(self, losses: Losses) -> torch.Tensor:
        return losses.target + self.config.reconstruction * losses.reconstruction

    def _tensors(self) -> dict[str, torch.Tensor]:
        """Return weights and moments by name: `model.…`, `optimizer.…`."""
        found: dict[str, torch.Tensor] = {}
        for name, parameter in self.trained.items():
            found[f"model.{name}"] = parameter.detach()
            for kind, value in self.optimizer.state[parameter].items():
                found[f"optimizer.{name}.{kind}"] = value
        return found

    def _save(self) -> None:
        self._saved = time.monotonic()
        if self.scratch is None:
            return
        facts = {"step": self.step, "curve": self.sharpened.curve}
        write_state(self.scratch, State(self._tensors(), facts), self.identity)
