"""Image messages to BGR arrays, without cv_bridge.

Nothing here imports ROS: every function takes any object with the fields of sensor_msgs/Image or
sensor_msgs/CompressedImage. Each reader has a `check` that reads no pixel, for the receiving
thread, so that a bad image is refused before it displaces a good one.
"""

from vitpose_ros.ingest.images.errors import ImageError
from vitpose_ros.ingest.images.readers import MAX_MEGAPIXELS, READERS, ImageReader

__all__ = ["MAX_MEGAPIXELS", "READERS", "ImageError", "ImageReader"]
