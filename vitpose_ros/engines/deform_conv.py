"""ONNX's DeformConv for OpenVINO, whose ONNX reader (2026.4) lacks it; its CPU plugin has the same
operation as DeformableConvolution. DEKR's head needs it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

OPERATOR = "DeformConv"


def add_deform_conv(core: Any) -> None:
    """Teach an `openvino.Core` to read the operator, in 2D."""
    from openvino.frontend.onnx import ConversionExtension

    core.add_extension(ConversionExtension(OPERATOR, _convert))


def _convert(node: Any) -> Any:
    try:
        from openvino import opset8
    except ImportError:  # before 2025
        from openvino.runtime import opset8

    def given(index: int) -> Any:
        """An input, or None where an optional one is left out or has no name."""
        if index >= node.get_input_size():
            return None
        port = node.get_input(index)
        return None if port.get_node().get_type_name() == "NullNode" else port

    pads = list(node.get_attribute("pads", [0, 0, 0, 0]))
    bias, mask = given(3), given(4)
    convolved = opset8.deformable_convolution(
        given(0),
        given(2),
        given(1),
        list(node.get_attribute("strides", [1, 1])),
        pads[:2],
        pads[2:],
        list(node.get_attribute("dilations", [1, 1])),
        mask,
        auto_pad="EXPLICIT",
        group=node.get_attribute("group", 1),
        deformable_group=node.get_attribute("offset_group", 1),
        bilinear_interpolation_pad=True,
    )
    if bias is None:
        return convolved.outputs()
    column = opset8.unsqueeze(bias, opset8.constant(np.array([0, 2, 3])))
    return opset8.add(convolved, column).outputs()
