"""The whole core in one readable place: a Frame in, a Result out.

`Pipeline.__call__` is the page to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vitpose_ros.bodies import BodyFinder, PersonSettings, refine_hands
from vitpose_ros.detect.body_hands import BodyHand, assign_hands, hands_of_body
from vitpose_ros.hands import HandFinder, HandSettings, holds_hand
from vitpose_ros.layouts import HAND21, Layout
from vitpose_ros.tracks import FrameClock, Work
from vitpose_ros.types import NO_ID, Frame, Instance, JointState, Side
from vitpose_ros.views import View, ViewChooser

FIRST_BATCHES = (1, 2)
"""So many hands, and so many bodies, are most often the first to be read at once."""


@dataclass(frozen=True)
class Settings:
    """What may change while the pipeline runs: for hands, and for persons."""

    hands: HandSettings = field(default_factory=HandSettings)
    persons: PersonSettings = field(default_factory=PersonSettings)


@dataclass(frozen=True)
class Result:
    """What was found in one image.

    Attributes
    ----------
    instances : bodies, then hands; of each kind those followed longest first.
    models : the networks that ran for this image, in the order of their first use.
    reset : tracking started anew at this image, because time went back or stood still, a gap was
        longer than tracks.MAX_GAP_S, the image's size changed, or `reset()` was called: no id of
        earlier results goes on.
    stage_s : wall time of each stage, s: "detect", "keypoints"; 0 for a stage that did not run.
    view : how the image was looked at.
    """

    instances: tuple[Instance, ...]
    models: tuple[str, ...]
    reset: bool
    stage_s: dict[str, float]
    view: View = View.EGOCENTRIC


class Pipeline:
    """Bodies and hands in images of one camera.

    Parameters
    ----------
    hands : finds hands; made with `ids`. Its detector is needed unless the view is "third_person".
    bodies : finds bodies; made with the same `ids`. None: only the view "egocentric" is possible.
    view : "egocentric", "third_person" or "auto"; see `views`.

    Raises
    ------
    ValueError : the view is unknown, or needs bodies or a hand detector that are not given, or is
        "auto" with static settings.
    """

    def __init__(
        self, hands: HandFinder, bodies: BodyFinder | None = None, view: str = "egocentric"
    ) -> None:
        self._views = ViewChooser(view)
        if bodies is None and view != "egocentric":
            raise ValueError(f"the view '{view}' needs a person detector and a body model")
        if not hands.finds_directly and view != "third_person":
            raise ValueError(f"the view '{view}' needs a hand detector")
        self._hands, self._bodies, self._view = hands, bodies, view
        self._check(hands.settings)
        self._clock = FrameClock()

    @property
    def engine(self) -> str:
        """What the keypoint networks run on, for people."""
        hands, bodies = self._hands, self._bodies
        if bodies is None or bodies.engine == hands.engine:
            return hands.engine
        return f"{bodies.engine} ({bodies.models[-1]}) and {hands.engine} ({hands.models[-1]})"

    @property
    def models(self) -> tuple[str, ...]:
        """The networks, by their names in the model catalogue."""
        return self._hands.models + (() if self._bodies is None else self._bodies.models)

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The layouts that instances can have."""
        return (HAND21,) if self._bodies is None else (HAND21, self._bodies.layout)

    def update(self, settings: Settings) -> None:
        """Use other settings from the next image on.

        Raises
        ------
        ValueError : static settings for the view "auto"; the settings in use stay.
        """
        self._check(settings.hands)
        self._hands.update(settings.hands)
        if self._bodies is not None:
            self._bodies.update(settings.persons)

    def warm_up(self) -> None:
        """Run every network, and the keypoint networks on each of FIRST_BATCHES, so that the first
        images take no longer than others. Tracking starts anew with the next image.

        Raises
        ------
        EngineError : when a network fails.
        """
        image = np.zeros((480, 640, 3), np.uint8)
        for count in FIRST_BATCHES:
            self._hands.warm_up(image, count)
            if self._bodies is not None:
                self._bodies.warm_up(image, count)
        self(Frame(image))  # the detectors
        self.reset()

    def reset(self) -> None:
        """Start anew with the next image: nothing is followed any more. Ids are not given again."""
        self._clock.ask_reset()
        self._forget()

    def __call__(self, frame: Frame) -> Result:
        """Find what is in an image."""
        static = self._hands.settings.static
        reset = False if static else self._clock.start(frame)
        if reset:
            self._forget()
        elif static and self._bodies is not None:
            self._bodies.reset()  # ids are of this image alone: hands name their bodies by them
        work, view = Work(), self._views.now
        bodies: list[Instance] = []
        if self._bodies is not None and (
            view is View.THIRD_PERSON or self._views.probe_is_due(frame.stamp_ns)
        ):
            bodies = self._bodies(frame, work)
            self._views.observe(frame.stamp_ns, any(map(_is_person, bodies)))
        if view is View.THIRD_PERSON:
            if self._hands.settings.input_mirrored:
                bodies = [_unmirrored(body) for body in bodies]
            places = [p for b in bodies for p in hands_of_body(b.keypoints, b.track_id)]
            found = self._hands.of_bodies(frame, [place.region for place in places], work)
            hands = _with_parents(found, bodies, places)
            hands = _bounded(hands, self._hands.settings.max_hands)
            self._hands.keep(hands)
            bodies = [_with_hands(body, hands) for body in bodies]
        else:
            bodies = []  # looked for only to choose the view
            hands = self._hands(frame, work)
        return Result((*bodies, *hands), tuple(work.models), reset, work.stage_s, view)

    def _check(self, settings: HandSettings) -> None:
        if settings.static and self._view == "auto":
            raise ValueError(
                "static: the view 'auto' decides by what earlier images showed, and in static mode "
                "each image stands on its own; choose the view 'egocentric' or 'third_person'"
            )

    def _forget(self) -> None:
        self._hands.reset()
        self._views.reset()
        if self._bodies is not None:
            self._bodies.reset()


def _unmirrored(body: Instance) -> Instance:
    """A body of a mirrored image with left and right exchanged.

    In the image its joints stay where they are. In metres x is turned round, too: the network took
    the mirrored image for a real one, and the frame of a message is the real camera's.
    """
    joints, order = body.keypoints, list(body.layout.flip_permutation())
    mirror = np.array([-1, 1, 1], np.float32)
    named = replace(
        joints,
        uv=joints.uv[order],
        score=joints.score[order],
        state=joints.state[order],
        xyz=joints.xyz[order] * mirror,
        z_source=joints.z_source[order],
        shape_xyz=joints.shape_xyz[order] * mirror,
        corrected=joints.corrected[order],
    )
    return replace(body, keypoints=named, raw=named)


def _is_person(body: Instance) -> bool:
    """Whether a body is a person before the camera: the camera's own wearer shows arms at most."""
    joints = body.layout.joints
    seen = {
        joint
        for joint, state in zip(joints, body.keypoints.state, strict=True)
        if state == JointState.VISIBLE
    }
    shoulders = {"left_shoulder", "right_shoulder"} <= seen
    return shoulders and bool({"nose", "left_eye", "right_eye", "left_hip", "right_hip"} & seen)


def _with_parents(
    hands: Sequence[Instance], bodies: Sequence[Instance], places: Sequence[BodyHand]
) -> list[Instance]:
    """Hands with the body that they belong to, and the side of its wrist: a wrist at the end of an
    arm says more than the look of a hand.
    """
    centres = [np.nanmean(hand.keypoints.uv, axis=0).tolist() for hand in hands]
    arms = assign_hands(centres, [body.keypoints for body in bodies])
    # An arm whose elbow is hidden has no reach, but its hand may well be where it should be.
    numbers = {body.track_id: number for number, body in enumerate(bodies)}
    for place in places:
        arm = numbers[place.region.track_id], place.side
        if arm in arms:
            continue
        for i, hand in enumerate(hands):
            if arms[i] is None and holds_hand(place.region, hand.keypoints.uv):
                arms[i] = arm
                break
    return [
        hand if arm is None else _of_arm(hand, bodies[arm[0]], arm[1])
        for hand, arm in zip(hands, arms, strict=True)
    ]


def _bounded(hands: Sequence[Instance], most: int) -> list[Instance]:
    """Hands of bodies, and of the others the `most` that were followed longest."""
    free = [hand for hand in hands if hand.parent_id == NO_ID]
    dropped = {id(hand) for hand in free[most:]}
    return [hand for hand in hands if id(hand) not in dropped]


def _of_arm(hand: Instance, body: Instance, side: Side) -> Instance:
    wrist = float(body.keypoints.score[body.layout.index(f"{side.name.lower()}_wrist")])
    return replace(hand, parent_id=body.track_id, side=side, side_score=max(0.5, min(wrist, 1.0)))


def _with_hands(body: Instance, hands: Sequence[Instance]) -> Instance:
    """A body whose own hand points are refined by its hands."""
    own = [hand for hand in hands if hand.parent_id == body.track_id]
    if not own:
        return body
    refined = refine_hands(body.keypoints, own)
    return replace(body, keypoints=refined, raw=refined)
