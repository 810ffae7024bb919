"""Convolution and pooling of many members at once, the images of a batch innermost.

Every member has its own kernels, so a convolution is one batched matrix product over members, of
kernels and the patches under them; the batch as the innermost axis keeps every copy's rows long.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

TILE = 2**18
"""Numbers of the patches cut at a time on a CPU: they are multiplied while they are in the cache,
and cut anew on the way back, which costs less than memory that the system has to find again."""


class Convolution(torch.autograd.Function):
    """Every member's own convolution as one batched product of kernels and patches."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: int,
        padding: int,
    ) -> torch.Tensor:
        """Convolve x [members, c_in, height, width, batch] by weight [members, c_out, c_in, …]."""
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return _convolve(x, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of x, weight and bias, where they are asked for."""
        x, weight = ctx.saved_tensors
        kernel, grad_x, grad_weight = weight.shape[-1], None, None
        if ctx.needs_input_grad[1]:
            grad_weight = torch.empty_like(weight)
            products, flat = grad_weight.flatten(2), grad.flatten(2)
            for tile, patches in _tiles(x, kernel, ctx.stride, ctx.padding):
                torch.bmm(flat[tile], patches.transpose(1, 2), out=products[tile])
        if ctx.needs_input_grad[0]:
            spread = _spread(grad, kernel, ctx.stride, ctx.padding, x.shape[2:4])
            turned = weight.flip(3, 4).transpose(1, 2)
            grad_x = _convolve(spread, turned, None, 1, kernel - 1 - ctx.padding)
        grad_bias = grad.flatten(2).sum(2) if ctx.needs_input_grad[2] else None
        return grad_x, grad_weight, grad_bias, None, None


def _convolve(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, stride: int, padding: int
) -> torch.Tensor:
    kernel, sides = weight.shape[-1], x.shape[2:4]
    places = [(side + 2 * padding - kernel) // stride + 1 for side in sides]
    out = x.new_empty(len(weight), weight.shape[1], *places, x.shape[4])
    flat, kernels = out.flatten(2), weight.flatten(2)
    for tile, patches in _tiles(x, kernel, stride, padding):
        if bias is None:
            torch.bmm(kernels[tile], patches, out=flat[tile])
        else:
            torch.baddbmm(bias[tile].unsqueeze(2), kernels[tile], patches, out=flat[tile])
    return out


def convolve_and_pool(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: int,
    padding: int,
    window: int,
) -> torch.Tensor:
    """Convolve images that all members share, and keep the largest of each window; no gradient.

    The kernels of all members are the rows of one matrix. Places of equal rank in their windows are
    convolved together, so that what is pooled is never held as a whole.

    Args:
        x: Images of one member or of all [1 or members, c_in, height, width, batch].
        weight: [members, c_out, c_in, kernel, kernel].
        bias: [members, c_out].
        stride: Step of the kernel.
        padding: Zeros on each side.
        window: Height, width and step of the windows; what fills none is left out.

    Returns:
        [members, c_out, height', width', batch].
    """
    under = _under(x[:1], weight.shape[-1], stride, padding)
    heights, widths = (side // window for side in under.shape[4:6])
    kernels = weight.flatten(2).flatten(0, 1)

    def answers(row: int, column: int) -> torch.Tensor:
        rows = slice(row, row + heights * window, window)
        columns = slice(column, column + widths * window, window)
        return kernels @ _matrices(under[:, :, :, :, rows, columns].contiguous())[0]

    first, *others = product(range(window), repeat=2)
    largest = answers(*first)
    for place in others:
        torch.maximum(largest, answers(*place), out=largest)
    if bias is not None:
        largest += bias.reshape(-1, 1)
    return largest.view(*weight.shape[:2], heights, widths, x.shape[4])


def _under(x: torch.Tensor, kernel: int, stride: int, padding: int) -> torch.Tensor:
    """Return what lies under a kernel, [members, c, kernel, kernel, height', width', batch]."""
    if padding:
        x = functional.pad(x, (0, 0, *[padding] * 4))
    return x.unfold(2, kernel, stride).unfold(3, kernel, stride).permute(0, 1, 5, 6, 2, 3, 4)


def _spread(
    grad: torch.Tensor, kernel: int, stride: int, padding: int, sides: torch.Size
) -> torch.Tensor:
    """Return the gradient as that of a convolution of stride 1: zeros where it made no step."""
    if stride == 1:
        return grad
    places = [side + 2 * padding - kernel + 1 for side in sides]
    spread = grad.new_zeros(*grad.shape[:2], *places, grad.shape[4])
    spread[:, :, ::stride, ::stride] = grad
    return spread


def _tiles(
    x: torch.Tensor, kernel: int, stride: int, padding: int
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Yield some members and what lies under a kernel at each of their places, again and again.

    Args:
        x: [members, channels, height, width, batch]; all members may share one memory.
        kernel: Height and width of the kernel.
        stride: Step of the kernel.
        padding: Zeros on each side.

    Yields:
        Members, patches [members, channels * kernel², height' * width' * batch]; the next ones
        overwrite them.
    """
    members = len(x)
    shared = x.stride(0) == 0
    if shared:
        x = x[:1]
    under = _under(x, kernel, stride, padding)
    if shared:
        yield slice(members), _matrices(under.contiguous()).expand(members, -1, -1)
        return
    count = max(1, TILE // under[0].numel()) if x.device.type == "cpu" else members
    tile = under.new_empty(min(count, members), *under.shape[1:])
    for start in range(0, members, count):
        chosen = slice(start, min(start + count, members))
        patches = tile[: chosen.stop - start]
        patches.copy_(under[chosen])
        yield chosen, _matrices(patches)


def _matrices(patches: torch.Tensor) -> torch.Tensor:
    return patches.flatten(4).flatten(1, 3)


def pool(x: torch.Tensor, kind: str, **shape: Any) -> torch.Tensor:
    """Pool height and width of [members, channels, height, width, batch].

    The batch stands where PyTorch's channels-last kernels have their channels.

    Args:
        x: What to pool.
        kind: Name of a function of `torch.nn.functional`, e.g. `max_pool2d`.
        **shape: Its kernel, stride and padding.
    """
    pooled = getattr(functional, kind)(x.flatten(0, 1).permute(0, 3, 1, 2), **shape)
    return pooled.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])
