"""The whole core in one readable place: a Frame in, a Result out.

`Pipeline.__call__` is the page to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vitpose_ros.bodies import BodyFinder, PersonSettings, refine_hands
from vitpose_ros.hands import HandFinder, HandSettings
from vitpose_ros.layouts import HAND21, Layout
from vitpose_ros.smooth.instances import InstanceSmoother
from vitpose_ros.smooth.predict import check_horizon
from vitpose_ros.smooth.settings import SmoothingSettings
from vitpose_ros.track.clock import FrameClock
from vitpose_ros.track.lost import is_live
from vitpose_ros.track.work import Work
from vitpose_ros.types import Frame, Instance, JointState
from vitpose_ros.views import View, ViewChooser

FIRST_BATCHES = (1, 2)
"""So many hands, and so many bodies, are most often the first to be read at once."""


@dataclass(frozen=True)
class Settings:
    """What may change while the pipeline runs: for hands, for persons, and for what is done to the
    joints of both over time. `biomechanics` keeps bone lengths, and joints within their limits.
    Joints are carried on to `prediction_horizon_s` after the image, at most predict.MAX_HORIZON_S.

    Raises
    ------
    ValueError : naming the field, what was given and what is accepted; or a prediction is asked for
        where nothing is smoothed, gated or held, and velocities are not known.
    """

    hands: HandSettings = field(default_factory=HandSettings)
    persons: PersonSettings = field(default_factory=PersonSettings)
    smoothing: SmoothingSettings = field(default_factory=SmoothingSettings)
    biomechanics: bool = False
    prediction_horizon_s: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.biomechanics, bool):
            raise ValueError(f"biomechanics: expected true or false, got {self.biomechanics!r}")
        check_horizon(self.prediction_horizon_s)
        if self.prediction_horizon_s > 0 and self.smoothing.does_nothing:
            raise ValueError(
                "a prediction needs the joints' velocities, and smoothing 'none' without gate and "
                "without holding measures none; choose another smoothing, or a horizon of 0"
            )


@dataclass(frozen=True)
class Result:
    """What was found in one image.

    Attributes
    ----------
    instances : bodies, then hands; of each kind those followed longest first. Those that are not
        seen in this image, but can be found again, are among them while smoothing still holds
        joints for them: their track_state is LOST.
    models : the networks that ran for this image, in the order of their first use.
    reset : tracking started anew at this image, because time went back or stood still, a gap was
        longer than track.clock.MAX_GAP_S, the image's size changed, or `reset()` was called: no id
        of earlier results goes on.
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
    smoothing, biomechanics : see `Settings`; changed by `update`.
    horizon_s : as Settings.prediction_horizon_s.

    Raises
    ------
    ValueError : the view is unknown, or needs bodies or a hand detector that are not given, or is
        "auto" with static settings.
    """

    def __init__(
        self,
        hands: HandFinder,
        bodies: BodyFinder | None = None,
        view: str = "egocentric",
        smoothing: SmoothingSettings | None = None,
        biomechanics: bool = False,
        horizon_s: float = 0.0,
    ) -> None:
        self._views = ViewChooser(view)
        if bodies is None and view != "egocentric":
            raise ValueError(f"the view '{view}' needs a person detector and a body model")
        if not hands.finds_directly and view != "third_person":
            raise ValueError(f"the view '{view}' needs a hand detector")
        self._hands, self._bodies, self._view = hands, bodies, view
        self._check(hands.settings)
        self._clock = FrameClock()
        self._smoother = InstanceSmoother(
            self.layouts, smoothing or SmoothingSettings(), biomechanics, horizon_s
        )

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
        return (HAND21,) if self._bodies is None else (self._bodies.layout, HAND21)

    def update(self, settings: Settings) -> None:
        """Use other settings from the next image on. Tracking starts anew where input_mirrored
        changes: left is right then, for all that is held over time.

        Raises
        ------
        ValueError : static settings for the view "auto"; the settings in use stay.
        """
        self._check(settings.hands)
        if settings.hands.input_mirrored != self._hands.settings.input_mirrored:
            self.reset()
        self._hands.update(settings.hands)
        if self._bodies is not None:
            self._bodies.update(settings.persons)
        self._smoother.update(
            settings.smoothing, settings.biomechanics, settings.prediction_horizon_s
        )

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
            hands = self._hands.of_bodies(frame, bodies, work)
            bodies = [_with_hands(body, hands) for body in bodies]
        else:
            bodies = []  # looked for only to choose the view
            hands = self._hands(frame, work)
        instances = [*bodies, *hands]
        if not static:
            instances = self._smoother(frame.stamp_ns, instances)
        return Result(tuple(instances), tuple(work.models), reset, work.stage_s, view)

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
        self._smoother.reset()


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


def _with_hands(body: Instance, hands: Sequence[Instance]) -> Instance:
    """A body whose own hand points are refined by its hands."""
    own = [hand for hand in hands if hand.parent_id == body.track_id and is_live(hand)]
    if not own or not is_live(body):
        return body
    refined = refine_hands(body.keypoints, own)
    return replace(body, keypoints=refined, raw=refined)
