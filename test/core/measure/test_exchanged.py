"""Real photographs whose red and blue are exchanged."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.factory import load_networks
from vitpose_ros.measure import Networks
from vitpose_ros.measure.exchanged import hand_if_exchanged
from vitpose_ros.models.store import ModelStore


@pytest.fixture(scope="module")
def networks(model_path):
    model_path("mediapipe-palm-full")
    model_path("mediapipe-hand-full")
    return load_networks(ModelStore(), threads=1)


@pytest.mark.parametrize("name", ["onehand10k_784.jpg", "people_demo.jpg"])
def test_a_hand_is_found_in_an_exchanged_photograph_and_not_in_the_photograph(
    networks, real_image, name
):
    image = real_image(name)
    exchanged = np.ascontiguousarray(image[..., ::-1])
    assert hand_if_exchanged(networks, exchanged)
    assert not hand_if_exchanged(networks, image)


@pytest.mark.parametrize("name", ["000000000785.jpg", "real/ego_aea_5.jpg", "real/ego_adt_0.jpg"])
def test_photographs_without_a_hand_that_the_networks_know_show_none(networks, real_image, name):
    assert not hand_if_exchanged(networks, real_image(name))


def test_without_a_hand_detector_nothing_is_claimed(networks):
    image = np.zeros((48, 64, 3), np.uint8)
    assert not hand_if_exchanged(Networks(networks.hand_reader), image)
