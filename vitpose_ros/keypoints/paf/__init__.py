"""Bottom-up networks: heatmaps and part affinity fields, as OpenPose's."""

from vitpose_ros.keypoints.paf.model import PafBodies, paf_bodies

__all__ = ["PafBodies", "paf_bodies"]
