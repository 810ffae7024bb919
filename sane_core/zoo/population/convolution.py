"""Convolution and pooling of many members at once, the images of a batch innermost.

Every member has its own kernels, so a convolution is one batched matrix product over members, of
kernels and the patches under them; the batch as the innermost axis keeps every copy's rows long.
"""

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional


class Convolution(torch.autograd.Function):
    """Every member's own convolution as one batched product of kernels and patches."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, padding: int
    ) -> torch.Tensor:
        """Convolve x [members, c_in, height, width, batch] by weight [members, c_out, c_in, …]."""
        patches, places = _patches(x, weight.shape[-1], padding)
        ctx.save_for_backward(patches, weight)
        ctx.padding = padding
        return torch.baddbmm(bias.unsqueeze(2), weight.flatten(2), patches).unflatten(2, places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of x (where asked for), weight and bias."""
        patches, weight = ctx.saved_tensors
        kernel, grad_x = weight.shape[-1], None
        if ctx.needs_input_grad[0]:
            around, places = _patches(grad, kernel, kernel - 1 - ctx.padding)
            turned = weight.flip(3, 4).transpose(1, 2).flatten(2)
            grad_x = torch.bmm(turned, around).unflatten(2, places)
        grad = grad.flatten(2)
        return grad_x, torch.bmm(grad, patches.transpose(1, 2)).view_as(weight), grad.sum(2), None


def _patches(x: torch.Tensor, kernel: int, padding: int) -> tuple[torch.Tensor, list[int]]:
    """Return what lies under a kernel at each place, and the places.

    Args:
        x: [members, channels, height, width, batch]; all members may share one memory.
        kernel: Height and width of the kernel.
        padding: Zeros on each side.

    Returns:
        Patches [members, channels * kernel², height' * width' * batch], [height', width', batch].
    """
    members = len(x)
    if x.stride(0) == 0:
        x = x[:1]
    x = functional.pad(x, (0, 0, *[padding] * 4)).unfold(2, kernel, 1).unfold(3, kernel, 1)
    places = [*x.shape[2:4], x.shape[4]]
    x = x.permute(0, 1, 5, 6, 2, 3, 4).flatten(4).flatten(1, 3)
    return x.expand(members, -1, -1), places


def max_pool(x: torch.Tensor, size: int) -> torch.Tensor:
    """Pool height and width of [members, channels, height, width, batch].

    The batch stands where PyTorch's channels-last kernels have their channels.
    """
    pooled = functional.max_pool2d(x.flatten(0, 1).permute(0, 3, 1, 2), size)
    return pooled.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])
