"""Where networks of an architecture that no zoo has are embedded: a frame of their own.

Statistics are measured from the prompt examples themselves, and the best prompt on validation
images is what the others are aligned to. Both are stored, and both are undone with the sample:
`back(into(prompts)) == prompts`, bit for bit in the order of units, and up to the last bit where
weights are standardized on the way.

Differs from the paper, which does not say how prompts of another architecture are standardized.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from sane_core.architectures.architecture import Architecture
from sane_core.generation.candidates import Weights
from sane_core.weights.alignment import Alignment, write_alignment
from sane_core.weights.files import write_layers
from sane_core.weights.frame import Frame
from sane_core.weights.layers import Layer, layers_of_architecture
from sane_core.weights.shards import stored_groups, within
from sane_core.weights.standardize import Statistics, measure
from sane_core.weights.symmetry.derive import symmetries_of
from schemas.config.preprocess import PreprocessConfig


@dataclass(frozen=True)
class PromptFrame:
    """What some prompt examples are aligned to and standardized with.

    Attributes:
        layers: Layers of their architecture.
        statistics: Per layer, to standardize with and to undo.
        frame: The reference, and what may be permuted.
        alignment: What aligns each prompt, by its number.
    """

    layers: tuple[Layer, ...]
    statistics: Statistics
    frame: Frame
    alignment: Alignment

    def into(self, weights: Mapping[str, np.ndarray]) -> Weights:
        """Align the prompts, entry -> [prompts, ...], buffers among them."""
        return self.frame.apply(self.alignment, weights, np.array(self.alignment.runs))

    def back(self, weights: Mapping[str, np.ndarray], prompt: np.ndarray) -> Weights:
        """Take networks back to the order of units of the prompt that each stands on.

        Args:
            weights: Entry -> [models, ...], aligned, de-standardized.
            prompt: int64 [models]; -1 where there is none: it stays in the reference's order.
        """
        whole = dict(weights)
        some = np.flatnonzero(prompt >= 0)
        own = {name: values[some] for name, values in weights.items()}
        groups = within(self.frame.groups, weights)
        for name, values in self.alignment.unapply(own, prompt[some], groups).items():
            whole[name] = whole[name].copy()
            whole[name][some] = values
        return whole

    def write(self, folder: Path, architecture: str, d_t: int) -> None:
        """Write `layers.parquet`, `alignment.parquet` and `reference.safetensors`."""
        write_layers(folder / "layers.parquet", architecture, self.layers, d_t, self.statistics)
        write_alignment(folder / "alignment.parquet", self.alignment)
        reference = {n: np.ascontiguousarray(v) for n, v in self.frame.reference.items()}
        save_file(reference, folder / "reference.safetensors")


def frame_of_prompts(
    architecture: Architecture,
    prompts: Mapping[str, np.ndarray],
    best: int,
    config: PreprocessConfig,
    seed: int,
) -> PromptFrame:
    """Measure a frame from prompt examples; one is enough.

    Args:
        architecture: Of all prompts.
        prompts: Entry -> float32 [prompts, ...], as trained.
        best: The prompt that is the reference.
        config: As the zoo was made into tokens.
        seed: Decides the order in which groups are matched.

    Raises:
        ValueError: If prompts are not of this architecture, or are not as many in every entry.
    """
    require_equal(architecture, prompts)
    shapes = architecture.shapes()
    groups = stored_groups(symmetries_of(architecture).groups, architecture)
    reference = {name: prompts[name][best] for name in shapes}
    frame = Frame(reference, groups, config, seed)
    trained = {name: prompts[name] for name in shapes}
    alignment = frame.find(trained, range(len(next(iter(trained.values())))))
    layers = layers_of_architecture(architecture, config.batch_norm)
    return PromptFrame(layers, measure(trained, layers, config.standardize), frame, alignment)


def in_frame(
    frame: Frame,
    layers: tuple[Layer, ...],
    statistics: Statistics,
    architecture: Architecture,
    prompts: Mapping[str, np.ndarray],
) -> PromptFrame:
    """Align prompt examples to a zoo's reference, to be standardized with its statistics.

    Args:
        frame: The zoo's.
        layers: The zoo's.
        statistics: The zoo's.
        architecture: Of all prompts.
        prompts: Entry -> float32 [prompts, ...], as trained.

    Raises:
        ValueError: If the zoo's architecture is another one, or prompts are not of this one.
    """
    require_equal(architecture, prompts)
    shapes = architecture.shapes()
    if shapes != {name: values.shape for name, values in frame.reference.items()}:
        raise ValueError(
            f"prompts must be of the zoo's architecture to stand in its frame, got "
            f"{architecture.name}; take frame: prompts"
        )
    trained = {name: prompts[name] for name in shapes}
    alignment = frame.find(trained, range(len(next(iter(trained.values())))))
    return PromptFrame(layers, statistics, frame, alignment)


def require_equal(architecture: Architecture, prompts: Mapping[str, np.ndarray]) -> None:
    """Make sure that prompts are networks of one architecture.

    Raises:
        ValueError: If an entry is missing, of another shape, or not there once per prompt.
    """
    count = max((len(values) for values in prompts.values()), default=0)
    for name, shape in architecture.shapes().items():
        wanted = (count, *shape)
        got = prompts[name].shape if name in prompts else None
        if got != wanted or not count:
            raise ValueError(
                f"prompts must all be of {architecture.name}: {name} must have shape {wanted}, "
                f"prompts first, got {got}; give prompts of one architecture at a time"
            )
