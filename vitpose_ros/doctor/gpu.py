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
_VERSION = "import {0}; print({0}.__version__)"
_RTX = (
    "import tensorrt_rtx; print(tensorrt_rtx.__version__, *(f'{n[2:-1]}.{n[-1]}' "
    "for n in tensorrt_rtx.ComputeCapability.__members__ if n.startswith('SM')))"
)

RTX_CAPABILITIES = ("7.5", "8.6", "8.9", "12.0", "12.1")
"""Of the GPUs that NVIDIA offers TensorRT for RTX for. The library also builds for the A100's 8.0.
"""


@dataclass(frozen=True)
class Gpu:
    """What nvidia-smi reports about a GPU."""

    name: str
    driver: str
    memory_mb: str
    capability: str


def check_gpu(host: Host) -> Iterator[Finding]:
    """Check the GPU, its driver, torch with CUDA, and the libraries that run engines."""
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
    yield from _libraries(host, gpus)


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


def _libraries(host: Host, gpus: list[Gpu]) -> Iterator[Finding]:
    """TensorRT and TensorRT for RTX: one of them is enough."""
    plain, rtx = host.python_says(_VERSION.format("tensorrt")), host.python_says(_RTX)
    fitting = [gpu for gpu in gpus if gpu.capability in RTX_CAPABILITIES]
    if plain.good:
        yield _tensorrt(host, gpus, plain.text)
    elif rtx.good and fitting:
        yield Finding(
            SECTION, "TensorRT", Level.NOTE, "not installed; TensorRT for RTX is enough here"
        )
    else:
        advice = (
            "on a Jetson: sudo apt install python3-libnvinfer; on a desktop: pip install tensorrt"
        )
        if fitting:
            advice = "pip install tensorrt-rtx-cu12, which builds in seconds; or tensorrt-cu12"
        yield Finding(
            SECTION,
            "TensorRT",
            Level.WARNING,
            f"cannot be imported ({plain.text}); networks run in torch, which is slower",
            advice,
        )
    if rtx.good:
        yield _tensorrt_rtx(gpus, rtx.text)


def _tensorrt_rtx(gpus: list[Gpu], text: str) -> Finding:
    version, *known = text.split()
    for gpu in gpus:
        if gpu.capability not in known:
            return Finding(
                SECTION,
                "TensorRT for RTX",
                Level.NOTE,
                f"{version}; not for {gpu.name} (compute capability {gpu.capability}; it builds "
                f"for {', '.join(known)}): use TensorRT or torch there",
            )
    return Finding(
        SECTION,
        "TensorRT for RTX",
        Level.OK,
        f"{version}, for compute capability {', '.join(known)}",
    )


def _tensorrt(host: Host, gpus: list[Gpu], version: str) -> Finding:
    name = "TensorRT"
    major = version_of(version)[0]
    if major < 10:
        return Finding(
            SECTION,
            name,
            Level.PROBLEM,
            f"{version}; 10.3 or later is required",
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
                f"{version} needs driver {needed} or later; the driver here is {gpu.driver}",
                "update the driver"
                + (
                    ", or install the wheels for CUDA 12: pip install tensorrt-cu12"
                    if needed == 580
                    else ""
                ),
            )
    return Finding(SECTION, name, Level.OK, version)
