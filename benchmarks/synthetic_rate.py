"""How many images per second the synthetic camera renders on one core.

Images are spread evenly over the script 'tour' and rendered in one thread. CPU time is counted, so
that other load on the machine does not matter.

JSON: images_per_s, and by size and number of hands under "all".
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # read by NumPy's linear algebra when it is imported

import time  # noqa: E402

import cv2  # noqa: E402
from common import machine, parser, report, write_json  # noqa: E402

from vitpose_ros.synthetic.scene import Scene  # noqa: E402

CASES = ((640, 480, 2), (640, 480, 1), (1280, 720, 2))


def images_per_s(width: int, height: int, hands: int, images: int) -> float:
    """Render the tour once at even steps; return the rate in CPU time."""
    scene = Scene("tour", seed=0, width=width, height=height, hands=hands)
    scene.render(0.0)
    start = time.process_time()
    for index in range(images):
        scene.render(scene.duration_s * index / images)
    return images / (time.process_time() - start)


def main() -> None:
    """Measure every case, print the table, write the figures."""
    arguments = parser(__doc__)
    arguments.add_argument("--images", type=int, default=200, help="images per case")
    options = arguments.parse_args()
    cv2.setNumThreads(1)
    rates = [images_per_s(*case, options.images) for case in CASES]
    rows = [(f"{w}x{h}", hands, rate) for (w, h, hands), rate in zip(CASES, rates, strict=True)]
    report(f"Synthetic camera, one core of {machine()}", ("size", "hands", "images/s"), rows)
    figures = {f"{w}x{h}, hands {n}": rate for (w, h, n), rate in zip(CASES, rates, strict=True)}
    write_json(options.json, {"images_per_s": rates[0], "all": figures})


if __name__ == "__main__":
    main()
