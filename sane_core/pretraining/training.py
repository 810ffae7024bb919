"""How far a training is: epochs, validation, the best weights, and the state to resume from."""

import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from sane_core.pretraining.augment import ViewPair
from sane_core.pretraining.devices import peak_memory
from sane_core.pretraining.engine import Engine, with_prefix
from sane_core.pretraining.feed import read_steps
from sane_core.pretraining.history import (
    EpochRecord,
    Measured,
    Pretrained,
    Watch,
    best_of,
    converged,
)
from sane_core.pretraining.memory import does_not_fit, first_windows, largest_that_fits
from sane_core.pretraining.meter import Meter
from sane_core.pretraining.plan import Place
from sane_core.pretraining.state import BEFORE, NEWEST, State, read_state, write_state
from sane_core.pretraining.validation import combined, validate
from sane_core.windows.ahead import ahead
from sane_core.windows.reader import WindowReader


def look_every(device: torch.device) -> int:
    """Return the steps from one look at the loss to the next: a look waits for a GPU."""
    return 1 if device.type == "cpu" else 20


class Training:
    """What a state holds beside weights and moments, and the way from one to the next."""

    def __init__(
        self,
        engine: Engine,
        train: WindowReader,
        validation: WindowReader,
        scratch: Path | None,
        identity: dict[str, Any],
        watch: Watch,
    ) -> None:
        self.engine, self.plan, self.config = engine, engine.plan, engine.config
        self.train, self.validation = train, validation
        self.scratch, self.identity, self.watch = scratch, identity, watch
        self.place = Place(0, 0)
        self.history: list[EpochRecord] = []
        self.best: dict[str, torch.Tensor] = {}
        self.meter = self._meter()
        self.measured = Measured(
            device=engine.device.type, precision=str(engine.precision).removeprefix("torch.")
        )
        left_out = self.plan.left_out()
        if left_out:
            self.measured.notes.append(left_out)
        self._compiles = self.config.compile == "yes" or (
            self.config.compile == "auto" and engine.device.type == "cuda"
        )
        self._saved = time.monotonic()

    @property
    def converged(self) -> bool:
        """Whether validation has not become better for long enough."""
        return converged(self.history, self.config.patience)

    def epoch(self) -> None:
        """Train to the end of the epoch that the place is in, validate, and keep the state."""
        begun = time.perf_counter()
        steps = self.plan.lengths[self.place.epoch]
        if self.place.step < steps:
            self._steps(steps)
        self._record(steps)
        self.place = Place(self.place.epoch + 1, 0)
        self.meter = self._meter()
        self.measured.seconds += time.perf_counter() - begun
        self.measured.epochs += 1
        self._save()
        self.watch.on_epoch(self.history[-1])

    def resume(self) -> None:
        """Go on from the state in the scratch folder, if there is one."""
        if self.scratch is None:
            return
        state = read_state(self.scratch, self.identity, self.measured.notes.append)
        if state is None:
            return
        self.engine.restore(state.tensors, state.facts["scaler"])
        self.place = Place(*state.facts["place"])
        self.history = [EpochRecord.from_json(record) for record in state.facts["history"]]
        self.best = with_prefix(state.tensors, "best.")
        self.meter.total = state.tensors["sums"].to(self.engine.device)
        for record in self.history:
            self.watch.on_epoch(record)

    def result(self) -> Pretrained:
        """Return what was trained."""
        tensors = {name: value.cpu() for name, value in self.engine.tensors().items()}
        last = {n: v.clone() for n, v in with_prefix(tensors, "model.").items()}
        self.engine.model.load_state_dict(self.best)
        self.measured.peak_memory = peak_memory(self.engine.device)
        return Pretrained(
            model=self.engine.model.eval(),
            history=tuple(self.history),
            best_epoch=best_of(self.history),
            last=last,
            optimizer=with_prefix(tensors, "optimizer."),
            measured=self.measured,
        )

    def _steps(self, steps: int) -> None:
        engine = self.engine
        reading = ahead(
            read_steps(self.train, engine.model, self.plan, self.place, engine.ranks, engine.device)
        )
        with closing(reading):
            for step in range(self.place.step, steps):
                begun = time.perf_counter()
                pairs = self._on_device(next(reading))
                waited, compiling = time.perf_counter() - begun, self._compiles
                if compiling:
                    self._compile(pairs)
                    begun = time.perf_counter() - waited
                self._step(step, pairs)
                if (step + 1) % look_every(engine.device) == 0 or step == steps - 1:
                    self._look()
                self._count(time.perf_counter() - begun, waited, pairs)

    def _on_device(self, read: list[ViewPair]) -> list[ViewPair]:
        with suppress(torch.OutOfMemoryError):
            return [pair.to(self.engine.device) for pair in read]
        raise self._too_large(read[0])

    def _step(self, step: int, pairs: list[ViewPair]) -> None:
        values = None
        # What a traceback holds on to must be free before smaller parts are tried.
        with suppress(torch.OutOfMemoryError):
            values = self.engine.step(self.place, pairs)
        if values is None:
            raise self._too_large(pairs[0])
        self.place = Place(self.place.epoch, step + 1)
        self.meter.add(values, self.plan.steps(self.place.epoch) + step + 1)

    def _compile(self, pairs: list[ViewPair]) -> None:
        self._compiles = False
        self.engine.compile(pairs)
        self.measured.compiled = self.engine.compiled

    def _look(self) -> None:
        """Wait for the device: stop where weights broke, else tell, and keep the state."""
        loss, broken = self.meter.read()
        if broken is not None:
            raise ValueError(
                f"the {broken.name} must stay finite, got {broken.value} in epoch "
                f"{self.place.epoch + 1}, step {broken.step}: lower pretrain.learning_rate, or set "
                f"pretrain.clip{self._kept()}"
            )
        self.measured.peak_memory = peak_memory(self.engine.device)
        done = self.plan.steps(self.place.epoch) + self.place.step
        self.watch.on_step(done, self.plan.steps(), loss, self.measured)
        if time.monotonic() - self._saved > 60 * self.config.save_minutes:
            self._save()

    def _meter(self) -> Meter:
        engine = self.engine
        return Meter(engine.device, engine.ranks, scaled=engine.scaler.is_enabled())

    def _kept(self) -> str:
        """Return where the last good state is, if there is one."""
        there = self.scratch and any((self.scratch / name).exists() for name in (NEWEST, BEFORE))
        return f"; the last good state is kept in {self.scratch}" if there else ""

    def _record(self, steps: int) -> None:
        """Validate, add the epoch to the history, and keep its weights if it is the best."""
        engine, means = self.engine, self.meter.means(steps)
        sets = validate(
            engine.model,
            self.validation,
            self.config,
            engine.variances,
            engine.precision,
            engine.ranks,
        )
        validated = combined(sets, self.plan.shares)
        if not all(map(torch.isfinite, torch.tensor(list(asdict(validated).values())))):
            raise ValueError(
                f"the validation loss must be finite, got {validated.loss} after epoch "
                f"{self.place.epoch + 1}: look for infinite values in the validation windows"
            )
        epoch = self.place.epoch
        asked = sum(self.plan.asked(Place(epoch, step)) is not None for step in range(steps))
        self.history.append(
            EpochRecord(
                epoch=epoch + 1,
                train_loss=means["loss"],
                train_reconstruction=means["reconstruction"],
                train_contrastive=means["contrastive"],
                train_behaviour=means["behaviour"] * steps / max(1, asked),
                validation_loss=validated.loss,
                validation_reconstruction=validated.reconstruction,
                validation_contrastive=validated.contrastive,
                learning_rate=engine.rate(Place(epoch, steps - 1))[0],
                gradient_norm=means["gradient_norm"],
                validation_sets=sets,
            )
        )
        if best_of(self.history) == epoch + 1:
            self.best = {n: v.to("cpu", copy=True) for n, v in engine.model.state_dict().items()}

    def _save(self) -> None:
        self._saved = time.monotonic()
        if self.scratch is None or not self.engine.ranks.first:
            return
        tensors = self.engine.tensors() | {f"best.{name}": v for name, v in self.best.items()}
        tensors["sums"] = self.meter.total
        facts = {
            "place": [*self.place],
            "history": [asdict(record) for record in self.history],
            "scaler": self.engine.scaler.state_dict(),
        }
        write_state(self.scratch, State(tensors, facts), self.identity)

    def _count(self, seconds: float, waited: float, pairs: Sequence[ViewPair]) -> None:
        windows = sum(len(pair.sets) for pair in pairs) * self.engine.ranks.size
        self.measured.stepping += seconds
        self.measured.waited += waited
        self.measured.windows += windows
        self.measured.tokens += 2 * windows * pairs[0].tokens.shape[2]

    def _too_large(self, pair: ViewPair) -> ValueError:
        windows = len(pair.sets)
        engine = self.engine

        def attempt(size: int) -> None:
            engine.trial(first_windows(pair, size).to(engine.device))

        fits = largest_that_fits(windows, attempt)
        return does_not_fit(windows, fits, self.config)
