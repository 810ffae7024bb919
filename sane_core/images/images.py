"""Images as they are stored, and as a network reads them.

Bytes stay bytes until `numbers`: scaling and normalizing are two numbers per channel, applied to
the images that are asked for. So 100,000 images can be a file that is never in memory as a whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

PARTS = ("train", "validation", "test")

Index = slice | np.ndarray | Sequence[int]
"""Which images: what selects along the first axis of an array and keeps it."""


@dataclass(frozen=True)
class Images:
    """Images and labels of one part.

    Attributes:
        pixels: uint8, float32 or float64 [images, channels, height, width]; may be a read-only
            memory map.
        labels: int64 [images], from 0.
        scale: A stored pixel times `scale` lies in [0, 1]; 1/255 for bytes.
        mean: Per channel, subtracted after scaling; () = nothing.
        std: Per channel, divided by afterwards; () = nothing.
    """

    pixels: np.ndarray
    labels: np.ndarray
    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.dtype not in (np.uint8, np.float32, np.float64):
            raise ValueError(
                "pixels must be uint8, float32 or float64 [images, channels, height, width], "
                f"got {self.pixels.dtype} {list(self.pixels.shape)}"
            )
        if self.labels.dtype != np.int64 or self.labels.shape != self.pixels.shape[:1]:
            raise ValueError(
                f"labels must be int64 [{len(self.pixels)}], "
                f"got {self.labels.dtype} {list(self.labels.shape)}"
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, self.pixels.shape[1]):
                raise ValueError(
                    f"{name} must hold {self.pixels.shape[1]} numbers (one per channel) or none, "
                    f"got {len(values)}"
                )
        if not all(value > 0 for value in (self.scale, *self.std)):
            raise ValueError(f"scale and std must be > 0, got {self.scale} and {self.std}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def numbers(self, index: Index = slice(None)) -> np.ndarray:
        """Return network input of the chosen images.

        Args:
            index: Which images, in which order.

        Returns:
            float32 [chosen, channels, height, width]: `(pixel * scale - mean) / std`, computed in
            float64 and rounded once.
        """
        pixels = np.asarray(self.pixels[index])
        numbers = np.empty(pixels.shape, np.float32)
        bytewise = pixels.dtype == np.uint8
        for channel in range(pixels.shape[1]):
            values = np.arange(256) if bytewise else pixels[:, channel]
            scaled = values.astype(np.float64) * self.scale
            if self.mean:
                scaled -= self.mean[channel]
            if self.std:
                scaled /= self.std[channel]
            rounded = scaled.astype(np.float32)
            numbers[:, channel] = rounded[pixels[:, channel]] if bytewise else rounded
        return numbers

    def take(self, index: Index) -> "Images":
        """Return the chosen images, in the order of `index`."""
        return replace(self, pixels=self.pixels[index], labels=self.labels[index])
