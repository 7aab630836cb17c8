"""The GPU, its driver, and the libraries that use it. A machine without one is fine: the networks
run on the CPU.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from vitpose_ros.doctor.findings import Finding, Level
from vitpose_ros.doctor.host import Host
from vitpose_ros.doctor.system import version_of

SECTION = "GPU"

_QUERY = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,compute_cap"]
_TORCH = (
    "import torch; print(torch.__version__, torch.version.cuda or 'none', "
    "torch.cuda.is_available())"
)
_TENSORRT = "import tensorrt; print(tensorrt.__version__)"


@dataclass(frozen=True)
class Gpu:
    """What nvidia-smi reports about a GPU."""

    name: str
    driver: str
    memory_mb: str
    capability: str


def check_gpu(host: Host) -> Iterator[Finding]:
    """Check the GPU, its driver, torch with CUDA, and TensorRT."""
    jetson = host.read("/etc/nv_tegra_release")
    if jetson is not None:
        yield Finding(SECTION, "Jetson", Level.NOTE, _jetson(jetson))
    gpus, problem = _gpus(host)
    if problem is not None:
        yield problem
    elif not gpus and jetson is None:
        yield Finding(
            SECTION, "GPU", Level.NOTE, "no NVIDIA GPU; the networks run on the CPU (OpenVINO)"
        )
        return
    for gpu in gpus:
        yield Finding(
            SECTION,
            "GPU",
            Level.OK,
            f"{gpu.name}, {gpu.memory_mb} MB, compute capability {gpu.capability}, "
            f"driver {gpu.driver}",
        )
    yield _torch(host)
    yield _tensorrt(host, gpus)


def _jetson(release: str) -> str:
    found = re.search(r"R(\d+).*?REVISION:\s*([\d.]+)", release)
    return f"L4T {found[1]}.{found[2]}" if found else release.splitlines()[0]


def _gpus(host: Host) -> tuple[list[Gpu], Finding | None]:
    answer = host.run([*_QUERY, "--format=csv,noheader,nounits"])
    if answer is None:
        return [], None
    if not answer.good:
        return [], Finding(
            SECTION,
            "driver",
            Level.PROBLEM,
            f"nvidia-smi fails: {answer.text}",
            "reboot after a driver update; start a container with --gpus all, or with --runtime "
            "nvidia on a Jetson",
        )
    gpus = []
    for line in answer.text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 4:
            gpus.append(Gpu(*cells))
    return gpus, None


def _torch(host: Host) -> Finding:
    answer = host.python_says(_TORCH)
    name = "torch"
    advice = (
        "on a desktop: pip install torch; on a Jetson: NVIDIA's wheel for its JetPack, see "
        "docs/gpu.md"
    )
    if not answer.good:
        return Finding(
            SECTION,
            name,
            Level.WARNING,
            f"cannot be imported ({answer.text}); nothing runs on the GPU without it",
            advice,
        )
    words = answer.text.split()
    version, cuda, available = words if len(words) == 3 else (answer.text, "unknown", "False")
    if available == "True":
        return Finding(SECTION, name, Level.OK, f"{version}, CUDA {cuda}")
    why = "built without CUDA" if cuda == "none" else f"built for CUDA {cuda}, but finds no GPU"
    return Finding(
        SECTION,
        name,
        Level.WARNING,
        f"{version}, {why}",
        advice
        if cuda == "none"
        else "nvidia-smi must show at least torch's CUDA version; if it does not, update the "
        "driver, or install a torch for an older CUDA",
    )


def _tensorrt(host: Host, gpus: list[Gpu]) -> Finding:
    answer = host.python_says(_TENSORRT)
    name = "TensorRT"
    if not answer.good:
        return Finding(
            SECTION,
            name,
            Level.WARNING,
            f"cannot be imported ({answer.text}); networks run in torch, which is slower",
            "on a Jetson: sudo apt install python3-libnvinfer; on a desktop: pip install tensorrt",
        )
    major = version_of(answer.text)[0]
    if major < 10:
        return Finding(
            SECTION,
            name,
            Level.PROBLEM,
            f"{answer.text}; 10.3 or later is required",
            "on a Jetson: JetPack 6.1 or later; on a desktop: pip install --upgrade tensorrt",
        )
    needed = 580 if major >= 11 and host.package("tensorrt-cu12") is None else 535
    for gpu in gpus:
        driver = version_of(gpu.driver)[0]
        if major >= 11 and 0 < driver < needed:
            return Finding(
                SECTION,
                name,
                Level.PROBLEM,
                f"{answer.text} needs driver {needed} or later; the driver here is {gpu.driver}",
                "update the driver"
                + (
                    ", or install the wheels for CUDA 12: pip install tensorrt-cu12"
                    if needed == 580
                    else ""
                ),
            )
    return Finding(SECTION, name, Level.OK, answer.text)
