"""The whole core in one readable place: a Frame in, a Result out.

`HandPipeline.__call__` is the page to read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

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
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.geometry import letterbox_region, overlap_of_smaller
from vitpose_ros.keypoints.mediapipe_hand import HandEstimate, HandLandmarks
from vitpose_ros.layouts import HAND21
from vitpose_ros.types import (
    FloatArray,
    Frame,
    Instance,
    JointState,
    Keypoints,
    Region,
    Side,
    TrackState,
)

if TYPE_CHECKING:
    from vitpose_ros.models.store import ModelStore

MAX_GAP_S = 0.5
"""After a longer time without an image a hand is elsewhere: tracking starts anew."""

CONFIRMED_FRAMES = 3
"""A hand seen in so many images in a row is relied on."""

MIN_JOINTS_INSIDE = 4
"""With fewer joints in the image, less than a finger, a hand has left it: the rest is guessed."""

_INSIDE_ANOTHER = 0.5  # a hand from a tile that lies so far inside another's box is a part of it


@dataclass(frozen=True)
class HandSettings:
    """What may change while the pipeline runs.

    Attributes
    ----------
    max_hands : most hands in one image, 1 .. 16. The palm detector rests while so many are
        followed.
    detection_threshold : palms of a lower score are not looked at, 0 .. 1.
    presence_threshold : regions with a lower probability of a hand are dropped, 0 .. 1.
    input_mirrored : the camera's images are mirrored left to right, as for a selfie: left hands are
        right ones and vice versa.
    search : look for small hands in tiles of the image while fewer than max_hands are in view.
    search_tiles_per_frame : most tiles in one image, 1 .. 16; in static mode all of them are used.
    static : each image stands on its own: nothing is followed, stamps play no part, and hands have
        no identity.

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
class Result:
    """What was found in one image.

    Attributes
    ----------
    instances : the hands; those followed longest first.
    models : the networks that ran for this image, in the order of their first use.
    reset : tracking started anew at this image, because time went back or stood still, a gap was
        longer than MAX_GAP_S, the image's size changed, or `reset()` was called: no id of earlier
        results goes on.
    stage_s : wall time of each stage, s: "detect", "keypoints"; 0 for a stage that did not run.
    """

    instances: tuple[Instance, ...]
    models: tuple[str, ...]
    reset: bool
    stage_s: dict[str, float]


@dataclass(frozen=True)
class _Hand:
    """A hand in this image, and the region where it is looked for in the next one."""

    estimate: HandEstimate
    next_region: Region  # its track_id is NO_ID for a hand that is not followed yet


@dataclass(frozen=True)
class _Track:
    """A hand that is followed: where it is looked for next, and since when."""

    region: Region
    first_stamp_ns: int
    frames: int

    def identity(self, stamp_ns: int) -> dict[str, Any]:
        """The fields of Instance that say who it is."""
        confirmed = self.frames >= CONFIRMED_FRAMES
        return {
            "track_id": self.region.track_id,
            "track_state": TrackState.CONFIRMED if confirmed else TrackState.TENTATIVE,
            "track_age_s": (stamp_ns - self.first_stamp_ns) * 1e-9,
        }


@dataclass
class _Work:
    """What running the networks for one image took."""

    models: list[str] = field(default_factory=list)
    stage_s: dict[str, float] = field(default_factory=lambda: {"detect": 0.0, "keypoints": 0.0})

    @contextmanager
    def stage(self, name: str, model: str) -> Iterator[None]:
        if model not in self.models:
            self.models.append(model)
        start = time.perf_counter()
        yield
        self.stage_s[name] += time.perf_counter() - start


class HandPipeline:
    """Hands in images of one camera: palms are found, then followed from their own joints.

    Parameters
    ----------
    detector, landmarks : the two networks.
    settings : see `HandSettings`; changed by `update`.
    """

    def __init__(
        self, detector: PalmDetector, landmarks: HandLandmarks, settings: HandSettings
    ) -> None:
        self._detector = detector
        self._landmarks = landmarks
        self._settings = settings
        self._search = TileSearch()
        self._tracks: list[_Track] = []
        self._next_id = 0
        self._last: tuple[int, int, int] | None = None  # stamp_ns, width, height
        self._reset_asked = False

    @property
    def engine(self) -> str:
        """What the networks run on, for people."""
        return self._landmarks.engine

    @property
    def settings(self) -> HandSettings:
        """The settings in use."""
        return self._settings

    def update(self, settings: HandSettings) -> None:
        """Use other settings from the next image on.

        Hands that are followed stay so: the oldest ones where fewer are allowed now.
        """
        self._tracks = [] if settings.static else self._tracks[: settings.max_hands]
        self._settings = settings

    def reset(self) -> None:
        """Start anew with the next image: nothing is followed any more. Ids are not given again."""
        self._tracks.clear()
        self._search.reset()
        self._reset_asked = self._reset_asked or self._last is not None
        self._last = None

    def __call__(self, frame: Frame) -> Result:
        """Find the hands in an image."""
        reset = self._start(frame)
        settings, work = self._settings, _Work()

        hands = self._follow(frame, work)
        if len(hands) < settings.max_hands:
            whole = [letterbox_region(frame.width, frame.height)]
            hands += self._find(frame, whole, hands, work)
        if len(hands) < settings.max_hands and settings.search:
            hands += _apart(self._find(frame, self._tiles(frame), hands, work), hands)

        identities = [{}] * len(hands) if settings.static else self._identify(frame, hands)
        instances = tuple(
            self._instance(frame, *known) for known in zip(hands, identities, strict=True)
        )
        return Result(instances, tuple(work.models), reset, work.stage_s)

    def _start(self, frame: Frame) -> bool:
        """Note the image's time and size; True when tracking starts anew because of them."""
        if self._settings.static:
            return False
        now = (frame.stamp_ns, frame.width, frame.height)
        if self._last is not None:
            gap_s = (now[0] - self._last[0]) * 1e-9
            if not 0 < gap_s <= MAX_GAP_S or now[1:] != self._last[1:]:
                self.reset()
        self._last = now
        reset, self._reset_asked = self._reset_asked, False
        return reset

    def _follow(self, frame: Frame, work: _Work) -> list[_Hand]:
        """Hands of the last image, in the regions that their joints had."""
        return self._read([track.region for track in self._tracks], frame, [], work)

    def _find(
        self, frame: Frame, windows: Sequence[Region], known: Sequence[_Hand], work: _Work
    ) -> list[_Hand]:
        """Hands that are not known yet, in windows of the image."""
        if not windows:
            return []
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
        self, regions: list[Region], frame: Frame, known: Sequence[_Hand], work: _Work
    ) -> list[_Hand]:
        """The hands in these regions: present, and each only once."""
        if not regions:
            return []
        with work.stage("keypoints", self._landmarks.name):
            estimates = self._landmarks(frame.image, regions)
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

    def _identify(self, frame: Frame, hands: Sequence[_Hand]) -> list[dict[str, Any]]:
        """Give each hand its identity: that of the region it was followed in, or a new one."""
        before = {track.region.track_id: track for track in self._tracks}
        now = []
        for hand in hands:
            track = before.pop(hand.next_region.track_id, None)
            if track is None:
                region = replace(hand.next_region, track_id=self._next_id)
                track = _Track(region, frame.stamp_ns, 1)
                self._next_id += 1
            else:
                track = replace(track, region=hand.next_region, frames=track.frames + 1)
            now.append(track)
        for gone in before.values():
            self._search.lost(gone.region)
        self._tracks = now
        return [track.identity(frame.stamp_ns) for track in now]

    def _instance(self, frame: Frame, hand: _Hand, identity: dict[str, Any]) -> Instance:
        estimate = hand.estimate
        right = 1.0 - estimate.right if self._settings.input_mirrored else estimate.right
        side = Side.RIGHT if right >= 0.5 else Side.LEFT
        inside = _inside(estimate.uv, frame)
        keypoints = Keypoints(
            layout=HAND21,
            uv=estimate.uv,
            score=np.full(len(HAND21), estimate.presence, np.float32),
            state=np.where(inside, JointState.VISIBLE, JointState.OCCLUDED).astype(np.uint8),
            shape_xyz=estimate.shape_xyz,
        )
        return Instance(
            keypoints=keypoints,
            score=estimate.presence,
            model=self._landmarks.name,
            side=side,
            side_score=max(right, 1.0 - right),
            **identity,
        )


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


def load_hand_pipeline(
    store: ModelStore,
    detector: str = "mediapipe-palm-full",
    model: str = "mediapipe-hand-full",
    settings: HandSettings = HandSettings(),
    threads: int = 0,
) -> HandPipeline:
    """The pipeline with networks from the model store.

    Parameters
    ----------
    store : where the models lie.
    detector, model : names in the model catalogue.
    settings : see `HandSettings`.
    threads : CPU threads for the networks; 0 uses all cores.

    Raises
    ------
    ModelError : a name is unknown, or its file is missing or was altered.
    EngineError : a file cannot be read, or is not the network it is taken for.
    """
    return HandPipeline(
        PalmDetector(OpenVinoEngine(store.get(detector, "hand_detector").path, threads), detector),
        HandLandmarks(OpenVinoEngine(store.get(model, "hand_keypoints").path, threads), model),
        settings,
    )
