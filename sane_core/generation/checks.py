"""What must hold before networks are generated: images as the architecture takes them."""

from collections.abc import Mapping

from sane_core.architectures.architecture import Architecture
from sane_core.images.images import Images
from sane_core.zoo.population.outputs import classes_of


def check_images(architecture: Architecture, parts: Mapping[str, Images]) -> None:
    """Refuse images that networks cannot read, or with classes that they do not know.

    Args:
        architecture: Of the networks to be generated.
        parts: Images by what messages call them.

    Raises:
        ValueError: If images have another shape, or a label is not one of the network's.
    """
    classes = classes_of(architecture)
    for part, images in parts.items():
        if images.shape != architecture.input_shape:
            raise ValueError(
                f"{part} images must have shape {architecture.input_shape} for "
                f"{architecture.name}, got {images.shape}; give the zoo's own images (dataset, "
                "size, grey)"
            )
        largest = int(images.labels.max(initial=0))
        if largest >= classes:
            raise ValueError(
                f"{part} images must have labels < {classes} for {architecture.name}, got "
                f"{largest}; networks for other classes need another head (transfer)"
            )
