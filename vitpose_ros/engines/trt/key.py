"""What an engine is bound to: the machine, the network and the build's options.

An engine file runs only with the TensorRT version and on the kind of GPU that it was built with,
and TensorRT offers no check before loading one. So every engine is stored under a key made of all
of these, with a manifest that lists them, and a mismatch is reported before anything is loaded.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.gpu_errors import gpu_errors
from vitpose_ros.models.files import read_records, sha256_of

PRECISIONS = ("mixed", "tf32", "fp32")
"""What an engine computes in, fastest first: float16 with layer norms, softmax and sums in float32,
as the ONNX file says; float32 with factors rounded to TensorFloat-32; float32.
"""

KEY_LENGTH = 16
"""Hexadecimal digits of a key; enough to make collisions negligible."""

MAX_LEVEL = 5
"""TensorRT's highest builder level. Higher levels search longer; the default is 3."""


@dataclass(frozen=True)
class Machine:
    """What TensorRT binds an engine to.

    Attributes
    ----------
    tensorrt : version.
    gpu : the GPU's name.
    compute_capability : e.g. "8.7".
    cuda : the CUDA version of torch, whose memory and streams the engine uses.
    platform : operating system and processor, e.g. "linux-aarch64".
    """

    tensorrt: str
    gpu: str
    compute_capability: str
    cuda: str
    platform: str


@dataclass(frozen=True)
class Profile:
    """Smallest, preferred and largest batch of an engine; EngineError when out of order."""

    min_batch: int = 1
    opt_batch: int = 4
    max_batch: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.min_batch <= self.opt_batch <= self.max_batch:
            raise EngineError(
                "batch sizes: expected 1 <= min <= opt <= max, got "
                f"{self.min_batch}, {self.opt_batch} and {self.max_batch}"
            )


@dataclass(frozen=True)
class Recipe:
    """What was built, and how.

    Attributes
    ----------
    onnx_sha256 : of the network; see `network_hash`.
    precision : one of PRECISIONS.
    profile : the batch sizes.
    options : of the builder: "level" (0 to 5) and "workspace_mib" (None for all GPU memory).
    """

    onnx_sha256: str
    precision: str
    profile: Profile = Profile()
    options: Mapping[str, Any] = field(default_factory=lambda: {"level": 3, "workspace_mib": None})

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise EngineError(
                f"precision: expected one of {', '.join(PRECISIONS)}, got {self.precision!r}"
            )
        level, workspace = self.options["level"], self.options["workspace_mib"]
        if level not in range(MAX_LEVEL + 1):
            raise EngineError(f"level: expected 0 to {MAX_LEVEL}, got {level!r}")
        if workspace is not None and workspace < 1:
            raise EngineError(f"workspace: expected 1 MiB or more, got {workspace!r}")


@dataclass(frozen=True)
class Here:
    """What an engine must match to be used here.

    Attributes
    ----------
    machine : the machine here.
    networks : the sha256 of the model's network for each available precision.
    """

    machine: Machine
    networks: Mapping[str, str]


def key_of(machine: Machine, recipe: Recipe) -> str:
    """The name of an engine's folder: a hash of everything that it is bound to."""
    text = json.dumps([asdict(machine), asdict(recipe)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def machine_here(device: int = 0) -> Machine:
    """The machine as torch and TensorRT see it; both must be installed (`library.require`).

    Raises
    ------
    EngineError : there is no GPU of that number, or it does not answer.
    """
    import tensorrt as trt
    import torch

    with gpu_errors(f"asking GPU {device} for its name"):
        if device >= (count := torch.cuda.device_count()):
            raise EngineError(f"there is no GPU {device}; torch finds {count}, counted from 0")
        major, minor = torch.cuda.get_device_capability(device)
        gpu = torch.cuda.get_device_name(device)
    return Machine(
        trt.__version__,
        gpu,
        f"{major}.{minor}",
        str(torch.version.cuda),
        f"{platform.system().lower()}-{platform.machine()}",
    )


_MACHINE_FIELDS = {
    "tensorrt": "TensorRT {}",
    "gpu": "the GPU {}",
    "compute_capability": "compute capability {}",
    "cuda": "CUDA {}",
    "platform": "{}",
}


def differences(built: Machine, recipe: Recipe, here: Here) -> list[str]:
    """Why an engine cannot be used here: a sentence per mismatch; empty when it can.

    Parameters
    ----------
    built, recipe : what the engine was built on and from.
    here : the machine and the model's networks now.
    """
    sentences = []
    for name, words in _MACHINE_FIELDS.items():
        then, now = getattr(built, name), getattr(here.machine, name)
        if then != now:
            sentences.append(f"it was built for {words.format(then)}; here is {words.format(now)}.")
    network = here.networks.get(recipe.precision)
    if network is None:
        sentences.append(f"the model no longer has a {recipe.precision} network.")
    elif network != recipe.onnx_sha256:
        sentences.append(
            "it was built from another network: the ONNX file's sha256 was "
            f"{recipe.onnx_sha256[:12]}..., now it is {network[:12]}..."
        )
    return sentences


def network_hash(path: Path) -> str:
    """The sha256 of an ONNX file, including the weights file that a large one has beside it."""
    weights = path.with_name(path.name + ".data")
    hashes = [file_hash(file) for file in (path, weights) if file is path or file.is_file()]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """The sha256 of a file; the store's own record where size and time still match it."""
    found, record = path.stat(), read_records(path.parent).get(path.name)
    if record and (record.size, record.mtime_ns) == (found.st_size, found.st_mtime_ns):
        return record.sha256
    return sha256_of(path)
