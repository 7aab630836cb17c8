"""Datasets for learning from annotated recordings: LeRobot v3.0, and HDF5 as EgoDex has it.

Neither lerobot nor torch is needed. `frames` cuts a recording into episodes of a constant rate,
`hands` and `topics` say what is known in each frame, `lerobot` and `egodex` write it.
"""
