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

from vitpose_ros.detect.body_hands import hands_of_body
from vitpose_ros.detect.hands import (
    hand_region,
    joints_box,
    palm_region,
    palm_size,
    same_hand,
    same_palm,
    same_region,
)
from vitpose_ros.detect.palms import Palm, PalmDetector
from vitpose_ros.detect.tiles import TileSearch, tiles, whole_in_tile
from vitpose_ros.geometry import known_median, letterbox_region, overlap_of_smaller
from vitpose_ros.keypoints.hand_estimate import HandEstimate
from vitpose_ros.layouts import HAND21
from vitpose_ros.track.hand_tracks import HandTracks, SeenHand, unmirrored
from vitpose_ros.track.looks import TwoLooks
from vitpose_ros.track.lost import as_lost, bounded, is_live, with_room
from vitpose_ros.track.parents import arms_of_hands, holds_hand
from vitpose_ros.track.work import Work
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

HANDS_OF_A_PERSON = 2
"""So many hands, or fewer, in a first-person view are the wearer's own: a left and a right one."""

MOST_REGIONS = 64
"""Of hands of bodies, no more are looked at in one image."""

_COPY_PALMS, _SURE = 0.4, 0.8
"""See `_copies`: the median distance of the joints, and the probability of a side."""

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
    two_looks : crops of followed hands are turned to either side by turns, as far as the hand model
        says, and their joints are the mean of both looks; see `track.looks`.
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
    two_looks: bool = True
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
        for name in ("input_mirrored", "search", "two_looks", "static"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise ValueError(f"{name}: expected true or false, got {value!r}")


class HandReader(Protocol):
    """Reads the joints of hands: MediaPipe's landmarks, or a top-down model."""

    name: str
    """The network's name in the model catalogue."""
    engine: str
    """What it runs on, for people."""
    turn_rad: float
    """How far crops are turned for two looks, 0 for not at all; see `track.looks`."""

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
        self._tracks = HandTracks(ids)
        self._looks = TwoLooks(reader.turn_rad)
        self._last: dict[int, Instance] = {}

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
        if not settings.two_looks:
            self._looks.reset()
        self._settings = settings

    def reset(self) -> None:
        """Follow nothing any more."""
        self._tracks.clear()
        self._looks.reset()
        self._search.reset()

    def warm_up(self, image: ByteArray, count: int) -> None:
        """Read `count` hands in an image and forget them: a network's first run takes longer."""
        self._reader(image, [letterbox_region(image.shape[1], image.shape[0])] * count)

    def __call__(self, frame: Frame, work: Work) -> list[Instance]:
        """The hands in an image, found by their palms; those followed longest first.

        Those that are lost are among them, without joints, where there is room for them.
        """
        settings = self._settings
        self._tracks.keep(settings.max_hands)  # hands of bodies may have been more
        hands = self._follow(frame, settings.max_hands, work)
        if len(hands) < settings.max_hands:
            whole = [letterbox_region(frame.width, frame.height)]
            hands += self._find(frame, whole, hands, work)
        if len(hands) < settings.max_hands and settings.search:
            hands += _apart(self._find(frame, self._tiles(frame), hands, work), hands)
        return self._instances(frame, hands, None)

    def of_bodies(self, frame: Frame, bodies: Sequence[Instance], work: Work) -> list[Instance]:
        """The hands in an image whose bodies are known, with their parents: no palm detector runs.

        Parameters
        ----------
        bodies : of this image, the lost ones too.
        """
        seen = [body for body in bodies if is_live(body)]
        places = [p for body in seen for p in hands_of_body(body.keypoints, body.track_id)]
        hands = self._follow(frame, MOST_REGIONS, work)
        new = [
            replace(place.region, track_id=NO_ID)
            for place in places
            if not any(holds_hand(place.region, hand.estimate.uv) for hand in hands)
        ]
        hands += self._read(new, frame, hands, work)
        arms = arms_of_hands([hand.estimate.uv for hand in hands], seen, places)
        owned = [replace(hand, arm=arm) for hand, arm in zip(hands, arms, strict=True)]
        return self._instances(frame, owned, bodies)

    def _follow(self, frame: Frame, most: int, work: Work) -> list[SeenHand]:
        """Hands of the last image, in the regions that their joints had, moved on with them."""
        regions = self._tracks.regions(frame.stamp_ns, most)
        looks = self._looks if self._settings.two_looks and self._reader.turn_rad else None
        return self._read(regions, frame, [], work, looks)

    def _find(
        self, frame: Frame, windows: Sequence[Region], known: Sequence[SeenHand], work: Work
    ) -> list[SeenHand]:
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
            and not any(same_palm(palm, hand.estimate.uv) for hand in known)
        ]
        free = self._settings.max_hands - len(known)
        regions = _distinct(palms, [hand.region for hand in known])[:free]
        hands = self._read(regions, frame, known, work)
        return [hand for hand in hands if not any(_copies(hand, one) for one in known)][:free]

    def _read(
        self,
        regions: list[Region],
        frame: Frame,
        known: Sequence[SeenHand],
        work: Work,
        looks: TwoLooks | None = None,
    ) -> list[SeenHand]:
        """The hands in these regions: present, and each only once."""
        if not regions:
            return []
        with work.stage("keypoints", self._reader.name):
            if looks is None:
                estimates = self._reader(frame.image, regions)
            else:
                estimates = looks(self._reader, frame.image, regions, frame.stamp_ns)
        found = []
        for estimate in estimates:
            if estimate is None or estimate.presence < self._settings.presence_threshold:
                continue
            if _inside(estimate.uv, frame).sum() < MIN_JOINTS_INSIDE:
                continue
            following = hand_region(estimate.uv, estimate.presence, NO_ID)
            if following is not None:
                mirrored = self._settings.input_mirrored
                found.append(SeenHand(unmirrored(estimate) if mirrored else estimate, following))
        return _each_once(found, known)

    def _tiles(self, frame: Frame) -> Sequence[Region]:
        if self._settings.static:
            return tiles(frame.width, frame.height)
        return self._search.next_tiles(
            frame.width, frame.height, self._settings.search_tiles_per_frame
        )

    def _instances(
        self, frame: Frame, hands: Sequence[SeenHand], bodies: Sequence[Instance] | None
    ) -> list[Instance]:
        """Give each hand its identity, and add those that are lost."""
        most = self._settings.max_hands
        if self._settings.static:
            alone = [self._instance(frame, hand, _of_one_image(hand)) for hand in hands]
            return bounded(alone, most) if bodies is not None else alone
        one_person = bodies is None and most <= HANDS_OF_A_PERSON
        identities, ended = self._tracks.update(frame, hands, bodies, one_person)
        for region in ended:
            self._search.lost(region)
        seen = [
            self._instance(frame, hand, identity)
            for hand, identity in zip(hands, identities, strict=True)
        ]
        seen = bounded(sorted(seen, key=lambda hand: hand.track_id), most)
        lost = [
            as_lost(self._last[identity["track_id"]], gone_s, identity)
            for identity, gone_s in self._tracks.lost(frame.stamp_ns)
        ]
        ids = [hand.track_id for hand in (*seen, *lost)]
        self._tracks.keep_only(ids)
        self._last.update((hand.track_id, hand) for hand in seen)
        self._last = {i: self._last[i] for i in ids}
        return sorted((*seen, *with_room(lost, seen, most)), key=lambda hand: hand.track_id)

    def _instance(self, frame: Frame, hand: SeenHand, identity: dict[str, Any]) -> Instance:
        estimate = hand.estimate
        seen = _inside(estimate.uv, frame) & estimate.seen
        state = np.where(seen, JointState.VISIBLE, JointState.OCCLUDED)
        absent = np.isnan(estimate.uv).any(axis=1)
        keypoints = Keypoints(
            layout=HAND21,
            uv=estimate.uv,
            score=estimate.score,
            state=np.where(absent, JointState.ABSENT, state).astype(np.uint8),
            shape_xyz=estimate.shape_xyz,
        )
        return Instance(
            keypoints=keypoints, score=estimate.presence, model=self._reader.name, **identity
        )


def _of_one_image(hand: SeenHand) -> dict[str, Any]:
    """What one image alone says of whose hand it is."""
    right, arm = hand.estimate.right, hand.arm
    if arm is not None:
        return {"side": arm.side, "side_score": arm.score, "parent_id": arm.body_id}
    if math.isnan(right):
        return {}
    side = Side.RIGHT if right >= 0.5 else Side.LEFT
    return {"side": side, "side_score": max(right, 1.0 - right)}


def _copies(hand: SeenHand, known: SeenHand) -> bool:
    """Whether a hand that was found anew is a known one, read badly: near to it, and of its side.

    So it is where one hand hides the other of the same person. What is left of that one is found as
    a palm, and what is read there is the hand before it.
    """
    new, old = hand.estimate, known.estimate
    one_side = min(new.right, old.right) > _SURE or max(new.right, old.right) < 1.0 - _SURE
    apart = known_median(np.linalg.norm(new.uv - old.uv, axis=1))
    return one_side and bool(apart < _COPY_PALMS * palm_size(old.uv))


def _each_once(found: Sequence[SeenHand], known: Sequence[SeenHand]) -> list[SeenHand]:
    """Hands that are not known yet, in their order; of two readings of one hand the better."""
    kept: list[SeenHand] = []
    for hand in sorted(found, key=lambda hand: -hand.estimate.presence):
        if not any(same_hand(hand.estimate.uv, o.estimate.uv) for o in (*known, *kept)):
            kept.append(hand)
    return [hand for hand in found if any(hand is one for one in kept)]


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


def _apart(hands: Sequence[SeenHand], known: Sequence[SeenHand]) -> list[SeenHand]:
    """Hands that do not lie on another one.

    A tile can show a part of a near hand that looks like a small hand.
    """
    kept: list[SeenHand] = []
    for hand in hands:
        box = joints_box(hand.estimate.uv)
        others = (joints_box(other.estimate.uv) for other in (*known, *kept))
        if all(overlap_of_smaller(box, other) <= _INSIDE_ANOTHER for other in others):
            kept.append(hand)
    return kept
