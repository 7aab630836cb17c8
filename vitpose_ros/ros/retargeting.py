"""Publishes what robots need of an image's result: docs/retargeting.md.

It runs on the worker's thread, after the skeletons were published. Topics are built only while
somebody subscribes. A side without a usable hand sends nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from sensor_msgs.msg import JointState as JointAngles
from sensor_msgs.msg import Joy, PointCloud2
from std_msgs.msg import Header

from vitpose_ros.msg import OpenXrHands
from vitpose_ros.parameters.table import Parameters
from vitpose_ros.pipeline import Result
from vitpose_ros.retarget.angles import ANGLE_NAMES, SIDES
from vitpose_ros.retarget.joint_map import JointMap, JointMapError, load_joint_map
from vitpose_ros.retarget.operator import Operator, OperatorHand, OperatorPose
from vitpose_ros.retarget.pinch import OperatorPinch
from vitpose_ros.ros.operator_messages import (
    joint_angles_message,
    joints_message,
    openxr_hands,
    openxr_message,
    pinch_message,
    wrist_pose_message,
    wrist_transform_message,
    xr_teleop_message,
)
from vitpose_ros.ros.throttle import Throttle
from vitpose_ros.ros.transitions import RefusalError
from vitpose_ros.types import NO_ID, Side

PublishOn = Callable[[Any, str, int], Publisher]

_HAND_TOPICS = {"wrist_pose": PoseStamped, "joints": PointCloud2, "pinch": Joy}
"""Outputs with a topic for each side, <side>_hand/<output>."""
_FOREIGN = {
    "tf": ("tf2_msgs", "TFMessage"),
    "xr_teleop": ("teleop_ros2_interfaces", "NamedPoseArray"),
}
"""Outputs whose messages are of packages that may be missing."""
_TF_DEPTH = 100
"""As tf2_ros's broadcaster."""
_METRIC = ("wrist_pose", "tf", "openxr_hands", "xr_teleop/hand", "xr_teleop/ee_poses")
_REPORT_PERIOD_S = 30.0

_Topics = Mapping[tuple[str, Side], Publisher]
"""Publishers by topic and side; UNKNOWN for topics with both sides."""
_BOTH = Side.UNKNOWN


class Retargeting:
    """The outputs for robots that a node's parameters ask for.

    Parameters
    ----------
    node : for its log and its namespace.
    parameters : `outputs` and `joint_map`.
    publish_on : creates a publisher from a type, a topic and a depth.

    Raises
    ------
    RefusalError : a message package that an output needs is not installed, or the joint map is not
        valid.
    """

    def __init__(self, node: LifecycleNode, parameters: Parameters, publish_on: PublishOn) -> None:
        chosen = parameters.chosen_outputs()
        self._types = {name: _foreign_type(name) for name in _FOREIGN if name in chosen}
        self._map = _joint_map(parameters.joint_map)
        self._log, self._throttle = node.get_logger(), Throttle(_REPORT_PERIOD_S)
        self._operator, self._pinch = Operator(), OperatorPinch()
        self._followed: dict[Side, int] = {}
        namespace = node.get_namespace().strip("/")
        self._frames = {side: child_frame(namespace, side) for side in SIDES}
        self._topics: dict[tuple[str, Side], Publisher] = {
            (output, side): publish_on(kind, f"{side.name.lower()}_hand/{output}", 10)
            for output, kind in _HAND_TOPICS.items()
            if output in chosen
            for side in SIDES
        }
        for topic, kind in self._shared_topics(chosen):
            depth = _TF_DEPTH if topic == "tf" else 10
            name = "/tf" if topic == "tf" else topic
            self._topics[topic, _BOTH] = publish_on(kind, name, depth)

    def _shared_topics(self, chosen: frozenset[str]) -> list[tuple[str, Any]]:
        topics: list[tuple[str, Any]] = []
        if "joint_angles" in chosen:
            topics.append(("joint_angles", JointAngles))
        if self._map is not None:
            topics.append(("mapped_joint_angles", JointAngles))
        if "openxr" in chosen:
            topics.append(("openxr_hands", OpenXrHands))
        if "xr_teleop" in chosen:
            topics += [
                (f"xr_teleop/{name}", self._types["xr_teleop"]) for name in ("hand", "ee_poses")
            ]
        if "tf" in chosen:
            topics.append(("tf", self._types["tf"]))
        return topics

    def publish(
        self, header: Header, stamp_ns: int, result: Result, parameters: Parameters
    ) -> None:
        """Publish what is wanted of one image.

        Parameters
        ----------
        header : the image's stamp, and the frame of its metric results.
        stamp_ns : the same stamp.
        result : of the image.
        parameters : in use for this image.
        """
        topics = {
            key: publisher
            for key, publisher in self._topics.items()
            if key[0] == "tf" or publisher.get_subscription_count() > 0
        }
        if not topics:
            return
        pose = self._operator(stamp_ns, result.instances, result.reset)
        self._report(pose, {topic for topic, _ in topics})
        for side, hand in pose.hands.items():
            self._publish_hand(topics, header, side, hand, parameters)
        self._publish_tf(topics, header, pose)
        self._publish_angles(topics, header, pose)
        self._publish_openxr(topics, header, pose)

    def _publish_hand(
        self,
        topics: _Topics,
        header: Header,
        side: Side,
        hand: OperatorHand,
        parameters: Parameters,
    ) -> None:
        if hand.metric and (topic := topics.get(("wrist_pose", side))):
            topic.publish(wrist_pose_message(header, hand.frame))
        if topic := topics.get(("joints", side)):
            topic.publish(joints_message(header, self._frames[side], hand))
        if topic := topics.get(("pinch", side)):
            predicting = parameters.prediction_horizon > 0
            pinch = self._pinch(hand, predicting, parameters.pinch_settings())
            if pinch is not None:
                topic.publish(pinch_message(header, pinch))

    def _publish_tf(self, topics: _Topics, header: Header, pose: OperatorPose) -> None:
        metric = [hand for hand in pose.hands.values() if hand.metric]
        if metric and (topic := topics.get(("tf", _BOTH))):
            transforms = [
                wrist_transform_message(header, self._frames[hand.side], hand.frame)
                for hand in metric
            ]
            topic.publish(self._types["tf"](transforms=transforms))

    def _publish_angles(self, topics: _Topics, header: Header, pose: OperatorPose) -> None:
        human = topics.get(("joint_angles", _BOTH))
        robot = topics.get(("mapped_joint_angles", _BOTH))
        if human is None and robot is None:
            return
        angles = pose.angles()
        if not np.isfinite(angles).any():
            return
        if human is not None:
            human.publish(joint_angles_message(header, ANGLE_NAMES, angles))
        if robot is not None and self._map is not None:
            message = joint_angles_message(header, self._map.names, self._map(angles))
            if message.name:
                robot.publish(message)

    def _publish_openxr(self, topics: _Topics, header: Header, pose: OperatorPose) -> None:
        names = ("openxr_hands", "xr_teleop/hand", "xr_teleop/ee_poses")
        own, *foreign = (topics.get((name, _BOTH)) for name in names)
        if own is None and not any(foreign):
            return
        hands = openxr_hands(pose.hands)
        if own is not None:
            own.publish(openxr_message(header, hands))
        for topic, wrists_only in zip(foreign, (False, True), strict=True):
            if topic is not None:
                kind = self._types["xr_teleop"]
                topic.publish(xr_teleop_message(kind, header, hands, wrists_only))

    def _report(self, pose: OperatorPose, wanted: set[str]) -> None:
        """Log which hand is followed, and why an output that is subscribed to sends nothing."""
        for side in pose.without_points:
            self._say(
                f"{side.name} 2D",
                f"the {side.name.lower()} hand is known only in the image: its outputs need a "
                "network that gives the hand's shape (mediapipe-hand-full), or metric positions",
            )
        for side, hand in pose.hands.items():
            name = side.name.lower()
            if self._followed.get(side, NO_ID) != hand.instance.track_id:
                self._followed[side] = hand.instance.track_id
                self._log.info(f"outputs of the {name} side follow hand {hand.instance.track_id}")
            metric = sorted(wanted.intersection(_METRIC))
            if metric and not hand.metric:
                self._say(
                    f"{name} shape",
                    f"the {name} hand has a shape but no metric position, so nothing is sent for "
                    f"it on {', '.join(metric)}: docs/troubleshooting.md, 'Robots'",
                )
            if hand.frame.held:
                self._say(
                    f"{name} held",
                    f"the palm of the {name} hand defines no orientation (wrist, index and middle "
                    "knuckle on a line): its last orientation is held",
                )

    def _say(self, kind: str, text: str) -> None:
        self._throttle.say(self._log.warning, kind, text)


def child_frame(namespace: str, side: Side) -> str:
    """The name of an operator frame in TF: with the node's namespace, if it has one."""
    name = f"operator_{side.name.lower()}_wrist"
    return f"{namespace}/{name}" if namespace else name


def _foreign_type(output: str) -> Any:
    package, name = _FOREIGN[output]
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise RefusalError(
            f"outputs: '{output}' needs {package}/msg/{name}, which cannot be imported ({error}). "
            f"Install the package {package} (sudo apt install ros-$ROS_DISTRO-"
            f"{package.replace('_', '-')}) or build it in the workspace and source it, or remove "
            f"'{output}' from outputs"
        ) from error


def _joint_map(path: str) -> JointMap | None:
    if not path:
        return None
    try:
        return load_joint_map(Path(path).expanduser())
    except JointMapError as error:
        raise RefusalError(str(error)) from error
