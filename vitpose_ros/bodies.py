"""Bodies: persons are detected, read, and then followed from their own joints.

`BodyFinder.__call__` is the page to read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vitpose_ros.detect.bodies import body_region
from vitpose_ros.detect.mediapipe_person import MediaPipePersonDetector, box_region
from vitpose_ros.detect.persons import PersonDetector
from vitpose_ros.geometry import iou, letterbox_region, unrotated_box
from vitpose_ros.keypoints.mediapipe_body import BodyLandmarks
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.layouts import MEDIAPIPE33, Layout
from vitpose_ros.oks import oks_nms, pair_oks
from vitpose_ros.track.assign import assign, body_costs
from vitpose_ros.track.lost import as_lost
from vitpose_ros.track.tracks import Reading, Tracks
from vitpose_ros.track.work import Work
from vitpose_ros.types import NO_ID, ByteArray, Crop, Frame, Instance, Keypoints, Region

SAME_PERSON_IOU = 0.5
"""A detected person whose region overlaps that of a followed body more than this is that body."""

SAME_BODY_OKS = 0.7
"""Of two bodies that are more alike than this, one is the other seen twice."""

HIDDEN_BODY_OKS = 0.4
"""A lost body is not found again where one that is seen is more alike than this."""

SEARCH_INTERVAL = 3
"""While a body that was followed is not seen, the detector looks at least in every so many images.
"""

_DETAIL = re.compile(r"face_|(left|right)_hand_")
_JOINT_SCORE = 0.3  # joints of a lower score do not count in the questions above


@dataclass(frozen=True)
class PersonSettings:
    """What may change while the pipeline runs.

    Attributes
    ----------
    max_persons : most bodies in one image, 1 .. 32.
    person_threshold : detected persons of a lower score are not looked at, 0 .. 1.
    body_threshold : bodies of a lower score are dropped, 0 .. 1.
    detect_interval : while bodies are followed, but fewer than max_persons, the detector looks for
        others in every so many images, 1 .. 1000. Where none is followed it looks in each image.

    Raises
    ------
    ValueError : naming the field, what was given and what is accepted.
    """

    max_persons: int = 4
    person_threshold: float = 0.5
    body_threshold: float = 0.5
    detect_interval: int = 10

    def __post_init__(self) -> None:
        for name, most in (("max_persons", 32), ("detect_interval", 1000)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise ValueError(f"{name}: expected a whole number from 1 to {most}, got {value!r}")
        for name in ("person_threshold", "body_threshold"):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not 0 <= value <= 1:
                raise ValueError(f"{name}: expected a number from 0 to 1, got {value!r}")


@dataclass(frozen=True)
class BodyReading:
    """What a network says of one region that may hold a body.

    Attributes
    ----------
    keypoints : its joints.
    score : confidence that it is a body, 0 .. 1.
    next_region : where it is looked for in the next image; None when it cannot be followed.
    """

    keypoints: Keypoints
    score: float
    next_region: Region | None


@dataclass(frozen=True)
class _Found:
    """A body in this image, and where it is looked for in the next one; whether it was read in the
    region of one that was seen in the last image, or of one that is lost.
    """

    region: Region
    reading: BodyReading
    followed: bool
    lost: bool


class BodyReader(Protocol):
    """Reads the joints of bodies, and knows which regions its network wants."""

    name: str
    """The network's name in the model catalogue."""
    engine: str
    """What it runs on, for people."""
    layout: Layout

    def regions(self, detector: PersonDetector, image: ByteArray, threshold: float) -> list[Region]:
        """Where a detector finds persons, as this reader's network wants them; best first."""
        ...

    def __call__(self, image: ByteArray, regions: Sequence[Region]) -> list[BodyReading | None]:
        """One reading for each region, in their order; None for no body."""
        ...


class MediaPipeBodies:
    """Bodies by MediaPipe's landmarks: 33 joints, regions turned along the body."""

    layout = MEDIAPIPE33

    def __init__(self, landmarks: BodyLandmarks) -> None:
        self.name, self.engine = landmarks.name, landmarks.engine
        self._landmarks = landmarks

    def regions(self, detector: PersonDetector, image: ByteArray, threshold: float) -> list[Region]:
        """Turned squares: of MediaPipe's own detector, or around another one's boxes."""
        if isinstance(detector, MediaPipePersonDetector):
            return detector.body_regions(image, threshold)
        return [box_region(box) for box in detector(image, threshold)]

    def __call__(self, image: ByteArray, regions: Sequence[Region]) -> list[BodyReading | None]:
        """Read each region."""
        height, width = image.shape[:2]
        return [
            None
            if estimate is None
            else BodyReading(
                estimate.keypoints(width, height), estimate.presence, estimate.next_region
            )
            for estimate in self._landmarks(image, regions)
        ]


class TopDownBodies:
    """Bodies by a top-down model (ViTPose, RTMPose): upright regions, any layout of bodies."""

    def __init__(self, model: TopDown) -> None:
        self.name, self.engine, self.layout = model.name, model.engine, model.layout
        self._model = model

    def regions(self, detector: PersonDetector, image: ByteArray, threshold: float) -> list[Region]:
        """The detector's boxes; the model pads them itself."""
        return detector(image, threshold)

    def __call__(self, image: ByteArray, regions: Sequence[Region]) -> list[BodyReading | None]:
        """Read each region; a body's score is the mean of its joints' scores, where they count."""
        found = self._model([Crop(image, region) for region in regions])
        return [_reading(k, region) for k, region in zip(found, regions, strict=True)]


def _reading(keypoints: Keypoints, region: Region) -> BodyReading | None:
    counted = keypoints.score[keypoints.score >= _JOINT_SCORE]
    if counted.size == 0:
        return None
    # Padding is the model's own business; here only the joints' extent matters.
    following = body_region(keypoints, _JOINT_SCORE, padding=1.1, track_id=region.track_id)
    return BodyReading(keypoints, float(min(counted.mean(), 1.0)), following)


class BodyFinder:
    """Bodies in images of one camera.

    Parameters
    ----------
    detector : finds persons.
    reader : finds the joints of one.
    settings : see `PersonSettings`; changed by `update`.
    ids : where the ids of new tracks come from.
    """

    def __init__(
        self,
        detector: PersonDetector,
        reader: BodyReader,
        settings: PersonSettings,
        ids: Iterator[int],
    ) -> None:
        self._detector = detector
        self._reader = reader
        self._settings = settings
        self._tracks = Tracks(ids)
        self._last: dict[int, Instance] = {}
        # Who it is, the face's and the hands' many points say no better than the body's few.
        joints = reader.layout.joints
        self._compared = [i for i, name in enumerate(joints) if not _DETAIL.match(name)]
        self._sigmas = [reader.layout.sigmas[i] for i in self._compared]
        self._since_detection = 0

    @property
    def engine(self) -> str:
        """What the networks run on, for people."""
        return self._reader.engine

    @property
    def models(self) -> tuple[str, ...]:
        """The networks, by their names in the model catalogue."""
        return self._detector.name, self._reader.name

    @property
    def layout(self) -> Layout:
        """The layout of the bodies."""
        return self._reader.layout

    @property
    def settings(self) -> PersonSettings:
        """The settings in use."""
        return self._settings

    def update(self, settings: PersonSettings) -> None:
        """Use other settings from the next image on; the bodies followed longest stay."""
        self._tracks.keep(settings.max_persons)
        self._settings = settings

    def reset(self) -> None:
        """Follow nothing any more."""
        self._tracks.clear()
        self._since_detection = 0

    def warm_up(self, image: ByteArray, count: int) -> None:
        """Read `count` bodies in an image and forget them: a network's first run takes longer."""
        self._reader(image, [letterbox_region(image.shape[1], image.shape[0])] * count)

    def __call__(self, frame: Frame, work: Work) -> list[Instance]:
        """The bodies in an image; those followed longest first.

        Those that are lost are among them, without joints, where there is room for them.
        """
        settings = self._settings
        regions = self._tracks.regions(frame.stamp_ns, settings.max_persons)
        found = self._read(frame, regions, work)
        self._since_detection += 1
        if len(found) < settings.max_persons and self._detection_is_due(found):
            self._since_detection = 0
            found += self._detect(frame, found, work)
        found = _distinct(found)[: settings.max_persons]
        return self._instances(frame.stamp_ns, found)

    def _detection_is_due(self, found: Sequence[_Found]) -> bool:
        interval = self._settings.detect_interval
        if len(found) < len(self._tracks.all):  # somebody is hidden, and may come out again
            interval = min(interval, SEARCH_INTERVAL)
        return not found or self._since_detection >= interval

    def _instances(self, stamp_ns: int, found: Sequence[_Found]) -> list[Instance]:
        """Give each body its identity, and add those that are lost."""
        known, readings = self._tracks.all, [self._as_reading(one) for one in found]
        costs = body_costs(known, readings, stamp_ns, self._sigmas)
        stay = _without_strays(found, costs)
        found, readings = [found[n] for n in stay], [readings[n] for n in stay]
        pairs = assign(costs[:, stay])
        tracks, _ = self._tracks.update(readings, pairs, stamp_ns)
        seen = [
            Instance(
                keypoints=one.reading.keypoints,
                score=one.reading.score,
                model=self._reader.name,
                **track.identity(stamp_ns),
            )
            for one, track in zip(found, tracks, strict=True)
        ]
        self._last.update((body.track_id, body) for body in seen)
        self._last = {track.track_id: self._last[track.track_id] for track in self._tracks.all}
        lost = [
            as_lost(self._last[t.track_id], (stamp_ns - t.seen_ns) * 1e-9, t.identity(stamp_ns))
            for t in sorted(self._tracks.lost, key=lambda track: -track.seen_ns)
        ]
        room = self._settings.max_persons - len(seen)
        return sorted((*seen, *lost[:room]), key=lambda body: body.track_id)

    def _as_reading(self, found: _Found) -> Reading:
        joints, region = found.reading.keypoints, found.region
        uv = joints.uv[self._compared]
        sure = (joints.score[self._compared] >= _JOINT_SCORE) & np.isfinite(uv[:, 0])
        return Reading(uv, sure, math.sqrt(region.width * region.height), region)

    def _detect(self, frame: Frame, known: Sequence[_Found], work: Work) -> list[_Found]:
        """Bodies that are not followed yet."""
        with work.stage("detect", self._detector.name):
            threshold = self._settings.person_threshold
            places = self._reader.regions(self._detector, frame.image, threshold)
        new = [
            replace(place, track_id=NO_ID)
            for place in places
            if all(
                iou(unrotated_box(place), unrotated_box(other.region)) <= SAME_PERSON_IOU
                for other in known
            )
        ]
        return self._read(frame, new[: self._settings.max_persons - len(known)], work)

    def _read(self, frame: Frame, regions: Sequence[Region], work: Work) -> list[_Found]:
        """The bodies in these regions, with where each is looked for next."""
        if not regions:
            return []
        with work.stage("keypoints", self._reader.name):
            readings = self._reader(frame.image, regions)
        lost = {track.track_id for track in self._tracks.lost}
        return [
            _Found(
                reading.next_region,
                reading,
                followed=region.track_id != NO_ID and region.track_id not in lost,
                lost=region.track_id in lost,
            )
            for region, reading in zip(regions, readings, strict=True)
            if reading is not None
            and reading.next_region is not None
            and reading.score >= self._settings.body_threshold
        ]


def _distinct(found: list[_Found]) -> list[_Found]:
    """Each body once, in the order given: of two that are one, the one that is followed stays;
    else the better supported. What is read of a lost one where another stands is that other.
    """
    joints = [one.reading.keypoints for one in found]
    areas = [one.region.width * one.region.height for one in found]
    kept = oks_nms(
        joints,
        [one.reading.score + one.followed for one in found],
        areas,
        limit=SAME_BODY_OKS,
        threshold=_JOINT_SCORE,
    )

    def hidden(i: int) -> bool:
        return found[i].lost and any(
            pair_oks(joints[i], joints[k], (areas[i], areas[k]), _JOINT_SCORE) > HIDDEN_BODY_OKS
            for k in kept
            if not found[k].lost
        )

    return [found[i] for i in sorted(kept) if not hidden(i)]


def _without_strays(found: Sequence[_Found], costs: npt.NDArray[np.float64]) -> list[int]:
    """Indices of what was found without readings that stray, by the costs (tracks, found).

    Of a body that is about to be hidden, the network reads more and more of the one before it. Such
    a reading is more like another one, which is itself where it should be, than like what it should
    be.
    """
    fits = {n: 1 - float(costs[t, n]) for t, n in assign(costs)}
    joints = [one.reading.keypoints for one in found]
    areas = [one.region.width * one.region.height for one in found]

    def strays(n: int) -> bool:
        return any(
            fits[m] > fits[n]
            and iou(unrotated_box(found[n].region), unrotated_box(found[m].region)) > 0
            and pair_oks(joints[n], joints[m], (areas[n], areas[m]), _JOINT_SCORE)
            > max(fits[n], HIDDEN_BODY_OKS)
            for m in fits
            if m != n
        )

    return [n for n in range(len(found)) if n not in fits or not strays(n)]


def refine_hands(body: Keypoints, hands: Sequence[Instance]) -> Keypoints:
    """A whole body whose hand points are replaced by those of its own hands, joint by joint, where
    these are better supported.

    Parameters
    ----------
    body : in any layout; one without hand points is returned as it is.
    hands : of this body, with their sides.
    """
    layout = body.layout
    uv, score, state = body.uv.copy(), body.score.copy(), body.state.copy()
    for hand in hands:
        prefix = f"{hand.side.name.lower()}_hand_"
        if f"{prefix}wrist" not in layout.joints:
            continue
        points = hand.keypoints
        targets = np.array([layout.index(prefix + joint) for joint in points.layout.joints])
        better = points.score > score[targets]
        chosen = targets[better]
        uv[chosen], score[chosen] = points.uv[better], points.score[better]
        state[chosen] = points.state[better]
    return replace(body, uv=uv, score=score, state=state)
