"""MediaPipe's Hands API as a process that answers requests.

Runs in MediaPipe's environment, which cannot import this package: they need different versions of
NumPy. A request is a line of JSON on standard input: {"images": NPZ, "static": bool, "complexity":
0 | 1, "result": NPZ}, with RGB images in the order of their names. Once the result is written, the
answer is the line "done". Requests with the same settings share a Hands object, so a clip may be
sent in parts.
"""

from __future__ import annotations

import json
import sys
import time

import mediapipe
import numpy as np


def main() -> None:
    """Answer requests until standard input ends."""
    solutions = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = request["static"], request["complexity"]
        if key not in solutions:
            solutions[key] = mediapipe.solutions.hands.Hands(
                static_image_mode=request["static"],
                max_num_hands=2,
                model_complexity=request["complexity"],
            )
        with np.load(request["images"]) as images:
            results = [process(solutions[key], images[name]) for name in sorted(images.files)]
        frame = [i for i, (_, hands) in enumerate(results) for _ in hands]
        hands = [hand for _, hands in results for hand in hands]
        np.savez(
            request["result"],
            seconds=np.array([seconds for seconds, _ in results]),
            frame=np.array(frame, np.int64),
            uv=np.array([uv for uv, _ in hands], np.float64).reshape(-1, 21, 2),
            label=np.array([label for _, label in hands], "U5"),
        )
        print(json.dumps("done"), flush=True)


def process(solution, image):  # type: ignore[no-untyped-def]
    """The time for an image, and its hands as ((21, 2) px, label)."""
    start = time.perf_counter()
    result = solution.process(image)
    seconds = time.perf_counter() - start
    size = image.shape[1], image.shape[0]
    hands = [
        (np.array([(p.x, p.y) for p in landmarks.landmark]) * size, handed.classification[0].label)
        for landmarks, handed in zip(
            result.multi_hand_landmarks or (), result.multi_handedness or (), strict=True
        )
    ]
    return seconds, hands


if __name__ == "__main__":
    main()
