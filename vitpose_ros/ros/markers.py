"""Skeletons as RViz markers: a pure builder.

A joint with a known metric position is drawn there. A joint known only in the image is drawn on its
ray, at a set distance: the direction is right, the depth is not, and the label says so. Without a
camera model even the direction rests on an assumed field of view, and the label says that too.

Bones have the colour of the side. Joints are green to red by their standard deviation, grey where
it is not known, and fainter where they were not measured in this image. Each skeleton has a
namespace of its own, so that RViz can hide it, and is deleted when it is gone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from vitpose_ros.camera import CameraModel
from vitpose_ros.draw import SIDE_COLOURS
from vitpose_ros.layouts import HAND21, WRIST
from vitpose_ros.retarget.operator_frame import hand_points, operator_axes
from vitpose_ros.types import (
    NO_ID,
    Frame,
    Instance,
    JointState,
    Side,
    TrackState,
    ZSource,
)

Array = npt.NDArray[np.float64]

JOINTS, BONES, LABEL, AXES = range(4)
"""Ids of the markers in a skeleton's namespace."""

SURE_M, UNSURE_M = 0.003, 0.05
"""A joint with at most the first standard deviation is green, from the second one on red; in
between the logarithm counts."""

_LIFETIME = Duration(sec=1)  # the markers of a node that died disappear by themselves
_BONE_WIDTH = 0.008  # of the distance, so that near and far hands look alike
_JOINT_WIDTH = 0.014
_AXIS_LENGTH, _AXIS_WIDTH = 0.1, 0.006
_UNKNOWN_GREY = (0.75, 0.75, 0.75)
_RAMP = np.array([(0.1, 0.85, 0.3), (1.0, 0.85, 0.1), (0.95, 0.15, 0.1)])
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
    before: MarkerArray | None = None,
) -> MarkerArray:
    """Joints, bones, label and, for hands, the axes of the wrist of each instance, in
    header.frame_id.

    Parameters
    ----------
    header : of the skeletons.
    instances : the skeletons found in an image.
    frame : the image, with its camera if known.
    distance_m : distance from the camera at which joints without a metric position are drawn.
    before : the last markers; those of skeletons that are gone are deleted. None deletes all.
    """
    markers: list[Marker] = []
    for number, instance in enumerate(instances):
        markers += _skeleton(header, number, instance, frame, distance_m)
    if before is None:
        return MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL), *markers])
    drawn = {(marker.ns, marker.id) for marker in markers}
    gone = [
        Marker(header=header, ns=marker.ns, id=marker.id, action=Marker.DELETE)
        for marker in before.markers
        if marker.action == Marker.ADD and (marker.ns, marker.id) not in drawn
    ]
    return MarkerArray(markers=[*gone, *markers])


def _skeleton(
    header: Header, number: int, instance: Instance, frame: Frame, distance_m: float
) -> list[Marker]:
    camera = frame.camera or assumed_camera(frame.width, frame.height)
    keypoints = instance.keypoints
    positions = keypoints.xyz.astype(float)
    flat = np.isnan(positions).any(axis=1)
    on_rays = distance_m * camera.rays(keypoints.uv[flat])
    positions[flat] = on_rays if frame.to_target is None else frame.to_target.points(on_rays)
    # A pixel that the lens model does not reach has no ray.
    drawable = (keypoints.state != JointState.ABSENT) & np.isfinite(positions).all(axis=1)
    present = np.flatnonzero(drawable)
    if present.size == 0:
        return []
    eye = np.zeros(3) if frame.to_target is None else frame.to_target.translation_m
    distance = float(np.median(np.linalg.norm(positions[present] - eye, axis=1)))
    spread_m = np.where(flat, keypoints.uv_std * distance_m / camera.fx, keypoints.xyz_std)
    points = {int(i): _point(positions[i]) for i in present}
    opaque = {i: _ALPHA[JointState(keypoints.state[i])] for i in points}
    side = _rgb(instance.side)

    def marker(which: int, kind: int, size_m: float) -> Marker:
        return _marker(header, _namespace(instance, number), which, kind, size_m)

    joints = marker(JOINTS, Marker.SPHERE_LIST, _JOINT_WIDTH * distance)
    joints.points.extend(points.values())
    joints.colors.extend(_colour(_sureness(float(spread_m[i])), opaque[i]) for i in points)
    label = marker(LABEL, Marker.TEXT_VIEW_FACING, 0.05 * distance)
    label.pose.position = points[int(present[0])]
    lost = instance.track_state is TrackState.LOST
    label.color = _colour(side, _ALPHA[JointState.PREDICTED if lost else JointState.VISIBLE])
    label.text = _label(instance, _doubt(instance, bool(flat[present].all()), frame))
    markers = [joints, label]
    bones = marker(BONES, Marker.LINE_LIST, _BONE_WIDTH * distance)
    for edge in instance.layout.edges:
        if edge[0] in points and edge[1] in points:
            bones.points.extend(points[joint] for joint in edge)
            bones.colors.extend(_colour(side, opaque[joint]) for joint in edge)
    if bones.points:
        markers.append(bones)
    wrist = _wrist_axes(instance)
    if wrist is not None and WRIST in points:
        axes = marker(AXES, Marker.LINE_LIST, _AXIS_WIDTH * distance)
        for axis, colour in zip(wrist.T, np.eye(3), strict=True):
            end = positions[WRIST] + _AXIS_LENGTH * distance * axis
            axes.points.extend((points[WRIST], _point(end)))
            axes.colors.extend([_colour(tuple(colour), 1.0)] * 2)
        markers.append(axes)
    return markers


def _wrist_axes(instance: Instance) -> Array | None:
    """(3, 3) the axes of a hand's wrist in the operator convention, as columns: red x, green y,
    blue z; None where they are not known.
    """
    if instance.layout is not HAND21 or instance.side is Side.UNKNOWN or instance.is_lost:
        return None
    hand = hand_points(instance.keypoints)
    return None if hand is None else operator_axes(hand.points, instance.side)


def _namespace(instance: Instance, number: int) -> str:
    kind = instance.layout.kind
    if instance.track_id == NO_ID:
        return f"{kind} without id {number}"
    return f"{kind} {instance.track_id}"


def _marker(header: Header, namespace: str, number: int, kind: int, size_m: float) -> Marker:
    marker = Marker(header=header, ns=namespace, id=number, type=kind, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.scale.x = marker.scale.y = marker.scale.z = size_m
    marker.lifetime = _LIFETIME
    return marker


def _point(position: Array) -> Point:
    return Point(x=float(position[0]), y=float(position[1]), z=float(position[2]))


def _rgb(side: Side) -> tuple[float, float, float]:
    blue, green, red = (channel / 255.0 for channel in SIDE_COLOURS[side])
    return red, green, blue


def _colour(rgb: tuple[float, ...], alpha: float) -> ColorRGBA:
    return ColorRGBA(r=float(rgb[0]), g=float(rgb[1]), b=float(rgb[2]), a=alpha)


def _sureness(spread_m: float) -> tuple[float, ...]:
    """Green to red by a standard deviation; grey for NaN."""
    if math.isnan(spread_m):
        return _UNKNOWN_GREY
    share = math.log(max(spread_m, 1e-6) / SURE_M) / math.log(UNSURE_M / SURE_M)
    place = min(max(share, 0.0), 1.0) * (len(_RAMP) - 1)
    return tuple(float(np.interp(place, range(len(_RAMP)), channel)) for channel in _RAMP.T)


def _doubt(instance: Instance, all_flat: bool, frame: Frame) -> str:
    """What is not known of a skeleton's place."""
    if all_flat:
        return "depth unknown" if frame.camera else "depth and camera unknown"
    assumed = (instance.keypoints.z_source == ZSource.ASSUMED).any()
    return "distance by assumed size" if assumed else ""


def _label(instance: Instance, doubt: str) -> str:
    name = instance.layout.kind if instance.side is Side.UNKNOWN else instance.side.name.lower()
    lost = " lost" if instance.track_state is TrackState.LOST else ""
    return f"{name} {instance.track_id}{lost}" + (f" ({doubt})" if doubt else "")
