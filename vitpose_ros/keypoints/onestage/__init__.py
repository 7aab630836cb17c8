"""One-stage networks: persons with their joints from one pass over the whole image."""

from vitpose_ros.keypoints.onestage.model import OneStage, one_stage

__all__ = ["OneStage", "one_stage"]
