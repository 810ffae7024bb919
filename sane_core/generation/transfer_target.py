"""A target of a transfer: its images and architecture, and what is refused before any work."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.registry import architecture_named
from sane_core.generation.batch_norm import Conditioning, conditioning_on
from sane_core.generation.transfer_head import require_same_body, with_classes
from sane_core.images.apart import selected_on
from sane_core.images.files import read_facts, read_images
from sane_core.images.images import Images
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.seeding import seed_for
from sane_core.weights.layers import Layer
from sane_core.weights.tokens import positions_of
from sane_core.zoo.population.outputs import classes_of
from schemas.config.augmented import Augmented
from schemas.config.transfer import TransferTarget


@dataclass(frozen=True)
class Target:
    """What networks are made for.

    Attributes:
        config: What is asked for.
        architecture: Of its networks.
        images: Parts `train`, `validation` and `test`.
        new_head: Whether networks from zoo prompts get a head of their own.
        dataset: Name of the images.
        augmented: How train images are moved while networks of the target are trained; so they are
            where running statistics are measured, but for `conditioning_augmented: false`.
    """

    config: TransferTarget
    architecture: Architecture
    images: dict[str, Images]
    new_head: bool
    dataset: str
    augmented: Augmented = Augmented()

    def conditioning(self, seed: int) -> Conditioning | None:
        """Return what running statistics are measured on; None if they stay new."""
        return self.conditioning_on(self.images["train"], self.augmented, seed)

    def conditioning_on(self, train: Images, moved: Augmented, seed: int) -> Conditioning | None:
        """Return the same of other train images, which training moved in another way."""
        drawn = seed_for(seed, "transfer", "conditioning")
        return conditioning_on(train, self.config, moved, drawn)


def open_target(
    config: TransferTarget,
    images: Path,
    zoo: Architecture,
    augmented: Augmented = Augmented(),  # noqa: B008 (frozen)
) -> Target:
    """Read a target and check it.

    Args:
        config: What is asked for.
        images: Folder of the images stage.
        zoo: Architecture of the zoo.
        augmented: How train images are moved while the target's networks are trained.

    Raises:
        ValueError: If images do not fit the architecture, validation images are test images, the
            zoo's networks cannot be its prompts, or a decoder would be sharpened on labels that
            its head is not for.
    """
    facts, parts = read_facts(images), read_images(images)
    classes = facts.classes
    if config.architecture:
        architecture = architecture_named(config.architecture)
    elif classes == classes_of(zoo):
        architecture = zoo
    else:
        architecture = with_classes(zoo, classes)
    if parts["train"].shape != architecture.input_shape:
        raise ValueError(
            f"images of target {config.name} must have shape {architecture.input_shape} for "
            f"{architecture.name}, got {parts['train'].shape}; set size and grey of the target's "
            "images, or name its architecture"
        )
    if classes > classes_of(architecture):
        raise ValueError(
            f"images of target {config.name} must have at most {classes_of(architecture)} classes "
            f"for {architecture.name}, got {classes}; set the architecture's classes"
        )
    parts = {**parts, "validation": selected_on(parts, facts.dataset)}
    new_head = config.prompts == "zoo" and (
        config.head == "new" or classes_of(architecture) != classes_of(zoo)
    )
    if config.prompts == "zoo":
        require_same_body(zoo, architecture)
    if new_head and config.sharpened_on == "target" and config.decoders:
        raise ValueError(
            f"sharpened_on of target {config.name} must be zoo: {architecture.name} gets a new "
            f"head, and what a decoder makes has that of {zoo.name}, which the target's labels are "
            "not for, got target"
        )
    return Target(config, architecture, parts, new_head, facts.dataset, augmented)


def require_known_positions(
    model: Autoencoder, target: Target, layers: tuple[Layer, ...]
) -> np.ndarray:
    """Return the positions of a target's tokens, int64 [N, 3].

    Raises:
        ValueError: If the autoencoder has learned tables that end before them.
    """
    positions = positions_of(layers, model.shape.d_t)
    try:
        model.check_positions(positions)
    except ValueError as error:
        raise ValueError(
            f"target {target.config.name} ({target.architecture.name}, {len(positions)} tokens) "
            f"must lie within the positions that SANE knows: {error}"
        ) from error
    return positions
