"""Train the autoencoder on windows (Algorithm 1, step v).

Each window is seen in two views, both with noise of their own; the losses are those of `objective`.
After every epoch the validation loss decides which weights are kept.

Every random choice is drawn by (seed, name, epoch, step), and the state is kept after every epoch
and now and then within one: training that is killed at any step and resumed ends with the weights
of training that never stopped, bit for bit on a CPU.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sane_core.pretraining.autoencoder import AutoencoderShape
from sane_core.pretraining.behaviour import Behaviour
from sane_core.pretraining.devices import allow_tf32, choose_device, choose_precision
from sane_core.pretraining.distributed import ALONE, Ranks
from sane_core.pretraining.engine import Engine
from sane_core.pretraining.history import Pretrained, Watch
from sane_core.pretraining.plan import Plan
from sane_core.pretraining.state import identity_of
from sane_core.pretraining.training import Training
from sane_core.windows.reader import WindowReader
from schemas.config.pretrain import PretrainConfig


def pretrain(
    train: WindowReader,
    validation: WindowReader,
    shape: AutoencoderShape,
    config: PretrainConfig,
    seed: int,
    *,
    scratch: Path | None = None,
    variances: Sequence[Sequence[float]] = (),
    behaviours: Sequence[Behaviour] = (),
    data: str = "",
    ranks: Ranks = ALONE,
    watch: Watch | None = None,
) -> Pretrained:
    """Train until the schedule or the patience ends, keeping the epoch of lowest validation loss.

    Args:
        train: Windows to train on.
        validation: Windows to validate on, after every epoch.
        shape: What the data fixes of the autoencoder.
        config: Training configuration.
        seed: The run's seed.
        scratch: Folder of the state to resume from; none is kept if not given.
        variances: Of each set of windows, the variance of each layer's tokens.
        behaviours: Of each zoo, for the behaviour loss; zoos take turns.
        data: What the windows are, by digest; a resumed training must have the same.
        ranks: Processes to train with, of which this is one.
        watch: Whom to tell.

    Raises:
        ValueError: If the loss becomes NaN or infinite, a batch does not fit into a GPU or cannot
            be filled, the device or precision is not there, or `scratch` holds the state of
            another training.
    """
    device = choose_device(config.device, ranks.size, ranks.rank)
    precision = choose_precision(config.precision, device)
    allow_tf32(device)
    plan = Plan(train.runs, train.sets, config, seed)
    if config.behaviour.weight and not behaviours:
        raise ValueError(
            "the behaviour loss needs the tokens of each zoo, got none: give them beside the "
            "windows, or set pretrain.behaviour.weight to 0"
        )
    engine = Engine(shape, config, plan, variances, behaviours, device, precision, ranks)
    identity = identity_of(config, asdict(shape), seed, (train, validation), data)
    training = Training(engine, train, validation, scratch, identity, watch or Watch())
    training.resume()
    while training.place.epoch < config.epochs and not training.converged:
        training.epoch()
    return training.result()
