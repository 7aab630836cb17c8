"""Selects the precision in which a keypoint network runs on this CPU.

A precision below float32 is used only after its joints agreed with float32's on this machine.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from vitpose_ros.engines.base import Engine, EngineError
from vitpose_ros.engines.openvino import PRECISIONS, OpenVinoEngine
from vitpose_ros.keypoints.agreement import require
from vitpose_ros.keypoints.channels import channels_first
from vitpose_ros.keypoints.codec import Codec
from vitpose_ros.keypoints.gate_crops import gate_crops
from vitpose_ros.layouts import Layout
from vitpose_ros.types import FloatArray

LEAST_GAIN = 0.9
"""fp16 has to take at most this share of float32's time. With matrix instructions for it a network
takes a fourth; with AVX-512's alone it takes 1.5 times as long."""

PRECISION_CHOICES = (*PRECISIONS, "auto")
"""The precisions of a top-down model on the CPU; "auto" selects fp16 or fp32."""


def select_cpu_engine(
    path: Path,
    codec: Codec,
    layout: Layout,
    name: str,
    precision: str = "fp32",
    threads: int = 0,
) -> tuple[Engine, str]:
    """The engine for a network, in the requested precision, or in the fastest one that is accurate.

    Parameters
    ----------
    path : the network's file.
    codec, layout, name : of the network.
    precision : one of PRECISION_CHOICES. Those below fp32 are compared with it first, on the crops
        of `gate_crops`, which takes some seconds, and are refused where they differ. "auto" is fp16
        where the CPU supports it, it is faster and the comparison passes, else fp32. It never is
        bf16, whose 8 bits of precision rarely pass: on 1,510 joints of rendered hands, bf16 moves
        the tiny ViTPose's joints by 0.03 px of the crop in the median, 0.08 px at the 95th and
        0.14 px at the 99th percentile, and by several px where a map has two peaks.
    threads : CPU threads for the network; 0 uses all cores.

    Returns
    -------
    The engine, and why "auto" refused fp16; "" where it did not.

    Raises
    ------
    EngineError : the file cannot be read, or the requested precision is not supported by the CPU or
        differs from float32.
    """
    joints = len(layout)
    exact = channels_first(OpenVinoEngine(path, threads), codec, joints)
    if precision == "fp32":
        return exact, ""
    try:
        wanted = "fp16" if precision == "auto" else precision
        lower = channels_first(OpenVinoEngine(path, threads, wanted), codec, joints)
        crops = gate_crops(codec, layout)
        require(lower, exact, codec, name, crops)
    except EngineError as error:
        if precision != "auto":
            raise EngineError(f"{error}. Set precision to fp32 or auto") from error
        return exact, f"fp16 not used: {error}"
    if precision == "auto":
        lower_ms, exact_ms = run_ms(lower, crops), run_ms(exact, crops)
        if lower_ms > LEAST_GAIN * exact_ms:
            times = f"{lower_ms:.1f} ms per crop, float32 {exact_ms:.1f} ms"
            return exact, f"fp16 not used: it is not faster on this CPU ({times})"
    return lower, ""


def run_ms(engine: Engine, crops: FloatArray) -> float:
    """Median time of a run with one crop, ms."""
    tensors = {engine.inputs[0].name: crops[:1]}
    engine.run(tensors)
    times = []
    for _ in range(5):
        begun_s = time.perf_counter()
        engine.run(tensors)
        times.append(1e3 * (time.perf_counter() - begun_s))
    return median(times)
