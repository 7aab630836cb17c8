"""Trains ViTPose networks on COCO keypoints: labels in, a model that the node takes out.

Labels become samples (crops around each object, cut once), samples become batches, and a run of
batches becomes a checkpoint, which is converted and compared like any other. `network` and `loop`
need torch; the rest does not.
"""
