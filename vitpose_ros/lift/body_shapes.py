"""The shape of bodies in metres, by a lifting network, from their joints in the last images.

The network estimates how a body is bent from 2D joints over time. It says nothing of where the body
is: results are relative to the pelvis and go into `shape_xyz`, never into `xyz`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vitpose_ros.measurements import JointWindow, ShapeReader
from vitpose_ros.types import Frame, Instance, JointState, Keypoints

Array = npt.NDArray[np.float64]

MAX_GAP_S = 0.5
"""A joint that has not been measured for longer makes the shape unknown, and a body that was not
seen for longer begins anew."""


@dataclass
class _History:
    """A body's joints over time.

    Attributes
    ----------
    stamps_ns : of the images, rising.
    joints : (K, 3) of each: px without distortion, and score; NaN where not measured.
    """

    stamps_ns: deque[int]
    joints: deque[Array]


class BodyShapes:
    """Remembers the bodies of one camera for as long as its network needs."""

    def __init__(self) -> None:
        self._tracks: dict[int, _History] = {}

    def reset(self) -> None:
        """Forget all bodies."""
        self._tracks.clear()

    def windows(
        self, network: ShapeReader, frame: Frame, instances: Sequence[Instance], mirrored: bool
    ) -> dict[int, JointWindow]:
        """What the network reads for the bodies of an image.

        Windows have the network's own rate: images that were missed are interpolated, and what is
        older than the first image repeats it. Only images up to this one are used.

        Parameters
        ----------
        network : for its window.
        frame, instances : of the image, with tracks.
        mirrored : the image is mirrored, as in a selfie view.

        Returns
        -------
        By the index of the instance; without bodies of which a needed joint is not known.
        """
        span_ns = (MAX_GAP_S - network.offsets_s.min()) * 1e9
        found: dict[int, JointWindow] = {}
        alive = set()
        for index, body in enumerate(instances):
            if body.layout.kind != "body":
                continue
            alive.add(body.track_id)
            if body.is_lost:
                continue
            history = self._tracks.setdefault(body.track_id, _History(deque(), deque()))
            if history.stamps_ns and frame.stamp_ns - history.stamps_ns[-1] > MAX_GAP_S * 1e9:
                history.stamps_ns.clear()
                history.joints.clear()
            history.stamps_ns.append(frame.stamp_ns)
            history.joints.append(_undistorted(frame, body.raw, mirrored))
            while history.stamps_ns[-1] - history.stamps_ns[0] > span_ns:
                history.stamps_ns.popleft()
                history.joints.popleft()
            window = _window(history, network)
            if np.isfinite(window[:, network.needed]).all():
                focal_px = np.nan if frame.camera is None else frame.camera.fx
                found[index] = JointWindow(window, frame.width, frame.height, focal_px)
        self._tracks = {track: h for track, h in self._tracks.items() if track in alive}
        return found


def lift_shapes(
    network: ShapeReader,
    cameras: Sequence[tuple[BodyShapes, Frame, bool]],
    instances: Sequence[Sequence[Instance]],
) -> tuple[list[list[Instance]], list[bool]]:
    """The instances of several images, bodies with the shape that the network gives them.

    Parameters
    ----------
    network : runs once for all images.
    cameras : of each image, the bodies that it remembers, the frame, and whether it is mirrored.
    instances : what was found in each image, with tracks.

    Returns
    -------
    The instances in the same order, with shape_xyz of `raw`, which `keypoints` is, too; and for
    each image whether the network ran for it.
    """
    windows = [
        shapes.windows(network, frame, found, mirrored)
        for (shapes, frame, mirrored), found in zip(cameras, instances, strict=True)
    ]
    results = iter(network([window for each in windows for window in each.values()]))
    lifted = [list(found) for found in instances]
    for own, each in zip(lifted, windows, strict=True):
        for index, body in enumerate(own):
            if body.layout.kind != "body" or body.is_lost:
                continue
            shape = np.full((len(body.layout), 3), np.nan, np.float32)
            if index in each:
                shape = next(results)
                shape[body.raw.state == JointState.ABSENT] = np.nan
            joints = replace(body.raw, shape_xyz=shape)
            own[index] = replace(body, raw=joints, keypoints=joints)
    return lifted, [bool(each) for each in windows]


def _undistorted(frame: Frame, joints: Keypoints, mirrored: bool) -> Array:
    """(K, 3) px of the scene as it is, through a lens without distortion, and scores."""
    uv = joints.uv.astype(np.float64)
    if frame.camera is not None:
        camera = frame.camera
        uv = camera.undistort(uv) * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    elif mirrored:
        uv = np.stack([frame.width - 1 - uv[:, 0], uv[:, 1]], axis=1)
    score = np.nan_to_num(joints.score.astype(np.float64), nan=1.0)  # networks without scores
    return np.concatenate([uv, score[:, None]], axis=1)


def _window(history: _History, network: ShapeReader) -> Array:
    """(images, K, 3) at the network's times; NaN for joints that it does not read, and for those
    that were not measured for MAX_GAP_S.
    """
    stamps_s = (np.array(history.stamps_ns) - history.stamps_ns[-1]) * 1e-9
    known = np.stack(history.joints)
    window = np.full((len(network.offsets_s), *known.shape[1:]), np.nan)
    for joint in np.flatnonzero(network.needed):
        seen = np.isfinite(known[:, joint]).all(axis=1)
        if not seen.any() or -stamps_s[seen][-1] > MAX_GAP_S:
            continue
        for channel in range(3):
            window[:, joint, channel] = np.interp(
                network.offsets_s, stamps_s[seen], known[seen, joint, channel]
            )
    return window
