"""One step of training: passes forward and back in parts, and the optimizer (Algorithm 1, step v).

Everything on the device that a step changes is here; what is drawn comes from the `Plan`. A step
never waits for a GPU: what it measured stays there, as a tensor.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from sane_core.pretraining.augment import ViewPair
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.pretraining.behaviour import Behaviour
from sane_core.pretraining.devices import autocast
from sane_core.pretraining.distributed import Ranks
from sane_core.pretraining.losses import gather_views
from sane_core.pretraining.objective import Inputs, Objective
from sane_core.pretraining.plan import Place, Plan
from sane_core.pretraining.schedule import one_cycle
from sane_core.seeding import seed_for
from schemas.config.pretrain import PretrainConfig


class Engine:
    """The autoencoder with its losses, its optimizer and its precision."""

    def __init__(
        self,
        shape: AutoencoderShape,
        config: PretrainConfig,
        plan: Plan,
        variances: Sequence[Sequence[float]],
        behaviours: Sequence[Behaviour],
        device: torch.device,
        precision: torch.dtype,
        ranks: Ranks,
    ) -> None:
        """Build the autoencoder from the plan's seed, on a device."""
        self.config, self.plan, self.ranks = config, plan, ranks
        self.device, self.precision, self.behaviours = device, precision, behaviours
        built = build(shape, config.autoencoder, seed_for(plan.seed, "autoencoder"))
        self.model = built.to(device)
        self.window = shape.window
        self.variances = variances
        self.objective = self._objective()
        self._passes: nn.Module | None = None
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
        self.compiled = "no"

    def step(self, place: Place, pairs: Sequence[ViewPair]) -> torch.Tensor:
        """Change the weights by a batch.

        Args:
            place: Step of the training.
            pairs: `accumulate` parts of what this process has of the batch, on the device.

        Returns:
            float32 [5] on the device, as `meter.NAMES`; the means of this process.
        """
        rate, momentum = self.rate(place)
        for group in self.optimizer.param_groups:
            group["lr"], group["betas"] = rate, (momentum, group["betas"][1])
        self.model.train()
        values = self._backward(place, pairs)
        self.scaler.unscale_(self.optimizer)
        norm = self._norm()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return torch.cat([values, norm.reshape(1)])

    def rate(self, place: Place) -> tuple[float, float]:
        """Return the learning rate and the momentum of a step."""
        number = self.plan.steps(place.epoch) + place.step
        return one_cycle(number, self.plan.steps(), self.config.learning_rate)

    def compile(self, pairs: Sequence[ViewPair]) -> None:
        """Compile the pass, tried on a first batch; where that fails, go on without and say so."""
        self.objective.compile_pass()
        failed = None
        try:
            # By itself: the processes compile at their own speed. Batches with and without padding
            # are two graphs.
            for padded in (True, False):
                inputs = self.objective.prepare(pairs[0]._replace(padded=padded))
                self._forward(self.objective, inputs)[0].backward()
            self.compiled = "yes"
        except torch.OutOfMemoryError:
            # The step itself will say how many windows fit.
            failed = "out of memory"
        # A compiler may be missing or fail in any way.
        except Exception as error:
            said = [line.strip() for line in str(error).splitlines() if line.strip()]
            failed = " ".join(said[:2])[:200] or type(error).__name__
        if failed:
            self.compiled = f"no, as it failed: {failed}"
            self.objective = self._objective()
        self.optimizer.zero_grad(set_to_none=True)

    def trial(self, pair: ViewPair) -> None:
        """Take the memory of a step with these windows; the weights are of no use afterwards.

        It is the first step, which has the behaviour loss if any has.
        """
        self.optimizer.zero_grad(set_to_none=True)
        draw = torch.Generator(self.device)
        alone = self._objective()
        values = self._forward(alone, alone.prepare(pair, draw), Place(0, 0))
        (values[0] + self.config.behaviour.weight * values[3]).backward()
        self.optimizer.step()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return weights and moments of the optimizer by name: `model.…`, `optimizer.…`."""
        found = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            for kind, value in self.optimizer.state[parameter].items():
                found[f"optimizer.{name}.{kind}"] = value
        return found

    def restore(self, tensors: dict[str, torch.Tensor], scaler: dict[str, Any]) -> None:
        """Go on from `tensors()` and the scaler's `state_dict()`."""
        self.model.load_state_dict(with_prefix(tensors, "model."))
        for name, parameter in self.model.named_parameters():
            kinds = with_prefix(tensors, f"optimizer.{name}.")
            self.optimizer.state[parameter] = {k: v.to(self.device) for k, v in kinds.items()}
        if scaler:
            self.scaler.load_state_dict(scaler)

    def _objective(self) -> Objective:
        return Objective(self.model, self.config, self.variances).to(self.device)

    def _backward(self, place: Place, pairs: Sequence[ViewPair]) -> torch.Tensor:
        """Add up the gradients of the parts; return their mean losses [4]."""
        passes = self._wrapped()
        parts, size = len(pairs), self.config.batch // self.config.accumulate
        share = self._share_of_real(pairs)
        total = torch.zeros(4, device=self.device)
        for part, pair in enumerate(pairs):
            own = size // self.ranks.size
            start = part * size + self.ranks.rank * own
            # The same draw for the whole batch again: a part's noise is what it is without parts.
            draw = self.plan.generator("noise", place, self.device)
            inputs = self.objective.prepare(
                pair, draw, self.config.batch, slice(start, start + len(pair.sets))
            )
            inputs = inputs._replace(real=share)
            last = part == parts - 1
            with nullcontext() if last or self.ranks.size == 1 else passes.no_sync():
                values = self._forward(passes, inputs, place if last else None)
                # The behaviour loss is of the whole step.
                loss = values[0] / parts + self.config.behaviour.weight * values[3]
                self.scaler.scale(loss).backward()
            values = values.detach()
            total = total + torch.cat([values[:3] / parts, values[3:]])
        total[0] += self.config.behaviour.weight * total[3]
        return total

    def _forward(
        self, passes: Callable[[Inputs], Any], inputs: Inputs, place: Place | None = None
    ) -> torch.Tensor:
        """Return loss, reconstruction, contrast and behaviour [4]; the last, if a step is given."""
        with autocast(self.device, self.precision):
            losses = passes(inputs)
            behaviour = self._behaviour(place)
        return torch.stack([*losses, losses[0].new_zeros(()) if behaviour is None else behaviour])

    def _behaviour(self, place: Place | None) -> torch.Tensor | None:
        """Return the behaviour loss where this step has one: zoos take turns."""
        number = None if place is None else self.plan.asked(place)
        if place is None or number is None:
            return None
        behaviour = self.behaviours[number % len(self.behaviours)]
        draw = self.plan.generator("behaviour", place)
        return behaviour.loss(self.model, self.window, draw, self.device)

    def _share_of_real(self, pairs: Sequence[ViewPair]) -> torch.Tensor:
        """Return the real weights of the whole batch, divided by its parts and processes."""
        own = torch.full((), float(sum(pair.real for pair in pairs)), device=self.device)
        return self.ranks.mean(own) / len(pairs)

    def _norm(self) -> torch.Tensor:
        """Return the norm of the gradient, which is clipped after that if it must be."""
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self.config.clip is not None:
            nn.utils.clip_grads_with_norm_(parameters, self.config.clip, norm)
        return norm

    def _wrapped(self) -> Any:
        """Return the objective as it is passed; it is wrapped once, when it is compiled or not."""
        if self._passes is None:
            if self.ranks.size > 1:
                self.objective.gather = gather_views
            self._passes = self.ranks.wrap(self.objective, self.device)
        return self._passes


def with_prefix(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return those whose names begin so, without that."""
    return {name[len(prefix) :]: v for name, v in tensors.items() if name.startswith(prefix)}
