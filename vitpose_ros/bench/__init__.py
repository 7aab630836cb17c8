"""Measurements that a user can repeat on the own machine: `vitpose_ros bench`."""
