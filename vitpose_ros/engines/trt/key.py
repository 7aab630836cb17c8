"""What an engine is bound to: the machine, the network and the build's options.

An engine file runs only with the version that built it, and on the GPUs that it was built for, and
TensorRT offers no check before loading one. So every engine is stored under a key made of all of
these, with a manifest that lists them, and a mismatch is reported before anything is loaded.
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
from vitpose_ros.engines.trt.variants import TENSORRT, TENSORRT_RTX, VARIANTS, TensorRt
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
    """A GPU with the library that runs its engines; a TensorRT engine is bound to all of it.

    Attributes
    ----------
    tensorrt : the library's version.
    gpu : the GPU's name.
    compute_capability : e.g. "8.7".
    cuda : the CUDA version of torch, whose memory and streams the engine uses.
    platform : operating system and processor, e.g. "linux-aarch64".
    library : "tensorrt" or "tensorrt-rtx"; see `variants`.
    """

    tensorrt: str
    gpu: str
    compute_capability: str
    cuda: str
    platform: str
    library: str = TENSORRT.name

    @property
    def label(self) -> str:
        """What the engine is for, for display."""
        return self.gpu

    def differences(self, here: Machine) -> list[str]:
        """Why an engine that is bound to this machine does not fit another."""
        return [
            f"it was built for {words.format(then)}; here is {words.format(now)}."
            for name, words in _MACHINE_FIELDS.items()
            if (then := getattr(self, name)) != (now := getattr(here, name))
        ]


@dataclass(frozen=True)
class Portable:
    """What an engine of TensorRT for RTX is bound to.

    Attributes
    ----------
    tensorrt : the library's version.
    compute_capabilities : e.g. ("8.6", "8.9"), ascending.
    """

    tensorrt: str
    compute_capabilities: tuple[str, ...]
    library: str = TENSORRT_RTX.name

    @property
    def label(self) -> str:
        """What the engine is for, for display."""
        return f"compute {', '.join(self.compute_capabilities)}"

    def differences(self, here: Machine) -> list[str]:
        """Why the engine cannot be used on a machine."""
        title, found = TENSORRT_RTX.title, []
        if here.library != self.library:
            found.append(f"it is of {title}; here is {VARIANTS[here.library].title}.")
        elif here.tensorrt != self.tensorrt:
            versions = self.tensorrt, here.tensorrt
            found.append("it was built by {0} {1}; here is {0} {2}.".format(title, *versions))
        if here.compute_capability not in self.compute_capabilities:
            found.append(
                f"it was built for compute capability {', '.join(self.compute_capabilities)}; "
                f"{here.gpu} has {here.compute_capability}."
            )
        return found


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


def key_of(machine: Machine | Portable, recipe: Recipe) -> str:
    """The name of an engine's folder: a hash of everything that it is bound to."""
    text = json.dumps([asdict(machine), asdict(recipe)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def machine_here(device: int = 0, variant: TensorRt = TENSORRT) -> Machine:
    """The machine as torch and TensorRT see it; both must be installed (`library.require`).

    Raises
    ------
    EngineError : there is no GPU of that number, or it does not answer.
    """
    import torch

    with gpu_errors(f"asking GPU {device} for its name"):
        if device >= (count := torch.cuda.device_count()):
            raise EngineError(f"there is no GPU {device}; torch finds {count}, counted from 0")
        major, minor = torch.cuda.get_device_capability(device)
        gpu = torch.cuda.get_device_name(device)
    return Machine(
        variant.load().__version__,
        gpu,
        f"{major}.{minor}",
        str(torch.version.cuda),
        f"{platform.system().lower()}-{platform.machine()}",
        variant.name,
    )


_MACHINE_FIELDS = {
    "tensorrt": "TensorRT {}",
    "gpu": "the GPU {}",
    "compute_capability": "compute capability {}",
    "cuda": "CUDA {}",
    "platform": "{}",
    "library": "the library {}",
}


def differences(built: Machine | Portable, recipe: Recipe, here: Here) -> list[str]:
    """Why an engine cannot be used here: a sentence per mismatch; empty when it can.

    Parameters
    ----------
    built, recipe : what the engine is bound to, and what it was built from.
    here : the machine and the model's networks now.
    """
    sentences = built.differences(here.machine)
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
