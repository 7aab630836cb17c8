"""Bodies: this package against MediaPipe's Pose API (0.10.21), with the same images and weights.

Each image is processed independently. Both sides run their own person detector, then the landmarks
of the best person. Reported are the distances of the 33 points, as a fraction of the torso (middle
of the shoulders to middle of the hips), and of the points in metres. Images: the skier and two
players of the test data, from VITPOSE_ROS_TEST_DATA or ../shared/data, and their mirror images.

The skier's joints are also compared with COCO's annotation (OKS of the 17 joints).

MediaPipe needs NumPy below 2, so it runs in an environment of its own, created on first use.

JSON: median_difference_torso, p95_difference_torso, oks_skier, oks_skier_mediapipe, ms,
ms_mediapipe, speed_ratio, rows. Targets: at most 0.01 and 0.03 of a torso, OKS at least 0.85.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _mediapipe_peer import MEDIAPIPE, MediaPipe, data_folder, mediapipe_python, real_images
from common import machine, parser, report, write_json

from vitpose_ros.detect.mediapipe_person import MediaPipePersonDetector
from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.keypoints.layout_conversion import convert_layout
from vitpose_ros.keypoints.mediapipe_body import BodyEstimate, BodyLandmarks
from vitpose_ros.layouts import COCO17, MEDIAPIPE33
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.oks import oks
from vitpose_ros.types import ByteArray, Crop

WORKER = "_mediapipe_body.py"
SKIER, PLAYERS = "000000000785.jpg", "people_demo.jpg"
CROPS = {  # x, y, width, height of two players in their image, px
    "player on the right": (600, 0, 350, 641),
    "player on the left": (30, 60, 500, 581),
}
THRESHOLD = 0.5  # of the Pose API, for detection and for presence
TURNS = 20
_SHOULDERS = [MEDIAPIPE33.index("left_shoulder"), MEDIAPIPE33.index("right_shoulder")]
_HIPS = [MEDIAPIPE33.index("left_hip"), MEDIAPIPE33.index("right_hip")]


def test_images() -> dict[str, ByteArray]:
    """Return the images by name; empty without the test data."""
    images: dict[str, ByteArray] = {}
    for skier in real_images([SKIER]):
        images["skier"] = skier
    for players in real_images([PLAYERS]):
        for name, (x, y, width, height) in CROPS.items():
            images[name] = players[y : y + height, x : x + width]
    for name in list(images):
        images[f"{name}, mirrored"] = images[name][:, ::-1]
    return {name: np.ascontiguousarray(image) for name, image in images.items()}


def load(store: ModelStore) -> Callable[[ByteArray], BodyEstimate | None]:
    """Return a function that finds the best body in an image."""
    detector = MediaPipePersonDetector(
        OpenVinoEngine(store.get("mediapipe-person", "person_detector").path), "mediapipe-person"
    )
    landmarks = BodyLandmarks(
        OpenVinoEngine(store.get("mediapipe-body-full", "body_keypoints").path),
        "mediapipe-body-full",
    )

    def find(image: ByteArray) -> BodyEstimate | None:
        regions = detector.body_regions(image, THRESHOLD)[:1]
        found = landmarks([Crop(image, region) for region in regions])
        return found[0] if found and found[0] and found[0].presence > THRESHOLD else None

    return find


def torso_px(uv: npt.NDArray[Any]) -> float:
    """Return the distance from the middle of the shoulders to the middle of the hips."""
    return float(np.linalg.norm(uv[_SHOULDERS].mean(axis=0) - uv[_HIPS].mean(axis=0)))


def skier_oks(uv: npt.NDArray[Any]) -> float:
    """Return the OKS of 17 joints, (17, 2) px, against COCO's annotation."""
    content = json.loads((data_folder() / "coco_785.json").read_text())
    (annotation,) = content["annotations"]
    truth = np.array(annotation["keypoints"], np.float64).reshape(-1, 3)
    return oks(uv, truth[:, :2], annotation["area"], COCO17.sigmas, truth[:, 2] > 0)


def main() -> None:
    """Measure, print the table, write the figures."""
    arguments = parser(__doc__)
    arguments.add_argument(
        "--venv", type=Path, metavar="DIR", help="an environment with " + MEDIAPIPE
    )
    options = arguments.parse_args()
    try:
        find = load(ModelStore())
    except (ModelError, EngineError) as error:
        raise SystemExit(str(error)) from error
    images = test_images()
    if not images:
        raise SystemExit("Nothing to measure without the test data.")
    python = mediapipe_python(options.venv)

    with tempfile.TemporaryDirectory() as folder:
        peer = MediaPipe(python, WORKER, Path(folder))
        pictures = list(images.values())
        theirs = peer.find(pictures)
        seconds: list[float] = []
        own_seconds: list[float] = []
        for _ in range(TURNS):  # alternate, so that other load on the machine affects both alike
            seconds += list(peer.find(pictures)["seconds"])
            for image in pictures:
                start = time.perf_counter()
                find(image)
                own_seconds.append(time.perf_counter() - start)
        peer.close()

    rows: list[list[Any]] = []
    differences: list[float] = []
    scores: dict[str, float] = {}
    order = [MEDIAPIPE33.index(joint) for joint in COCO17.joints]
    for i, (name, image) in enumerate(images.items()):
        mine = find(image)
        if mine is None or not theirs["found"][i]:
            rows.append([name, bool(theirs["found"][i]), mine is not None, *[None] * 4])
            continue
        uv, metres = theirs["uv"][i], theirs["metres"][i]
        apart = np.linalg.norm(mine.uv - uv, axis=1) / torso_px(uv)
        differences += list(apart)
        millimetres = 1e3 * np.linalg.norm(mine.shape_xyz - metres, axis=1)
        rows.append(
            [
                name,
                True,
                True,
                float(np.median(apart)),
                float(apart.max()),
                float(np.median(millimetres)),
                float(np.abs(mine.visibility - theirs["visibility"][i]).max()),
            ]
        )
        if name == "skier":
            joints = mine.keypoints(image.shape[1], image.shape[0])
            scores["oks_skier"] = skier_oks(convert_layout(joints, COCO17).uv)
            scores["oks_skier_mediapipe"] = skier_oks(uv[order])

    report(
        f"vitpose_ros against MediaPipe's Pose ({machine()}); differences in torsos",
        ("image", "MediaPipe", "ours", "median", "largest", "median mm", "visibility"),
        rows,
    )
    figures = {
        "median_difference_torso": float(np.median(differences)) if differences else None,
        "p95_difference_torso": float(np.quantile(differences, 0.95)) if differences else None,
        **scores,
        "ms": 1e3 * float(np.median(own_seconds)),
        "ms_mediapipe": 1e3 * float(np.median(seconds)),
        "speed_ratio": float(np.median(seconds) / np.median(own_seconds)),
    }
    report("Figures", ("", "value"), list(figures.items()))
    write_json(options.json, {**figures, "rows": rows})


if __name__ == "__main__":
    main()
