"""The depth images of a bag, read as the live node reads them."""

from __future__ import annotations

from typing import Any

from vitpose_ros.ingest.camera_info import info_topic_beside, is_rectified
from vitpose_ros.ingest.depth import COMPRESSED_DEPTH, depth_camera, foreign, read_depth
from vitpose_ros.ingest.images import ImageError
from vitpose_ros.offline.source import Losses
from vitpose_ros.types import Depth, Frame


class BagDepth:
    """Turns the messages of a depth topic into depth images.

    Parameters
    ----------
    topic : its name.
    max_megapixels, image_rectified, input_mirrored : the parameters of these names.
    losses : is told why depth is not used.

    Attributes
    ----------
    topic, info_topic : of the images, and of their camera_info.
    info : the newest camera_info.
    """

    def __init__(
        self,
        topic: str,
        max_megapixels: float,
        image_rectified: str,
        input_mirrored: bool,
        losses: Losses,
    ) -> None:
        self.topic = topic
        self.info_topic = info_topic_beside(topic.removesuffix(COMPRESSED_DEPTH))
        self.info: Any = None
        self._most = round(max_megapixels * 1e6)
        self._rectified, self._mirrored = is_rectified(image_rectified, topic), input_mirrored
        self._losses = losses

    def read(self, message: Any | None, frame: Frame) -> Depth | None:
        """The depth image of a colour image; None, and a note, if there is none to be used."""
        if message is None:
            self._losses.note(f"{self.topic}: some images have no depth image of their moment")
            return None
        if frame.camera is None:
            reason = "the colour image has no camera_info that can be used"
        else:
            try:
                depth = read_depth(message, self._most)
            except ImageError as error:
                reason = str(error)
            else:
                own = depth_camera(self.info, frame, self._rectified, self._mirrored)
                reason = foreign(depth, message.header.frame_id, frame, own)
                if not reason:
                    return depth
        self._losses.note(f"{self.topic}: depth is not used, skeletons go on in 2D: {reason}")
        return None
