"""Finds hands in one image, without ROS: python3 examples/hands_in_an_image.py IN.jpg OUT.png."""

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
        raise SystemExit(f"OpenCV cannot read an image from '{photo}'")
    # static: there is no next image, so every tile of this one is searched for small hands.
    settings = Settings(HandSettings(static=True, max_hands=4))
    find_hands = load_pipeline(ModelStore(), settings=settings)
    hands = find_hands(Frame(image)).instances
    for hand in hands:
        wrist, tip = hand.keypoints.uv[0], hand.keypoints.uv[hand.layout.index("index_tip")]
        print(f"{hand.side.name.lower()} hand ({hand.score:.2f}): wrist {wrist}, index tip {tip}")
    if not cv2.imwrite(drawn, draw_instances(image, hands)):
        raise SystemExit(f"OpenCV cannot write '{drawn}': does the folder exist?")
    print(f"{len(hands)} hands drawn into {drawn}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
