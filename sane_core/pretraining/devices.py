"""Where training computes and in which precision: chosen once, refused where it cannot be."""

import re
import resource
import sys
from pathlib import Path
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16", "float16"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(
    asked: Literal["auto", "cpu", "cuda"], processes: int = 1, rank: int = 0
) -> torch.device:
    """Return the device of a process of training; on GPUs each has its own.

    Args:
        asked: `auto` is a GPU where there is one.
        processes: Data-parallel processes.
        rank: Number of this one.

    Raises:
        ValueError: If there are not as many GPUs as asked for.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "cpu" or (asked == "auto" and not gpus):
        return torch.device("cpu")
    if not gpus:
        raise ValueError(
            "device cuda needs a GPU that PyTorch can use, got none: set pretrain.device to cpu or "
            "auto, or install a build of PyTorch for this GPU"
        )
    if processes > gpus:
        raise ValueError(
            f"processes must be <= the number of GPUs ({gpus}), got {processes}: set "
            f"pretrain.processes to {gpus} or fewer, or pretrain.device to cpu"
        )
    return torch.device("cuda", rank)


def choose_precision(asked: Precision, device: torch.device) -> torch.dtype:
    """Return the type of matrix products.

    float16 is refused on CPUs: they have no matrix units for it, and PyTorch's products in it are
    slower than in float32.

    Args:
        asked: `auto` is bfloat16 where the device has it, else float32.
        device: Where training computes.

    Raises:
        ValueError: If the device has no units for it.
    """
    known = has_bfloat16(device)
    if asked == "auto":
        return torch.bfloat16 if known else torch.float32
    if asked == "bfloat16" and not known:
        raise ValueError(
            f"precision bfloat16 is not available: this {_kind(device)} has no matrix units for "
            "it; set pretrain.precision to auto or float32"
        )
    if asked == "float16" and device.type == "cpu":
        raise ValueError(
            "precision float16 needs a GPU, as CPUs are slower in it than in float32: set "
            "pretrain.precision to auto, bfloat16 or float32"
        )
    return _DTYPES[asked]


def has_bfloat16(device: torch.device | None = None) -> bool:
    """Return whether a device, the CPU if not given, has bfloat16 matrix instructions."""
    if device is not None and device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # AVX-512 BF16 or AMX.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Return what forward passes run in."""
    return torch.autocast(device.type, dtype=precision, enabled=precision != torch.float32)


def allow_tf32(device: torch.device) -> None:
    """Let products of float32 use a GPU's TF32 units: 10 bits of mantissa, as float16 has."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")


def peak_memory(device: torch.device) -> float:
    """Return the most memory taken so far, in MB: of the GPU, or resident of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    if status.exists():
        # The usage below begins with that of the process that started this one.
        peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if peak:
            return int(peak[1]) * 1024 / 1e6
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used * (1 if sys.platform == "darwin" else 1024) / 1e6


def _kind(device: torch.device) -> str:
    return "GPU" if device.type == "cuda" else "processor"
