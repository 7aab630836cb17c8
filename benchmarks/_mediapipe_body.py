"""MediaPipe's Pose API as a process that answers requests.

Runs in MediaPipe's environment, which cannot import this package: they need different versions of
NumPy. A request is a line of JSON on standard input: {"images": NPZ, "result": NPZ}, with RGB
images in the order of their names. Each image is processed independently. The result has, per
image, whether a body was found, its 33 points in px with visibility, and in metres, and the time
taken. Once it is written, the answer is the line "done".
"""

from __future__ import annotations

import json
import sys
import time

import mediapipe
import numpy as np

POINTS = 33


def main() -> None:
    """Answer requests until standard input ends."""
    pose = mediapipe.solutions.pose.Pose(
        static_image_mode=True, model_complexity=1, smooth_landmarks=False
    )
    for line in sys.stdin:
        request = json.loads(line)
        with np.load(request["images"]) as images:
            results = [process(pose, images[name]) for name in sorted(images.files)]
        found, rows, metres, seconds = zip(*results, strict=True)
        np.savez(
            request["result"],
            found=np.array(found),
            uv=np.array(rows)[:, :, :2],
            visibility=np.array(rows)[:, :, 2],
            metres=np.array(metres),
            seconds=np.array(seconds),
        )
        print(json.dumps("done"), flush=True)


def process(pose, image):  # type: ignore[no-untyped-def]
    """Whether a body was found, (33, 3) of px and visibility, (33, 3) metres, and seconds."""
    start = time.perf_counter()
    result = pose.process(image)
    seconds = time.perf_counter() - start
    if not result.pose_landmarks:
        return False, np.full((POINTS, 3), np.nan), np.full((POINTS, 3), np.nan), seconds
    size = image.shape[1], image.shape[0]
    rows = [(p.x * size[0], p.y * size[1], p.visibility) for p in result.pose_landmarks.landmark]
    metres = [(p.x, p.y, p.z) for p in result.pose_world_landmarks.landmark]
    return True, np.array(rows), np.array(metres), seconds


if __name__ == "__main__":
    main()
