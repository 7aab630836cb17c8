"""The precision that a keypoint network is computed in on this CPU, chosen by its joints.

A lower precision is used only after it gave the joints of float32 on this very machine.
"""

from __future__ import annotations

from pathlib import Path

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.openvino import PRECISIONS, OpenVinoEngine
from vitpose_ros.keypoints.agreement import require
from vitpose_ros.keypoints.codec import Codec
from vitpose_ros.keypoints.gate_crops import gate_crops
from vitpose_ros.layouts import Layout

PRECISION_CHOICES = (*PRECISIONS, "auto")
"""The precisions of a top-down model on the CPU; "auto" chooses between fp16 and fp32."""


def choose_cpu(
    path: Path,
    codec: Codec,
    layout: Layout,
    name: str,
    precision: str = "fp32",
    threads: int = 0,
) -> OpenVinoEngine:
    """The engine for a network, in the precision that was asked for or that is good and fastest.

    Parameters
    ----------
    path : the network's file.
    codec, layout, name : of the network.
    precision : one of PRECISION_CHOICES. The lower ones are compared with fp32 first, on the crops
        of `gate_crops`, which takes some seconds, and refused where they differ. "auto" is fp16
        where the CPU has it and the network is not refused, else fp32; `OpenVinoEngine.precision`
        says which. It never is bf16, whose 8 bits are too few for the gate: on 1,510 joints of
        rendered hands the tiny ViTPose's are moved by 0.03 px of the crop in the median, by more
        than 0.08 px for 1 of 20 and 0.14 px for 1 of 100, and by px where a map has two peaks.
    threads : CPU threads for the network; 0 uses all cores.

    Raises
    ------
    EngineError : the file cannot be read, or does not give the joints of float32 in the precision
        that was asked for.
    """
    exact = OpenVinoEngine(path, threads)
    if precision == "fp32":
        return exact
    try:
        lower = OpenVinoEngine(path, threads, "fp16" if precision == "auto" else precision)
        require(lower, exact, codec, name, gate_crops(codec, layout))
    except EngineError:
        if precision != "auto":
            raise
        return exact
    return lower
