"""Hands in one image, without ROS: python3 examples/hands_in_an_image.py photo.jpg drawn.png."""

import sys

import cv2

from vitpose_ros.draw import draw_instances
from vitpose_ros.factory import load_pipeline
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Settings
from vitpose_ros.settings import HandSettings
from vitpose_ros.types import Frame


def main(photo: str, drawn: str) -> None:
    image = cv2.imread(photo)
    if image is None:
        raise SystemExit(f"'{photo}' is no image that OpenCV can read")
    # static: the image stands on its own, so every tile of it is searched for small hands.
    settings = Settings(HandSettings(static=True, max_hands=4))
    find_hands = load_pipeline(ModelStore(), settings=settings)
    hands = find_hands(Frame(image)).instances
    for hand in hands:
        wrist, tip = hand.keypoints.uv[0], hand.keypoints.uv[hand.layout.index("index_tip")]
        print(f"{hand.side.name.lower()} hand ({hand.score:.2f}): wrist {wrist}, index tip {tip}")
    cv2.imwrite(drawn, draw_instances(image, hands))
    print(f"{len(hands)} hands drawn into {drawn}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
