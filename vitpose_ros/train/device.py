"""The processor that trains, and the type of its matrix products. Needs torch."""

from __future__ import annotations

import torch

from vitpose_ros.train.errors import TrainError


def choose_device(wanted: str) -> str:
    """The torch device for "auto", "cpu", "cuda" or "cuda:N".

    Raises
    ------
    TrainError : there is no such device.
    """
    has = torch.cuda.is_available()
    if wanted == "auto":
        return "cuda" if has else "cpu"
    if wanted.startswith("cuda") and not has:
        raise TrainError(
            f"--device {wanted}: torch {torch.__version__} finds no CUDA device. Install torch "
            "with CUDA and the driver, or use --device cpu"
        )
    if wanted != "cpu" and wanted.split(":")[0] != "cuda":
        raise TrainError(f"--device: expected auto, cpu, cuda or cuda:N, got '{wanted}'")
    return wanted


def choose_amp(wanted: str, device: str) -> str:
    """The type of matrix products for "auto": bf16 or fp16 on a GPU, bf16 on a CPU that multiplies
    matrices in it, else off.
    """
    if wanted != "auto":
        return wanted
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return "bf16" if torch.cpu._is_amx_tile_supported() else "off"
