"""Networks and images that the core's tests share. What is absent skips and says what helps."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore


@pytest.fixture(scope="session")
def model_path():
    """A function: the file of a model by its name in the catalogue."""

    def find(name: str) -> Path:
        try:
            return ModelStore().get(name).path
        except ModelError as error:
            pytest.skip(str(error))

    return find


@pytest.fixture(scope="session")
def engine_of(model_path):
    """A function: an engine that runs a model; each model is loaded once."""
    loaded: dict[str, OpenVinoEngine] = {}

    def load(name: str) -> OpenVinoEngine:
        if name not in loaded:
            loaded[name] = OpenVinoEngine(model_path(name))
        return loaded[name]

    return load


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real images: VITPOSE_ROS_TEST_DATA, else ../shared/data beside the checkout."""
    checkout = Path(__file__).resolve().parents[2]
    folder = os.environ.get("VITPOSE_ROS_TEST_DATA", checkout.parent / "shared" / "data")
    if not Path(folder).is_dir():
        pytest.skip(f"no {folder}; set VITPOSE_ROS_TEST_DATA to the folder of the test data")
    return Path(folder)


@pytest.fixture(scope="session")
def real_image(test_data):
    """A function: an image of the test data by its name, BGR."""

    def read(name: str) -> np.ndarray:
        image = cv2.imread(str(test_data / name))
        if image is None:
            pytest.skip(f"no image {test_data / name}")
        return image

    return read
