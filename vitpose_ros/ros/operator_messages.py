"""Messages for robots from who commands: pure builders, one per message."""

from __future__ import annotations

import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, TransformStamped, Vector3
from sensor_msgs.msg import JointState as JointAngles
from sensor_msgs.msg import Joy, PointCloud2, PointField
from std_msgs.msg import Header

from vitpose_ros.msg import OpenXrHands
from vitpose_ros.retarget.angles import SIDES
from vitpose_ros.retarget.openxr import JOINTS, OpenXrHand, openxr_hand
from vitpose_ros.retarget.operator import OperatorHand
from vitpose_ros.retarget.operator_frame import OperatorFrame
from vitpose_ros.retarget.pinch import Pinch
from vitpose_ros.types import Side

Array = npt.NDArray[np.float64]

_JOINT = np.dtype(
    [
        *(("x", "<f4"), ("y", "<f4"), ("z", "<f4")),
        *(("state", "u1"), ("z_source", "u1"), ("padding", "<u2")),
    ]
)
_FIELDS = [
    PointField(name=name, offset=offset, datatype=kind, count=1)
    for name, offset, kind in (
        ("x", 0, PointField.FLOAT32),
        ("y", 4, PointField.FLOAT32),
        ("z", 8, PointField.FLOAT32),
        ("state", 12, PointField.UINT8),
        ("z_source", 13, PointField.UINT8),
    )
]
_NOWHERE = OpenXrHand(
    np.full((26, 3), np.nan), np.full((26, 4), np.nan), np.full(26, np.nan), np.zeros(26, np.bool_)
)
_OPENXR_NAMES = [f"{side.name.lower()}_{joint}" for side in SIDES for joint in JOINTS]
_WRIST = JOINTS.index("WRIST")


def wrist_pose_message(header: Header, frame: OperatorFrame) -> PoseStamped:
    """The wrist in the operator convention."""
    return PoseStamped(header=header, pose=_pose(frame.origin, frame.quaternion))


def wrist_transform_message(header: Header, child: str, frame: OperatorFrame) -> TransformStamped:
    """The same as a transform from header.frame_id to the frame `child`."""
    message = TransformStamped(header=header, child_frame_id=child)
    message.transform.translation = Vector3(**_xyz(frame.origin))
    message.transform.rotation = _quaternion(frame.quaternion)
    return message


def joints_message(header: Header, child: str, hand: OperatorHand) -> PointCloud2:
    """The 21 joints in their operator frame, in hand21's order; NaN where unknown.

    Parameters
    ----------
    header : of the image; only its stamp is used.
    child : the name of the operator frame.
    hand : the joints.
    """
    keypoints = hand.instance.keypoints
    points = np.zeros(21, _JOINT)
    points["x"], points["y"], points["z"] = hand.frame.local(hand.points).T
    points["state"] = keypoints.state
    points["z_source"] = keypoints.z_source if hand.metric else 0
    data = array.array("B")
    data.frombytes(points.tobytes())
    return PointCloud2(
        header=Header(stamp=header.stamp, frame_id=child),
        height=1,
        width=21,
        fields=_FIELDS,
        is_bigendian=False,
        point_step=_JOINT.itemsize,
        row_step=21 * _JOINT.itemsize,
        data=data,
        is_dense=bool(np.isfinite(points["x"]).all()),
    )


def joint_angles_message(header: Header, names: Iterable[str], positions: Array) -> JointAngles:
    """Joint positions by name; unknown ones are left out."""
    known = [
        (name, float(position))
        for name, position in zip(names, positions, strict=True)
        if np.isfinite(position)
    ]
    return JointAngles(
        header=header,
        name=[name for name, _ in known],
        position=array.array("d", [position for _, position in known]),
    )


def pinch_message(header: Header, pinch: Pinch) -> Joy:
    """axes: closure of pinch and grasp, 0 open to 1 closed; buttons: 1 while pinching, grasping."""
    return Joy(
        header=header,
        axes=array.array("f", [pinch.pinch_closure, pinch.grasp_closure]),
        buttons=array.array("i", [int(pinch.pinch), int(pinch.grasp)]),
    )


def openxr_hands(hands: Mapping[Side, OperatorHand]) -> list[OpenXrHand]:
    """The left and the right hand; without a metric position, no joint of it is valid."""
    metric = {side: hand for side, hand in hands.items() if hand.metric}
    return [
        openxr_hand(metric[side].points, metric[side].axes, side, metric[side].frame.rotation)
        if side in metric
        else _NOWHERE
        for side in SIDES
    ]


def openxr_message(header: Header, hands: Sequence[OpenXrHand]) -> OpenXrHands:
    """Both hands, 26 joints each."""
    poses = [
        _pose(position, orientation)
        for hand in hands
        for position, orientation in zip(hand.position, hand.orientation, strict=True)
    ]
    radius = np.concatenate([hand.radius for hand in hands])
    return OpenXrHands(
        header=header,
        name=_OPENXR_NAMES,
        pose=poses,
        is_valid=[bool(valid) for hand in hands for valid in hand.valid],
        radius=array.array("f", radius.tolist()),
    )


def xr_teleop_message(
    kind: type, header: Header, hands: Sequence[OpenXrHand], wrists_only: bool
) -> Any:
    """IsaacTeleop's NamedPoseArray: `hand`, 25 joints per hand without the palm, or `ee_poses`, one
    wrist per hand. As there, an unknown pose is at zero and not valid.

    Parameters
    ----------
    kind : teleop_ros2_interfaces/NamedPoseArray.
    header : of the poses.
    hands : the left and the right one.
    wrists_only : which of the two messages.
    """
    joints = [_WRIST] if wrists_only else range(_WRIST, len(JOINTS))
    names, poses, valid = [], [], []
    for side, hand in zip(SIDES, hands, strict=True):
        for joint in joints:
            name = side.name.lower()
            names.append(name if wrists_only else f"{name}_{JOINTS[joint]}")
            known = bool(hand.valid[joint])
            valid.append(known)
            poses.append(_pose(hand.position[joint], hand.orientation[joint]) if known else Pose())
    return kind(header=header, name=names, pose=poses, is_valid=valid)


def _pose(position: Array, quaternion: Array) -> Pose:
    return Pose(position=Point(**_xyz(position)), orientation=_quaternion(quaternion))


def _xyz(vector: Array) -> dict[str, float]:
    x, y, z = vector.tolist()
    return {"x": x, "y": y, "z": z}


def _quaternion(quaternion: Array) -> Quaternion:
    x, y, z, w = quaternion.tolist()
    return Quaternion(x=x, y=y, z=z, w=w)
