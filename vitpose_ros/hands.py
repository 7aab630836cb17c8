"""Hands: found by their palms or by the bodies that they belong to, then followed from their own
joints. `HandFinder.__call__` is the page to read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vitpose_ros.detect.hands import (
    hand_region,
    joints_box,
    palm_region,
    same_hand,
    same_region,
)
from vitpose_ros.detect.palms import Palm, PalmDetector
from vitpose_ros.detect.tiles import TileSearch, tiles, whole_in_tile
from vitpose_ros.geometry import letterbox_region, overlap_of_smaller
from vitpose_ros.keypoints.hand_estimate import HandEstimate
from vitpose_ros.layouts import HAND21
from vitpose_ros.tracks import Tracks, Work
from vitpose_ros.types import (
    NO_ID,
    ByteArray,
    FloatArray,
    Frame,
    Instance,
    JointState,
    Keypoints,
    Region,
    Side,
)

MIN_JOINTS_INSIDE = 4
"""With fewer joints in the image, less than a finger, a hand has left it: the rest is guessed."""

_INSIDE_ANOTHER = 0.5  # a hand from a tile that lies so far inside another's box is a part of it


@dataclass(frozen=True)
class HandSettings:
    """What may change while the pipeline runs.

    Attributes
    ----------
    max_hands : most hands in one image, 1 .. 16. The palm detector rests while so many are
        followed. Where bodies are found, each has its two hands, and max_hands bounds the hands
        beside these: those that were followed and are nobody's any more.
    detection_threshold : palms of a lower score are not looked at, 0 .. 1.
    presence_threshold : regions with a lower probability of a hand are dropped, 0 .. 1.
    input_mirrored : the camera's images are mirrored left to right, as for a selfie. Left and right
        are exchanged, and so is the direction of x in metres (xyz, shape_xyz), so that these are
        the camera's own frame and a left hand has the shape of a left hand. Pixels stay those of
        the image as it is.
    search : look for small hands in tiles of the image while fewer than max_hands are in view.
    search_tiles_per_frame : most tiles in one image, 1 .. 16; in static mode all of them are used.
    static : each image stands on its own: nothing is followed, stamps play no part, and hands have
        no identity. Not for the view "auto", which decides by what earlier images showed.

    Raises
    ------
    ValueError : naming the field, what was given and what is accepted.
    """

    max_hands: int = 2
    detection_threshold: float = 0.5
    presence_threshold: float = 0.5
    input_mirrored: bool = False
    search: bool = True
    search_tiles_per_frame: int = 1
    static: bool = False

    def __post_init__(self) -> None:
        for name in ("max_hands", "search_tiles_per_frame"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 16:
                raise ValueError(f"{name}: expected a whole number from 1 to 16, got {value!r}")
        for name in ("detection_threshold", "presence_threshold"):
            value = getattr(self, name)
            if (
                isinstance(value, bool)
                or not isinstance(value, (int, float))
                or not 0 <= value <= 1
            ):
                raise ValueError(f"{name}: expected a number from 0 to 1, got {value!r}")
        for name in ("input_mirrored", "search", "static"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise ValueError(f"{name}: expected true or false, got {value!r}")


@dataclass(frozen=True)
class _Hand:
    """A hand in this image, and the region where it is looked for in the next one."""

    estimate: HandEstimate
    next_region: Region  # its track_id is NO_ID for a hand that is not followed yet


class HandReader(Protocol):
    """Reads the joints of hands: MediaPipe's landmarks, or a top-down model."""

    name: str
    """The network's name in the model catalogue."""
    engine: str
    """What it runs on, for people."""

    def __call__(self, image: ByteArray, regions: Sequence[Region]) -> list[HandEstimate | None]:
        """One estimate for each region (a turned square), in their order; None for no hand."""
        ...


class HandFinder:
    """Hands in images of one camera.

    Parameters
    ----------
    detector : finds palms. None: only hands of bodies are found, by `of_bodies`.
    reader : finds the joints in a region.
    settings : see `HandSettings`; changed by `update`.
    ids : where the ids of new tracks come from.
    """

    def __init__(
        self,
        detector: PalmDetector | None,
        reader: HandReader,
        settings: HandSettings,
        ids: Iterator[int],
    ) -> None:
        self._detector = detector
        self._reader = reader
        self._settings = settings
        self._search = TileSearch()
        self._tracks = Tracks(ids)

    @property
    def engine(self) -> str:
        """What the networks run on, for people."""
        return self._reader.engine

    @property
    def models(self) -> tuple[str, ...]:
        """The networks, by their names in the model catalogue."""
        detector = () if self._detector is None else (self._detector.name,)
        return (*detector, self._reader.name)

    @property
    def finds_directly(self) -> bool:
        """Whether hands are found without bodies: there is a detector."""
        return self._detector is not None

    @property
    def settings(self) -> HandSettings:
        """The settings in use."""
        return self._settings

    def update(self, settings: HandSettings) -> None:
        """Use other settings from the next image on.

        Hands that are followed stay so: those followed longest where fewer are allowed now.
        """
        if settings.static:
            self._tracks.clear()
        self._settings = settings

    def reset(self) -> None:
        """Follow nothing any more."""
        self._tracks.clear()
        self._search.reset()

    def warm_up(self, image: ByteArray, count: int) -> None:
        """Read `count` hands in an image and forget them: a network's first run takes longer."""
        self._reader(image, [letterbox_region(image.shape[1], image.shape[0])] * count)

    def keep(self, hands: Sequence[Instance]) -> None:
        """Follow only those of the last image's hands."""
        self._tracks.keep_only({hand.track_id for hand in hands})

    def __call__(self, frame: Frame, work: Work) -> list[Instance]:
        """The hands in an image, found by their palms; those followed longest first."""
        settings = self._settings
        self._tracks.keep(settings.max_hands)  # hands of bodies may have been more
        hands = self._follow(frame, work)
        if len(hands) < settings.max_hands:
            whole = [letterbox_region(frame.width, frame.height)]
            hands += self._find(frame, whole, hands, work)
        if len(hands) < settings.max_hands and settings.search:
            hands += _apart(self._find(frame, self._tiles(frame), hands, work), hands)
        return self._instances(frame, hands)

    def of_bodies(self, frame: Frame, places: Sequence[Region], work: Work) -> list[Instance]:
        """The hands in an image whose bodies are known: no palm detector runs.

        Parameters
        ----------
        places : where a hand should be, each once. One that holds a hand which is followed already
            is passed over.
        """
        hands = self._follow(frame, work)
        new = [p for p in places if not any(holds_hand(p, hand.estimate.uv) for hand in hands)]
        hands += self._read([replace(place, track_id=NO_ID) for place in new], frame, hands, work)
        return self._instances(frame, hands)

    def _follow(self, frame: Frame, work: Work) -> list[_Hand]:
        """Hands of the last image, in the regions that their joints had."""
        return self._read(self._tracks.regions, frame, [], work)

    def _find(
        self, frame: Frame, windows: Sequence[Region], known: Sequence[_Hand], work: Work
    ) -> list[_Hand]:
        """Hands that are not known yet, in windows of the image."""
        if not windows:
            return []
        if self._detector is None:
            raise ValueError("hands without bodies are found by a hand detector; none was given")
        with work.stage("detect", self._detector.name):
            found = self._detector(frame.image, windows, self._settings.detection_threshold)
        palms = [
            palm
            for window, in_window in zip(windows, found, strict=True)
            for palm in in_window
            if whole_in_tile(palm, window, frame.width, frame.height)
        ]
        free = self._settings.max_hands - len(known)
        regions = _distinct(palms, [hand.next_region for hand in known])[:free]
        return self._read(regions, frame, known, work)[:free]

    def _read(
        self, regions: list[Region], frame: Frame, known: Sequence[_Hand], work: Work
    ) -> list[_Hand]:
        """The hands in these regions: present, and each only once."""
        if not regions:
            return []
        with work.stage("keypoints", self._reader.name):
            estimates = self._reader(frame.image, regions)
        hands: list[_Hand] = []
        for region, estimate in zip(regions, estimates, strict=True):
            if estimate is None or estimate.presence < self._settings.presence_threshold:
                continue
            if _inside(estimate.uv, frame).sum() < MIN_JOINTS_INSIDE:
                continue
            if any(same_hand(estimate.uv, other.estimate.uv) for other in (*known, *hands)):
                continue
            following = hand_region(estimate.uv, estimate.presence, region.track_id)
            if following is not None:
                hands.append(_Hand(estimate, following))
        return hands

    def _tiles(self, frame: Frame) -> Sequence[Region]:
        if self._settings.static:
            return tiles(frame.width, frame.height)
        return self._search.next_tiles(
            frame.width, frame.height, self._settings.search_tiles_per_frame
        )

    def _instances(self, frame: Frame, hands: Sequence[_Hand]) -> list[Instance]:
        """Give each hand its identity: that of the region it was followed in, or a new one."""
        if self._settings.static:
            return [self._instance(frame, hand, {}) for hand in hands]
        regions = [hand.next_region for hand in hands]
        identities, ended = self._tracks.update(regions, frame.stamp_ns)
        for region in ended:
            self._search.lost(region)
        return [
            self._instance(frame, hand, identity)
            for hand, identity in zip(hands, identities, strict=True)
        ]

    def _instance(self, frame: Frame, hand: _Hand, identity: dict[str, Any]) -> Instance:
        estimate = hand.estimate
        seen = _inside(estimate.uv, frame) & estimate.seen
        state = np.where(seen, JointState.VISIBLE, JointState.OCCLUDED)
        absent = np.isnan(estimate.uv).any(axis=1)
        shape = estimate.shape_xyz
        if self._settings.input_mirrored:
            shape = shape * np.array([-1, 1, 1], np.float32)
        keypoints = Keypoints(
            layout=HAND21,
            uv=estimate.uv,
            score=estimate.score,
            state=np.where(absent, JointState.ABSENT, state).astype(np.uint8),
            shape_xyz=shape,
        )
        side, side_score = self._side(estimate.right)
        return Instance(
            keypoints=keypoints,
            score=estimate.presence,
            model=self._reader.name,
            side=side,
            side_score=side_score,
            **identity,
        )

    def _side(self, right: float) -> tuple[Side, float]:
        """The side and its probability; UNKNOWN where the network does not tell."""
        if math.isnan(right):
            return Side.UNKNOWN, math.nan
        right = 1.0 - right if self._settings.input_mirrored else right
        return (Side.RIGHT, right) if right >= 0.5 else (Side.LEFT, 1.0 - right)


def holds_hand(place: Region, uv: FloatArray) -> bool:
    """Whether a hand with these joints is the one that should be at a place: its middle lies in the
    inner half.
    """
    middle = np.nanmedian(uv, axis=0)
    return math.dist(middle, (place.cx, place.cy)) < 0.35 * place.width


def _inside(uv: FloatArray, frame: Frame) -> npt.NDArray[np.bool_]:
    """(K,) which joints lie on the image's pixels."""
    u, v = uv.T
    return (u >= -0.5) & (u < frame.width - 0.5) & (v >= -0.5) & (v < frame.height - 0.5)


def _distinct(palms: Sequence[Palm], known: Sequence[Region]) -> list[Region]:
    """The regions of palms, best first, without those of known hands and of better palms."""
    regions: list[Region] = []
    for palm in sorted(palms, key=lambda palm: -palm.score):
        region = palm_region(palm)
        if region is not None and not any(
            same_region(region, other) for other in (*known, *regions)
        ):
            regions.append(region)
    return regions


def _apart(hands: Sequence[_Hand], known: Sequence[_Hand]) -> list[_Hand]:
    """Hands that do not lie on another one.

    A tile can show a part of a near hand that looks like a small hand.
    """
    kept: list[_Hand] = []
    for hand in hands:
        box = joints_box(hand.estimate.uv)
        others = (joints_box(other.estimate.uv) for other in (*known, *kept))
        if all(overlap_of_smaller(box, other) <= _INSIDE_ANOTHER for other in others):
            kept.append(hand)
    return kept
