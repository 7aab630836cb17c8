"""From sensor_msgs/CameraInfo to the core's CameraModel.

Nothing here imports ROS: every function takes any object with the message's fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from vitpose_ros.camera import COEFFICIENTS, PLUMB_BOB, CameraModel
from vitpose_ros.ingest.quoting import quoted

COMPRESSED = "/compressed"
"""How image_transport names the topic of compressed images: the raw one's name, and this."""

RECTIFIED_CHOICES = ("auto", "always", "never")
"""Whether images are rectified: by the topic's name, or as the user says."""

_RECTIFIED_NAME = re.compile(r"(^|[/_])rect(ified)?([/_]|$)")
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def is_rectified(choice: str, image_topic: str) -> bool:
    """Whether the images of a topic are rectified, which their camera_info cannot tell.

    Parameters
    ----------
    choice : one of RECTIFIED_CHOICES. 'auto' looks for the word 'rect' or 'rectified' in the
        topic's name, as in image_rect, image_rect_color or rgb/color/rect/image.
    image_topic : the resolved name.
    """
    if choice == "auto":
        return _RECTIFIED_NAME.search(image_topic) is not None
    return choice == "always"


def info_topic_beside(image_topic: str) -> str:
    """The camera_info topic that belongs to an image topic: the one in the same namespace."""
    return f"{image_topic.removesuffix(COMPRESSED).rpartition('/')[0]}/camera_info"


def camera_model(
    message: Any, size: tuple[int, int], rectified: bool = False, mirrored: bool = False
) -> CameraModel:
    """The camera of an image, from its camera_info.

    A raw image has K and D, and R turns its rays into the frame in which P holds, as image_geometry
    does; a rectified image has P. The region of interest and the binning of the message are
    applied, in this order.

    Parameters
    ----------
    message : sensor_msgs/CameraInfo.
    size : (width, height) of the image, px.
    rectified : whether it is a rectified image.
    mirrored : whether it is flipped left to right after the camera.

    Raises
    ------
    ValueError : the message cannot describe this image; the text says why.
    """
    try:
        return _model(message, size, rectified, mirrored)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("CameraModel: ")) from error


def _model(message: Any, size: tuple[int, int], rectified: bool, mirrored: bool) -> CameraModel:
    k = _numbers("K", message.k, 9)
    if not any(k):
        raise ValueError("the camera is not calibrated (K is all zeros)")
    width, height = int(message.width), int(message.height)
    if width <= 0 or height <= 0:
        raise ValueError(f"it states an image size of {width}x{height} px")
    if rectified:
        p = _numbers("P", message.p, 12)
        if not any(p):
            raise ValueError("the image is taken as rectified, but P is all zeros")
        _check_skew("P", p[1])
        full = CameraModel(width, height, fx=p[0], fy=p[5], cx=p[2], cy=p[6])
    else:
        _check_skew("K", k[1])
        model, distortion = _distortion(message.distortion_model, message.d)
        r = _numbers("R", message.r, 9)
        rotation = r if any(r) and r != _IDENTITY else None
        full = CameraModel(width, height, k[0], k[4], k[2], k[5], model, distortion, rotation)
    binned = _window(full, message.roi).binned(
        max(1, int(message.binning_x)), max(1, int(message.binning_y))
    )
    return replace(binned.scaled_to(*size), mirrored=mirrored)


def _numbers(name: str, values: Sequence[float], count: int) -> tuple[float, ...]:
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} numbers instead of {count}")
    return tuple(float(value) for value in values)


def _check_skew(name: str, skew: float) -> None:
    if skew != 0.0:
        raise ValueError(f"{name} has a skew of {skew:g}; only cameras without skew are supported")


def _distortion(model: str, coefficients: Sequence[float]) -> tuple[str, tuple[float, ...]]:
    """The core's names for it. A camera without model and coefficients has no distortion."""
    given = [float(value) for value in coefficients]
    if not model and not any(given):
        return PLUMB_BOB, ()
    names = COEFFICIENTS.get(model)
    if names is None:
        raise ValueError(
            f"distortion model {quoted(model)} is not supported; supported are "
            f"{', '.join(COEFFICIENTS)}"
        )
    if model == PLUMB_BOB and len(given) == 4:  # OpenCV's shortest form: k3 is 0
        given.append(0.0)
    if not any(given[len(names) :]):  # longer forms of the same model, their further terms unused
        given = given[: len(names)]
    return model, tuple(given)


def _window(full: CameraModel, roi: Any) -> CameraModel:
    """The camera of a part of the image; a region of size 0 is the whole."""
    x, y, width, height = int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)
    width, height = width or full.width - x, height or full.height - y
    if x + width > full.width or y + height > full.height or min(width, height) <= 0:
        raise ValueError(
            f"its region of interest ({width}x{height} px at {x}, {y}) is not inside its image of "
            f"{full.width}x{full.height} px"
        )
    return replace(full, width=width, height=height, cx=full.cx - x, cy=full.cy - y)


class Calibration:
    """The camera_info of an image topic, resolved for each image.

    `take` may be called on another thread than `model_for`.

    Parameters
    ----------
    inform, warn : log functions, told once per change how camera_info is used or why it is not.

    Attributes
    ----------
    state : how camera_info is used, or why it is not, for diagnostics.
    topic : where camera_info is expected, resolved.
    """

    def __init__(self, inform: Callable[[str], object], warn: Callable[[str], object]) -> None:
        self._inform, self._warn = inform, warn
        self.start("", "")

    def start(self, topic: str, image_topic: str) -> None:
        """Forget earlier messages and expect those of a topic.

        Parameters
        ----------
        topic, image_topic : resolved names of the camera_info and image topics.
        """
        self.topic, self._image_topic = topic, image_topic
        self._message: Any = None
        self._resolved_for: Any = None
        self._model: CameraModel | None = None
        self.state = "none received"

    def take(self, message: Any) -> None:
        """Use this camera_info from the next image on."""
        self._message = message

    def model_for(self, size: tuple[int, int], choice: str, mirrored: bool) -> CameraModel | None:
        """The camera of an image; None when it is not known, with the reason in `state`.

        Parameters
        ----------
        size : (width, height) of the image, px.
        choice : of RECTIFIED_CHOICES.
        mirrored : whether the image is flipped left to right after the camera.
        """
        message = self._message
        if message is None:
            return None
        rectified = is_rectified(choice, self._image_topic)
        wanted = (_content(message), size, rectified, mirrored)
        if wanted != self._resolved_for:
            self._resolved_for = wanted
            self._resolve(message, size, rectified, mirrored)
        return self._model

    def _resolve(
        self, message: Any, size: tuple[int, int], rectified: bool, mirrored: bool
    ) -> None:
        before = self.state
        try:
            self._model = camera_model(message, size, rectified, mirrored)
        except ValueError as error:
            self._model = None
            self.state = f"not used: {error}"
            if self.state != before:
                self._warn(
                    f"{self.topic} is {self.state}. Markers are placed as if the camera saw "
                    "60 degrees across."
                )
            return
        lens = "rectified" if rectified else f"raw, {self._model.distortion_model}"
        self.state = f"image is {lens}"
        if self.state != before:
            self._inform(f"{self.topic}: the image is taken as {lens} (parameter image_rectified)")


def _content(message: Any) -> tuple[Any, ...]:
    """All that matters of a camera_info, to see whether the next one is the same."""
    roi = message.roi
    return (
        *(message.width, message.height, message.distortion_model),
        *(tuple(values) for values in (message.d, message.k, message.r, message.p)),
        *(message.binning_x, message.binning_y),
        *(roi.x_offset, roi.y_offset, roi.width, roi.height),
    )
