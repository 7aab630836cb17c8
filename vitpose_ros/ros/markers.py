"""Skeletons as RViz markers: a pure builder.

A joint whose metric position is known is drawn there. One that is known in the image only is drawn
where its ray meets a plane in front of the camera: the picture is right, the depth is not, and the
label says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from vitpose_ros.draw import SIDE_COLOURS
from vitpose_ros.types import Instance, JointState, Side, TrackState

_LIFETIME = Duration(sec=1)  # markers of a node that died go away by themselves
_BONE_WIDTH = 0.008  # of the distance; so that a hand looks alike near and far
_JOINT_WIDTH = 0.014
_ALPHA = {JointState.VISIBLE: 1.0, JointState.OCCLUDED: 0.45, JointState.PREDICTED: 0.3}


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera: focal lengths and principal point, px."""

    fx: float
    fy: float
    cx: float
    cy: float

    @classmethod
    def guess(cls, width: int, height: int) -> Intrinsics:
        """For a camera that publishes no camera_info: a horizontal field of view of 60 degrees."""
        focal = 0.5 * width / np.tan(np.radians(30.0))
        return cls(float(focal), float(focal), 0.5 * (width - 1), 0.5 * (height - 1))

    def on_plane(self, uv: npt.NDArray, distance_m: float) -> npt.NDArray:
        """(K, 3) points, metres in the optical frame, where the rays of (K, 2) pixels meet the
        plane z = distance_m.
        """
        x = (uv[:, 0] - self.cx) / self.fx * distance_m
        y = (uv[:, 1] - self.cy) / self.fy * distance_m
        return np.stack([x, y, np.full(len(uv), distance_m)], axis=1)


def marker_array(
    header: Header,
    instances: Iterable[Instance],
    intrinsics: Intrinsics,
    distance_m: float,
) -> MarkerArray:
    """Bones, joints and a label for each instance, in header.frame_id; markers of earlier images
    are removed.

    Parameters
    ----------
    header : the image's header.
    instances : what was found.
    intrinsics : of the image's camera, for joints without a metric position.
    distance_m : where those are drawn.
    """
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    for number, instance in enumerate(instances):
        keypoints = instance.keypoints
        positions = keypoints.xyz.astype(float)
        flat = np.isnan(positions).any(axis=1)
        positions[flat] = intrinsics.on_plane(keypoints.uv[flat].astype(float), distance_m)
        present = np.flatnonzero(keypoints.state != JointState.ABSENT)
        if present.size == 0:
            continue
        blue, green, red = (channel / 255.0 for channel in SIDE_COLOURS[instance.side])
        points = {
            int(i): Point(x=float(p[0]), y=float(p[1]), z=float(p[2]))
            for i, p in zip(present, positions[present], strict=True)
        }
        colors = {
            i: ColorRGBA(r=red, g=green, b=blue, a=_ALPHA[JointState(keypoints.state[i])])
            for i in points
        }
        distance = float(np.median(positions[present, 2]))
        bones = _marker(header, number, "bones", Marker.LINE_LIST, _BONE_WIDTH * distance)
        for edge in instance.layout.edges:
            if edge[0] in points and edge[1] in points:
                bones.points.extend(points[joint] for joint in edge)
                bones.colors.extend(colors[joint] for joint in edge)
        joints = _marker(header, number, "joints", Marker.SPHERE_LIST, _JOINT_WIDTH * distance)
        joints.points.extend(points.values())
        joints.colors.extend(colors.values())
        label = _marker(header, number, "labels", Marker.TEXT_VIEW_FACING, 0.05 * distance)
        label.pose.position = points[int(present[0])]
        lost = instance.track_state is TrackState.LOST
        alpha = _ALPHA[JointState.PREDICTED if lost else JointState.VISIBLE]
        label.color = ColorRGBA(r=red, g=green, b=blue, a=alpha)
        label.text = _label(instance, bool(flat[present].all()))
        markers += [bones, joints, label] if bones.points else [joints, label]
    return MarkerArray(markers=markers)


def _marker(header: Header, number: int, namespace: str, kind: int, size_m: float) -> Marker:
    marker = Marker(header=header, ns=namespace, id=number, type=kind, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.scale.x = marker.scale.y = marker.scale.z = size_m
    marker.lifetime = _LIFETIME
    return marker


def _label(instance: Instance, flat: bool) -> str:
    name = instance.layout.kind if instance.side is Side.UNKNOWN else instance.side.name.lower()
    lost = " lost" if instance.track_state is TrackState.LOST else ""
    return f"{name} {instance.track_id}{lost}" + (" (depth unknown)" if flat else "")
