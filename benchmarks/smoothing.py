"""Jitter, lag and error of every filter and preset: `vitpose_ros bench smoothing`, whose options
these are (--help).

JSON: one entry for each filter and preset, and `default`: {accel_ratio, lag_ms, error_ratio}.
Targets: default at most 0.35 at no more than 20 ms, error below 1; steady at most 0.25 at no more
than 60 ms.
"""

from __future__ import annotations

import sys

from vitpose_ros.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["bench", "smoothing", *sys.argv[1:]]))
