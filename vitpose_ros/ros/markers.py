"""Skeletons as RViz markers: a pure builder.

A joint with a known metric position is drawn there. A joint known only in the image is drawn on its
ray, at a set distance: the direction is right, the depth is not, and the label says so. Without a
camera model even the direction rests on an assumed field of view, and the label says that too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from vitpose_ros.camera import CameraModel
from vitpose_ros.draw import SIDE_COLOURS
from vitpose_ros.types import Frame, Instance, JointState, Side, TrackState

_LIFETIME = Duration(sec=1)  # the markers of a node that died disappear by themselves
_BONE_WIDTH = 0.008  # of the distance, so that near and far hands look alike
_JOINT_WIDTH = 0.014
_ALPHA = {
    JointState.VISIBLE: 1.0,
    JointState.MEASURED: 1.0,
    JointState.OCCLUDED: 0.45,
    JointState.PREDICTED: 0.3,
}


def assumed_camera(width: int, height: int) -> CameraModel:
    """A pinhole camera with a horizontal field of view of 60 degrees, for unknown cameras."""
    focal_px = 0.5 * width / math.tan(math.radians(30.0))
    return CameraModel(width, height, focal_px, focal_px, 0.5 * (width - 1), 0.5 * (height - 1))


def marker_array(
    header: Header,
    instances: Iterable[Instance],
    frame: Frame,
    distance_m: float,
) -> MarkerArray:
    """Bones, joints and a label for each instance, in header.frame_id. Markers of earlier images
    are removed.

    Parameters
    ----------
    header : the image's header.
    instances : the skeletons found in it.
    frame : the image, with its camera if known.
    distance_m : distance from the camera at which joints without a metric position are drawn.
    """
    camera = frame.camera or assumed_camera(frame.width, frame.height)
    unknown = "depth unknown" if frame.camera else "depth and camera unknown"
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    for number, instance in enumerate(instances):
        keypoints = instance.keypoints
        positions = keypoints.xyz.astype(float)
        flat = np.isnan(positions).any(axis=1)
        positions[flat] = distance_m * camera.rays(keypoints.uv[flat])
        # A pixel that the lens model does not reach has no ray.
        drawable = (keypoints.state != JointState.ABSENT) & np.isfinite(positions).all(axis=1)
        present = np.flatnonzero(drawable)
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
        distance = float(np.median(np.linalg.norm(positions[present], axis=1)))
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
        label.text = _label(instance, unknown if flat[present].all() else "")
        markers += [bones, joints, label] if bones.points else [joints, label]
    return MarkerArray(markers=markers)


def _marker(header: Header, number: int, namespace: str, kind: int, size_m: float) -> Marker:
    marker = Marker(header=header, ns=namespace, id=number, type=kind, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.scale.x = marker.scale.y = marker.scale.z = size_m
    marker.lifetime = _LIFETIME
    return marker


def _label(instance: Instance, unknown: str) -> str:
    name = instance.layout.kind if instance.side is Side.UNKNOWN else instance.side.name.lower()
    lost = " lost" if instance.track_state is TrackState.LOST else ""
    return f"{name} {instance.track_id}{lost}" + (f" ({unknown})" if unknown else "")
