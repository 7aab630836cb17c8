"""Whether an image shows a hand once its red and blue channels are exchanged."""

from __future__ import annotations

from vitpose_ros.detect.hand_boxes import HandBox
from vitpose_ros.detect.palms import palm_region
from vitpose_ros.geometry import letterbox_region
from vitpose_ros.measure.networks import Networks
from vitpose_ros.types import ByteArray, Crop

SCORE, PRESENCE = 0.7, 0.9
"""Lowest score of the palm, and lowest presence of the hand: below them it may be anything."""


def hand_if_exchanged(networks: Networks, image: ByteArray) -> bool:
    """Whether the networks find a hand in the image with red and blue exchanged.

    Skin is the most frequent thing that such an image shows wrongly: palms of real photographs are
    no longer found in it.

    Parameters
    ----------
    networks : with MediaPipe's palm detector; without one the answer is False.
    image : (H, W, 3) uint8, BGR.
    """
    if networks.hand_detector is None:
        return False
    exchanged = image[..., ::-1].copy()
    whole = Crop(exchanged, letterbox_region(image.shape[1], image.shape[0]))
    (palms,) = networks.hand_detector([whole], SCORE)
    found = [palm_region(palm) for palm in palms if not isinstance(palm, HandBox)]
    regions = [region for region in found if region is not None]
    hands = networks.hand_reader([Crop(exchanged, region) for region in regions[:2]])
    return any(hand is not None and hand.presence >= PRESENCE for hand in hands)
