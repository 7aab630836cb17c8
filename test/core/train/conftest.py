"""Small sets of labelled images: coloured spots where the joints are, on noise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vitpose_ros.layouts import LAYOUTS, Layout

SIZE = (160, 120)
_HAND = np.array(
    [(0, 0), (-9, -4), (-15, -9), (-19, -14), (-22, -18)]
    + [(x * 5 - 8, -18 - 7 * y) for x in range(4) for y in range(4)],
    float,
)
"""An upright hand of about 20 px from wrist to middle knuckle."""


class Made:
    """Labelled images in a folder.

    Attributes
    ----------
    folder : has coco.json and the images.
    content : of coco.json; `write` writes it.
    """

    def __init__(self, folder: Path, layout: Layout, count: int, seed: int, **image: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        self.folder, self.path = folder, folder / "coco.json"
        images, annotations = [], []
        for i in range(count):
            picture = rng.normal(90, 12, (SIZE[1], SIZE[0], 3)).clip(0, 255).astype(np.uint8)
            uv = self._joints(layout, rng)
            for k, (u, v) in enumerate(uv):
                colour = (40 + 9 * k % 200, 250 - 11 * k % 240, 255 if k % 2 else 30)
                cv2.circle(picture, (round(u), round(v)), 2, colour, -1)
            cv2.imwrite(str(folder / f"{i:03}.png"), picture)
            own = {name: value(i) for name, value in image.items()}
            images.append(
                {"id": i, "file_name": f"{i:03}.png", "width": SIZE[0], "height": SIZE[1], **own}
            )
            low, side = uv.min(axis=0), np.ptp(uv, axis=0)
            annotations.append(
                {
                    "id": i,
                    "image_id": i,
                    "category_id": 1,
                    "keypoints": [n for u, v in uv.tolist() for n in (u, v, 2)],
                    "bbox": [*low.tolist(), *side.tolist()],
                    "area": float(side.prod()),
                    "iscrowd": 0,
                }
            )
        category = {"id": 1, "name": layout.name, "keypoints": list(layout.joints)}
        self.content = {"images": images, "annotations": annotations, "categories": [category]}
        self.write()

    @staticmethod
    def _joints(layout: Layout, rng: np.random.Generator) -> np.ndarray:
        if layout.name == "hand21":
            turn, scale = rng.uniform(-0.6, 0.6), rng.uniform(0.8, 1.2)
            cos, sin = np.cos(turn), np.sin(turn)
            shape = scale * _HAND @ np.array(((cos, sin), (-sin, cos)))
            return shape + rng.uniform((60, 60), (100, 90))
        return rng.uniform((40, 20), (110, 100), (len(layout), 2))

    def write(self) -> None:
        """Write coco.json."""
        self.path.write_text(json.dumps(self.content))


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Made]:
    """``made(name="data", layout="hand21", count=6, seed=0, **fields_of_images)``."""

    def make(
        name: str = "data", layout: str = "hand21", count: int = 6, seed: int = 0, **image: Any
    ) -> Made:
        return Made(tmp_path / name, LAYOUTS[layout], count, seed, **image)

    return make
