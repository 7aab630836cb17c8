"""From images to measurements: detectors, crops, networks, decoding. Each image by itself."""

from vitpose_ros.measure.measure import measure
from vitpose_ros.measure.networks import Networks

__all__ = ["Networks", "measure"]
