"""Engines run named tensors and know nothing else: no images, no keypoints, no ROS."""
