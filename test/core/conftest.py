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
            pytest.skip(f"{error} (vitpose_ros models pull {name})")

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
def real_image():
    """A function: an image of the test data by its name, BGR."""

    def read(name: str) -> np.ndarray:
        beside = Path.cwd().parent / "shared" / "data"
        path = Path(os.environ.get("VITPOSE_ROS_TEST_DATA", beside)) / name
        if not path.is_file():
            pytest.skip(f"no {path}; set VITPOSE_ROS_TEST_DATA to the folder of the test data")
        return cv2.imread(str(path))

    return read
