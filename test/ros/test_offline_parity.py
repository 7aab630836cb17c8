"""A bag through the live node, and through `vitpose_ros annotate --as-live`: the same messages."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ament_index_python.packages import get_package_share_directory
from rclpy.serialization import deserialize_message

from vitpose_ros.cli.main import main
from vitpose_ros.msg import SkeletonArray, SkeletonLayoutArray
from vitpose_ros.synthetic.scene import Scene

PERIOD_NS = 33_333_333
COUNT = 24


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    """Hands that move, one of which is hidden for a while."""
    scene = Scene("occlude", seed=2)
    return [scene.render(i * PERIOD_NS * 1e-9 + 0.8).image for i in range(COUNT)]


def plain(message: Any) -> Any:
    """A message of rclpy or rosbags as dictionaries and lists; NaN is the text 'nan'."""
    if hasattr(message, "get_fields_and_field_types"):
        names = message.get_fields_and_field_types()
        return {name: plain(getattr(message, name)) for name in names}
    if hasattr(message, "__dataclass_fields__"):
        # rosbags' classes have constants as fields.
        names = [n for n in message.__dataclass_fields__ if n != "__msgtype__" and not n.isupper()]
        return {name: plain(getattr(message, name)) for name in names}
    if isinstance(message, (str, bool, int)):
        return message
    if isinstance(message, float) or np.isscalar(message):
        return "nan" if math.isnan(message) else float(np.float32(message))
    return [plain(value) for value in message]


def raw_messages(bag: Path) -> list[tuple[str, bytes]]:
    from rosbags.rosbag2 import Reader

    with Reader(bag) as reader:
        return [(c.topic, bytes(data)) for c, _, data in reader.messages()]


def decoded(bag: Path) -> list[tuple[str, Any]]:
    from rosbags.highlevel import AnyReader

    with AnyReader([bag]) as reader:
        return [(c.topic, reader.deserialize(d, c.msgtype)) for c, _, d in reader.messages()]


def annotated(tmp_path: Path, bag: Path, *options: str) -> Path:
    assert main(["annotate", str(bag), "-o", str(tmp_path / "out"), *options]) == 0
    return tmp_path / "out" / bag.name / "skeletons"


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("parameters", [{}, {"biomechanics": True, "prediction_horizon": 0.05}])
def test_as_live_gives_the_messages_of_the_live_node(
    graph, camera, models, make_bag, images, tmp_path, parameters
):
    stamps = [1_700_000_000_000_000_000 + i * PERIOD_NS for i in range(COUNT)]
    stamps[10:] = [stamp + 900_000_000 for stamp in stamps[10:]]  # tracking restarts
    topics = {"/camera/image_raw": ("raw", "bgr8", list(zip(stamps, images, strict=True)))}
    bag = make_bag(tmp_path / "recorded", topics)

    graph.start_pose_node(**parameters)
    live = []
    for stamp, image in zip(stamps, images, strict=True):
        message = camera.image(image, stamp)
        message.header.frame_id = "camera_optical_frame"  # as in the bag
        live.append(camera.process(message))
    settings = [f"-p{name}:={str(value).lower()}" for name, value in parameters.items()]
    skeletons = annotated(tmp_path, bag, "--as-live", *settings)

    offline = [message for topic, message in decoded(skeletons) if topic == "/skeletons"]
    assert len(offline) == COUNT
    assert sum(bool(message.skeletons) for message in live) > COUNT // 2
    assert [message.reset for message in live].count(True) == 2
    for one, other in zip(live, offline, strict=True):
        a, b = plain(one), plain(other)
        assert a.pop("processing_time") > 0 and b.pop("processing_time") == "nan"
        assert a == b


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_rclpy_and_rosbags_read_the_same_from_a_bag_of_ours(models, make_bag, images, tmp_path):
    stamped = [(10**18 + i * PERIOD_NS, image) for i, image in enumerate(images[:6])]
    bag = make_bag(tmp_path / "recorded", {"/camera/image_raw": ("raw", "bgr8", stamped)})
    skeletons = annotated(tmp_path, bag)

    kinds = {"/skeletons": SkeletonArray, "/skeleton_layouts": SkeletonLayoutArray}
    by_rosbags = decoded(skeletons)
    by_rclpy = [(t, deserialize_message(data, kinds[t])) for t, data in raw_messages(skeletons)]
    assert [topic for topic, _ in by_rclpy].count("/skeletons") == 6
    assert [(t, plain(m)) for t, m in by_rclpy] == [(t, plain(m)) for t, m in by_rosbags]


def test_type_hashes_are_those_of_the_built_messages():
    from vitpose_ros.offline.bag_types import typestore

    share = Path(get_package_share_directory("vitpose_ros")) / "msg"
    built = sorted(share.glob("Skeleton*.json"))
    if not built:
        pytest.skip("this ROS distribution describes no types (Humble)")
    for path in built:
        name = f"vitpose_ros/msg/{path.stem}"
        listed = json.loads(path.read_text())["type_hashes"]
        hashes = {one["type_name"]: one["hash_string"] for one in listed}
        assert typestore().hash_rihs01(name) == hashes[name]


def test_layouts_in_a_bag_are_offered_latched(models, make_bag, images, tmp_path):
    from rosbags.interfaces import QosDurability, QosReliability
    from rosbags.rosbag2 import Reader

    stamped = [(10**18, images[0])]
    bag = make_bag(tmp_path / "recorded", {"/camera/image_raw": ("raw", "bgr8", stamped)})
    with Reader(annotated(tmp_path, bag)) as reader:
        offers = {c.topic: c.ext.offered_qos_profiles[0] for c in reader.connections}
    assert offers["/skeleton_layouts"].durability is QosDurability.TRANSIENT_LOCAL
    assert offers["/skeletons"].durability is QosDurability.VOLATILE
    assert {offer.reliability for offer in offers.values()} == {QosReliability.RELIABLE}
