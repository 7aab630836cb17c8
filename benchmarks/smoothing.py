"""Jitter and lag of every smoothing preset: `vitpose_ros bench smoothing`, whose options these are
(--help), on the real recordings in ../shared/data/real (or VITPOSE_ROS_TEST_DATA) where they are.

JSON: on the held-out half of the recordings of a real hand {accel_ratio, lag_ms, offset_palm} of
each preset and published filter, in metres (`balanced`, ...) and in the image (`balanced_px`, ...);
the same of these joints with reaches of the whole hand added (`balanced_reach`, ...);
`rejected_joints`; and `rendered`: {accel_ratio, lag_ms, error_ratio} of each on rendered hands.
Targets: `balanced` at most 0.32 at 23 ms and `balanced_px` at most 0.40 at 23 ms; `responsive` at
most 12 ms and `steady` at most 60 ms of lag; no rejected joint.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from vitpose_ros.bench.real_joints import JOINTS_FILE
from vitpose_ros.cli.main import main


def arguments(given: list[str]) -> list[str]:
    """The command's words, with the folder of real recordings where there is one."""
    if "--real" in given:
        return given
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    real = Path(os.environ.get("VITPOSE_ROS_TEST_DATA", beside)) / "real"
    if (real / JOINTS_FILE).exists():
        return ["--real", str(real), *given]
    print(f"no real recordings in {real}: only rendered hands are measured", file=sys.stderr)
    return given


if __name__ == "__main__":
    sys.exit(main(["bench", "smoothing", *arguments(sys.argv[1:])]))
