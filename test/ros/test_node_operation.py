"""What operators configure around the node: QoS, aggregated diagnostics, access control."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml
from rclpy.qos import ReliabilityPolicy

CONFIG = Path(__file__).resolve().parents[2] / "config"


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ReliabilityPolicy.BEST_EFFORT),
        ({"reliability": "best_effort"}, ReliabilityPolicy.BEST_EFFORT),
        ({"reliability": "reliable"}, ReliabilityPolicy.RELIABLE),
    ],
    ids=str,
)
def test_images_are_subscribed_to_with_the_reliability_that_is_asked_for(
    graph: Any, given: dict[str, str], expected: ReliabilityPolicy
) -> None:
    graph.start_pose_node(**given)
    topic = f"{graph.namespace}/image"

    def found() -> list[ReliabilityPolicy]:
        return [
            info.qos_profile.reliability
            for info in graph.observer.get_subscriptions_info_by_topic(topic)
        ]

    assert graph.wait_for(found, "the subscription") == [expected]


@pytest.mark.usefixtures("fakes")
def test_the_aggregators_configuration_matches_the_nodes_status(graph: Any) -> None:
    graph.start_pose_node()
    graph.wait_for_status(lambda values: True, "any state")
    text = (CONFIG / "diagnostics.yaml").read_text()
    analyzers = yaml.safe_load(text)["/**"]["ros__parameters"]
    name = f"{graph.namespace}/pose_node: images to skeletons"
    matching = [
        key
        for key, analyzer in analyzers.items()
        if isinstance(analyzer, dict) and any(part in name for part in analyzer["contains"])
    ]
    assert matching == ["skeletons"]


@pytest.mark.usefixtures("fakes")
def test_the_security_policy_allows_every_topic_and_service_of_the_node(graph: Any) -> None:
    graph.start_pose_node()
    profile = ET.parse(CONFIG / "sros2_policy.xml").find(".//profile")
    assert profile is not None
    allowed = {
        kind: {item.text for item in profile.findall(path)}
        for kind, path in {
            "published": "topics[@publish='ALLOW']/topic",
            "subscribed": "topics[@subscribe='ALLOW']/topic",
            "served": "services[@reply='ALLOW']/service",
        }.items()
    }
    ask = graph.observer
    who = ("pose_node", graph.namespace)

    def names() -> dict[str, set[str]] | None:
        found = {
            "published": ask.get_publisher_names_and_types_by_node(*who),
            "subscribed": ask.get_subscriber_names_and_types_by_node(*who),
            "served": ask.get_service_names_and_types_by_node(*who),
        }
        plain = {
            kind: {name.replace(graph.namespace, "", 1) for name, _ in rows}
            for kind, rows in found.items()
        }
        complete = "/skeletons" in plain["published"] and "/image" in plain["subscribed"]
        return plain if complete else None

    used = graph.wait_for(names, "the node's topics")
    camera = {"/image": "/camera/image_raw", "/camera_info": "/camera/camera_info"}
    used["subscribed"] = {camera.get(name, name) for name in used["subscribed"]}
    assert {kind: used[kind] - allowed[kind] for kind in used} == {kind: set() for kind in used}
