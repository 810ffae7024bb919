"""Cut batches out of a data set, a batch for each member: gathered, cropped, mirrored, scaled."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from sane_core.images.images import Images
from sane_core.seeding import rng_for


@dataclass(frozen=True)
class Draws:
    """What one member draws for an epoch.

    Attributes:
        order: Images in the order they are seen, int64 [images].
        flips: Whether an image is mirrored, bool [images].
        shifts: Rows and columns by which the cropped part is moved, int64 [images, 2].
    """

    order: torch.Tensor
    flips: torch.Tensor
    shifts: torch.Tensor


def draw_epoch(images: int, seed: int, run: int, epoch: int, crop: int) -> Draws:
    """Draw a member's epoch from `(seed, …, run, epoch)` alone."""
    order = rng_for(seed, "order", run, epoch).permutation(images)
    rng = rng_for(seed, "augment", run, epoch)
    flips = rng.random(images) < 0.5
    shifts = rng.integers(0, 2 * crop + 1, (images, 2))
    return Draws(torch.from_numpy(order), torch.from_numpy(flips), torch.from_numpy(shifts))


class Batches:
    """A data set on a device, from which every member takes its own images.

    Pixels stay as they are stored (bytes); a batch is turned into the network's input.
    """

    def __init__(
        self, images: Images, device: torch.device, dtype: torch.dtype, flip: bool, crop: int
    ) -> None:
        """Put the images on the device.

        Args:
            images: The data set.
            device: Where batches are made.
            dtype: Of the network's input.
            flip: Mirror where it was drawn.
            crop: Zeros around an image, in pixels, before it is cropped to its size again.
        """
        # Copies: what is mapped from a file cannot be written, and PyTorch has no such tensors.
        self.pixels = torch.from_numpy(np.array(images.pixels)).to(device)
        self.labels = torch.from_numpy(np.array(images.labels)).to(device)
        self.scale, self.dtype, self.flip, self.crop = images.scale, dtype, flip, crop
        self.height, self.width = self.pixels.shape[2:]
        if crop:
            self.pixels = functional.pad(self.pixels, (crop, crop, crop, crop))
        shape = (-1, 1, 1)
        # Scaled in full precision and rounded once.
        self.exact = torch.float32 if dtype == torch.bfloat16 else dtype
        self.mean = torch.tensor(images.mean, dtype=self.exact, device=device).view(shape)
        self.std = torch.tensor(images.std, dtype=self.exact, device=device).view(shape)

    def take(
        self, chosen: torch.Tensor, flips: torch.Tensor, shifts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the chosen images and their labels.

        Args:
            chosen: int64 [members, batch].
            flips: bool [members, batch].
            shifts: int64 [members, batch, 2].

        Returns:
            Pixels [members, batch, channels, height, width], labels [members, batch].
        """
        if self.flip or self.crop:
            rows = torch.arange(self.height, device=chosen.device) + shifts[..., :1]
            columns = torch.arange(self.width, device=chosen.device)
            if self.flip:
                columns = torch.where(flips[..., None], self.width - 1 - columns, columns)
            columns = columns + shifts[..., 1:]
            pixels = self.pixels[
                chosen[..., None, None], :, rows[..., :, None], columns[..., None, :]
            ].movedim(-1, -3)
        else:
            pixels = self.pixels[chosen]
        return self.numbers(pixels), self.labels[chosen]

    def numbers(self, pixels: torch.Tensor) -> torch.Tensor:
        """Turn stored pixels into the network's input."""
        out = pixels.to(self.exact)
        if self.scale != 1:
            out = out * self.scale
        if self.mean.numel():
            out = out - self.mean
        if self.std.numel():
            out = out / self.std
        return out.to(self.dtype)
