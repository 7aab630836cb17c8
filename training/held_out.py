"""Measures a converted network in use: unseen scenes, regions like a detector's, OpenVINO, and the
package's own top-down step.

    python training/held_out.py MODEL.onnx [--hands 400] [--json FIGURES.json]
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from render_hands import HELD_OUT_SEED

from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.evaluate import palm_length
from vitpose_ros.hand_geometry import hand_region
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.layouts import HAND21
from vitpose_ros.synthetic.scene import SCRIPTS, Scene, TrueHand
from vitpose_ros.train.crops import make_codec
from vitpose_ros.train.regions import DETECTOR, UPRIGHT_PADDING, jittered, upright_box
from vitpose_ros.types import ByteArray, Crop, Region

FIRST_SEED = HELD_OUT_SEED + 500_000
"""These scenes also differ from those measured during training."""

_log = logging.getLogger("held_out")


def unseen_hands(count: int) -> Iterator[tuple[ByteArray, TrueHand]]:
    """Hands of unseen rooms and people, with all joints in the image."""
    found = 0
    for seed in range(FIRST_SEED, FIRST_SEED + 10_000):
        script = SCRIPTS[seed % len(SCRIPTS)]
        scene = Scene(script, seed)
        rng = np.random.default_rng(seed)
        for time_s in rng.uniform(0, scene.duration_s, 6):
            drawn = scene.render(float(time_s))
            for hand in drawn.hands:
                if hand.in_view and found < count:
                    found += 1
                    yield drawn.image, hand
        if found == count:
            return


def regions_of(hand: TrueHand, rng: np.random.Generator) -> dict[str, Region]:
    """Regions for a hand as a detector or the last frame would give them, by kind."""
    own = hand_region(hand.uv, 1.0, 0)
    if own is None:
        raise ValueError("the joints of a rendered hand form no region")
    return {
        "detector_like": jittered(own, rng, DETECTOR),
        "upright_box": upright_box(hand.uv, 0.0, UPRIGHT_PADDING),
    }


def measure(
    model: Path, hands: int, threads: int = 0
) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.bool_]]:
    """Errors of a converted network.

    Returns
    -------
    errors : (N, 21), palm lengths, for each kind of region; infinite for an absent joint.
    visible : (N, 21).
    """
    side = _side_px(model)
    top_down = TopDown(
        OpenVinoEngine(model, threads), make_codec((side, side)), HAND21, model.stem, padding=1.0
    )
    rng = np.random.default_rng(FIRST_SEED)
    errors: dict[str, list[npt.NDArray]] = {}
    visible = []
    for image, hand in unseen_hands(hands):
        regions = regions_of(hand, rng)
        found = top_down([Crop(image, region) for region in regions.values()])
        for kind, keypoints in zip(regions, found, strict=True):
            distance = np.linalg.norm(keypoints.uv - hand.uv, axis=1) / palm_length(hand.uv)
            errors.setdefault(kind, []).append(np.where(np.isfinite(distance), distance, np.inf))
        visible.append(hand.visible)
    return {kind: np.array(rows) for kind, rows in errors.items()}, np.array(visible)


def figures(errors: npt.NDArray, visible: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Median and 95th percentile, percent of the palm, for visible and for all joints."""
    return {
        f"{name}_{label}_percent": round(float(np.percentile(values, share)) * 100, 2)
        for name, values in (("visible", errors[visible]), ("all", errors.ravel()))
        for label, share in (("median", 50), ("p95", 95))
    }


def _side_px(model: Path) -> int:
    (spec,) = OpenVinoEngine(model, 1).inputs
    return int(spec.shape[2] or 0)


def main() -> int:
    """Measure a network and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, help="the converted network, an ONNX file")
    parser.add_argument("--hands", type=int, default=400)
    parser.add_argument("--json", type=Path, help="also write the results as JSON")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    cv2.setNumThreads(1)
    errors, visible = measure(given.model, given.hands)
    result = {
        "hands": given.hands,
        "visible_share": round(float(visible.mean()), 3),
        **{kind: figures(rows, visible) for kind, rows in errors.items()},
    }
    text = json.dumps(result, indent=1)
    _log.info("%s", text)
    if given.json:
        given.json.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
