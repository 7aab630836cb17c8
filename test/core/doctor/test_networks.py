from __future__ import annotations

from vitpose_ros.doctor.findings import Level
from vitpose_ros.doctor.networks import check_networks
from vitpose_ros.load import Models


def test_a_store_without_models_is_a_problem_with_the_command_that_fills_it(tmp_path):
    store, networks = check_networks(tmp_path / "store", Models(), "egocentric")
    assert store.level is Level.NOTE
    assert "no model" in store.value
    assert networks.level is Level.PROBLEM
    assert networks.remedy == ("vitpose_ros models pull mediapipe-palm-full mediapipe-hand-full")


def test_a_name_that_no_catalogue_has_is_a_problem_that_names_it(tmp_path):
    *_, networks = check_networks(tmp_path, Models(hand_model="nonsense"), "egocentric")
    assert networks.level is Level.PROBLEM
    assert networks.remedy == "name another model than nonsense"


def test_networks_that_are_there_are_run(tmp_path):
    *_, networks = check_networks(None, Models(), "egocentric")
    assert networks.level is Level.OK
    assert "mediapipe-hand-full on openvino CPU" in networks.value
