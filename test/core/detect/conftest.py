"""Networks that tests of the detectors write themselves."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.engines.base import TensorSpec


class FakeEngine:
    """An engine that gives the same outputs for every input, and keeps the last input."""

    name = "fake"

    def __init__(self, inputs, outputs):
        self.inputs = tuple(TensorSpec(name, shape) for name, shape in inputs.items())
        self.outputs = tuple(
            TensorSpec(name, (None, *array.shape[1:])) for name, array in outputs.items()
        )
        self.arrays = outputs
        self.seen = None

    def run(self, tensors):
        for spec in self.inputs:  # what a real engine insists on
            assert tensors[spec.name].dtype == np.float32
            assert tensors[spec.name].flags.c_contiguous
        self.seen = tensors[self.inputs[0].name].copy()
        return {name: array.copy() for name, array in self.arrays.items()}


@pytest.fixture
def fake_engine():
    """A function: an engine with those inputs (name: shape) and outputs (name: array)."""
    return FakeEngine
