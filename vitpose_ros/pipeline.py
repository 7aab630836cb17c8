"""The whole core on one page: frames in, results out.

    plan       where to look, from the tracks         track/
    measure    this image's readings, by networks     measure/
    associate  who is who                             track/
    lift       from pixels to metres                  lift/
    smooth     joints over time                       smooth/

`process` is the page to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vitpose_ros.layouts import Layout
from vitpose_ros.lift import Across, Lifter, lift
from vitpose_ros.lift.body_shapes import BodyShapes, lift_shapes
from vitpose_ros.lift.settings import LiftSettings
from vitpose_ros.measure import Networks, measure
from vitpose_ros.measurements import FramePlan, Measurements
from vitpose_ros.settings import HandSettings, PersonSettings, check_flags
from vitpose_ros.smooth.instances import InstanceSmoother
from vitpose_ros.smooth.predict import check_horizon
from vitpose_ros.smooth.settings import SmoothingSettings
from vitpose_ros.track.tracker import Tracker
from vitpose_ros.types import Frame, Instance, View


@dataclass(frozen=True)
class Settings:
    """What may change while a pipeline runs.

    Attributes
    ----------
    hands, persons, lifting, smoothing : see their classes.
    biomechanics : keep bone lengths constant and joints within their limits, in metres.
    prediction_horizon_s : publish joints as expected this long after the image; at most
        predict.MAX_HORIZON_S.

    Raises
    ------
    ValueError : names the field, the given value and what is accepted; or a prediction is
        requested although nothing is smoothed, gated or held, so that no velocity is known.
    """

    hands: HandSettings = field(default_factory=HandSettings)
    persons: PersonSettings = field(default_factory=PersonSettings)
    lifting: LiftSettings = field(default_factory=LiftSettings)
    smoothing: SmoothingSettings = field(default_factory=SmoothingSettings)
    biomechanics: bool = False
    prediction_horizon_s: float = 0.0

    def __post_init__(self) -> None:
        check_flags(self, "biomechanics")
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
    instances : bodies, then hands, of each kind the oldest tracks first. Those that were not
        measured in this image, but may be found again, are among them while smoothing still holds
        joints for them: their track_state is LOST.
    models : the networks that ran for this image, in the order of their first use.
    reset : tracking restarted at this image, because it is the first one, time went back or stood
        still, a gap was longer than track.clock.MAX_GAP_S, the image's size changed, or `reset()`
        was called. No earlier id continues.
    stage_s : wall time of each stage, s: "detect", "keypoints"; 0 for a stage that did not run.
    view : how the image was searched.
    """

    instances: tuple[Instance, ...]
    models: tuple[str, ...]
    reset: bool
    stage_s: dict[str, float]
    view: View = View.EGOCENTRIC


class Pipeline:
    """Bodies and hands in the images of one camera.

    Parameters
    ----------
    networks : may be shared with the pipelines of other cameras.
    settings : see `Settings`; changed by `update`.
    view : "egocentric", "third_person" or "auto"; see `track.views`.

    Raises
    ------
    ValueError : the view is unknown, needs networks that are not given, or is "auto" with static
        settings.
    """

    def __init__(
        self, networks: Networks, settings: Settings | None = None, view: str = "egocentric"
    ) -> None:
        self.networks, self._view = networks, view
        self._settings = settings or Settings()
        self._check(self._settings)
        bodies = networks.bodies if view != "egocentric" else None
        self._tracker = Tracker(view, None if bodies is None else bodies.layout)
        if view != "egocentric" and not networks.measures_bodies:
            raise ValueError(
                f"the view '{view}' needs a person detector and a body model, or a one-stage model"
            )
        if view != "third_person" and networks.hand_detector is None:
            raise ValueError(f"the view '{view}' needs a hand detector")
        self._lifter, self._shapes = Lifter(self._settings.lifting), BodyShapes()
        self._smoother = InstanceSmoother(
            networks.layouts,
            self._settings.smoothing,
            self._settings.biomechanics,
            self._settings.prediction_horizon_s,
        )

    @property
    def engine(self) -> str:
        """Names of the keypoint networks' engines, for display."""
        return self.networks.engine

    @property
    def models(self) -> tuple[str, ...]:
        """The networks, by their names in the model catalogue."""
        return self.networks.names

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The layouts that instances can have."""
        return self.networks.layouts

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self._settings

    def update(self, settings: Settings) -> None:
        """Use other settings from the next image on. Tracking restarts if input_mirrored changes,
        because this exchanges left and right.

        Raises
        ------
        ValueError : static settings with the view "auto"; the settings in use stay.
        """
        self._check(settings)
        if settings.hands.input_mirrored != self._settings.hands.input_mirrored:
            self.reset()
        self._settings = settings
        self._lifter.update(settings.lifting)
        self._smoother.update(
            settings.smoothing, settings.biomechanics, settings.prediction_horizon_s
        )

    def warm_up(self) -> None:
        """Run every network, so that the first images take no longer than others.

        Raises
        ------
        EngineError : a network fails.
        """
        self.networks.warm_up()

    def reset(self) -> None:
        """Restart at the next image. Ids are never reused."""
        self._tracker.reset()
        self._forget_joints()

    def __call__(self, frame: Frame) -> Result:
        """Find what is in an image."""
        return process([self], [frame])[0]

    def _plan(self, frame: Frame) -> FramePlan:
        plan = self._tracker.plan(frame, self._settings.hands, self._settings.persons)
        if plan.reset:
            self._forget_joints()
        return plan

    def _forget_joints(self) -> None:
        self._lifter.reset()
        self._shapes.reset()
        self._smoother.reset()

    def _associate(self, frame: Frame, plan: FramePlan, measured: Measurements) -> list[Instance]:
        bodies = self.networks.bodies
        models = self.networks.hand_reader.name, "" if bodies is None else bodies.name
        return self._tracker.associate(frame, plan, measured, models)

    def _smooth(self, frame: Frame, instances: list[Instance]) -> list[Instance]:
        if self._settings.hands.static:
            return instances
        return self._smoother(frame.stamp_ns, instances)

    def _check(self, settings: Settings) -> None:
        if settings.hands.static and self._view == "auto":
            raise ValueError(
                "static: the view 'auto' decides from earlier images, and in static mode each "
                "image stands alone; choose the view 'egocentric' or 'third_person'"
            )


def process(
    pipelines: Sequence[Pipeline], frames: Sequence[Frame], across: Across | None = None
) -> list[Result]:
    """Process one image of each of several cameras, with one run of each network for all of them.

    The result for an image does not depend on the other images, unless `across` is given.

    Parameters
    ----------
    pipelines : one per camera, each once; all with the same networks.
    frames : their images, in the same order.
    across : what cameras know together; see `rig.Rig`.

    Returns
    -------
    One result for each image.

    Raises
    ------
    ValueError : pipelines with different networks, or one that is named twice.
    """
    if not pipelines:
        return []
    networks = pipelines[0].networks
    if any(p.networks is not networks for p in pipelines) or len(set(pipelines)) < len(pipelines):
        raise ValueError(
            "expected different pipelines that share one Networks object: load the networks once, "
            "and make one Pipeline per camera from them"
        )
    plans = [p._plan(frame) for p, frame in zip(pipelines, frames, strict=True)]
    measured = measure(networks, frames, plans)
    cameras = list(zip(pipelines, frames, plans, measured, strict=True))
    associated = [p._associate(frame, plan, found) for p, frame, plan, found in cameras]
    shaped, readers = _with_shapes(pipelines, frames, associated)
    lifted = lift([p._lifter for p in pipelines], frames, shaped, across)
    results = []
    for (pipeline, frame, plan, found), reader, instances in zip(
        cameras, readers, lifted, strict=True
    ):
        smooth = tuple(pipeline._smooth(frame, instances))
        models = (*found.models, *reader)
        results.append(Result(smooth, models, plan.reset, found.stage_s, plan.view))
    return results


def _with_shapes(
    pipelines: Sequence[Pipeline], frames: Sequence[Frame], instances: list[list[Instance]]
) -> tuple[list[list[Instance]], list[tuple[str, ...]]]:
    """Bodies with their shape from the lifting network, if there is one, and for each image the
    name of that network where it ran.
    """
    reader = pipelines[0].networks.shape_reader
    if reader is None:
        return instances, [()] * len(frames)
    cameras = [
        (p._shapes, frame, p.settings.hands.input_mirrored)
        for p, frame in zip(pipelines, frames, strict=True)
    ]
    shaped, ran = lift_shapes(reader, cameras, instances)
    return shaped, [(reader.name,) if each else () for each in ran]
