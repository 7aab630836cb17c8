"""Every kind of network that the package runs, and whether a file is one.

A file is a kind where the class that runs this kind accepts its inputs and outputs: there is no
other recognition than that of the pipeline, and the reason against a kind is that class's own
error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.detect.factory import hand_detector, person_detector
from vitpose_ros.engines.base import Engine, EngineError, Tensors
from vitpose_ros.keypoints.bodies import MediaPipeBodies
from vitpose_ros.keypoints.channels import channels_first
from vitpose_ros.keypoints.factory import assemble_top_down
from vitpose_ros.keypoints.lifting_network import ShapeNetwork
from vitpose_ros.keypoints.lifting_recipes import MARTINEZ, MOTIONBERT, VIDEOPOSE3D, recognise
from vitpose_ros.keypoints.mediapipe_body import BodyLandmarks
from vitpose_ros.keypoints.mediapipe_hand import HandLandmarks
from vitpose_ros.keypoints.onestage import one_stage
from vitpose_ros.keypoints.paf import paf_bodies
from vitpose_ros.keypoints.paf.fields import FIELDS
from vitpose_ros.keypoints.recipes import CODEC, STRIDE, codec_of
from vitpose_ros.keypoints.warp import PADDING
from vitpose_ros.layouts import COCO17, H36M17, HAND21, LAYOUTS, MEDIAPIPE33, Layout
from vitpose_ros.models.catalogue import TASKS, Entry, Licence, ModelFile

Size = tuple[int, int]
Make = Callable[[Engine, Entry], Any]

INPUT = "--input WIDTHxHEIGHT"
NO_SIZE = f"it does not tell the size of its input: give {INPUT}"
"""The reason against kinds without a usual size."""

_ANY_LAYOUT = 400
"""Networks with up to this number of joints are recognised without a layout, for the message."""


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of network.

    Attributes
    ----------
    task, architecture : of its catalogue entries.
    title : what it is, for people.
    signature : its inputs and outputs, for people.
    make : the class that runs it; EngineError where a network is not of the kind.
    layouts : the layouts that its joints can have; (None,) for a detector.
    trials : settings that the shapes depend on, tried one after the other.
    usual_size : (width, height) for a file that takes any; None where a wrong one would be worse
        than none.
    """

    task: str
    architecture: str
    title: str
    signature: str
    make: Make
    layouts: tuple[Layout | None, ...] = (None,)
    trials: tuple[Mapping[str, Any], ...] = ({},)
    usual_size: Size | None = None

    @property
    def what(self) -> str:
        """Its architecture and task, for people."""
        return f"{self.architecture} ({self.task})"

    @property
    def option(self) -> str:
        """The options that name this kind."""
        return f"--task {self.task} --architecture {self.architecture}"


@dataclass(frozen=True, eq=False)
class Fit:
    """A kind that a file is.

    Attributes
    ----------
    entry : that describes it, without files.
    size_from : where the size of its input comes from, for people.
    """

    kind: Kind
    entry: Entry
    model: Any
    size_from: str


@dataclass
class Fits:
    """What a file can be, and why it is nothing else.

    Attributes
    ----------
    found : all kinds and layouts that fit.
    reasons : against each other kind.
    """

    found: list[Fit] = field(default_factory=list)
    reasons: dict[Kind, str] = field(default_factory=dict)


class Watched:
    """An engine that keeps its last runs: the same input is not run twice, and outputs that are
    not finite are noticed.
    """

    def __init__(self, engine: Engine) -> None:
        self.name, self.inputs, self.outputs = engine.name, engine.inputs, engine.outputs
        self._engine = engine
        self._known: dict[int, Tensors] = {}
        self.last: Tensors = {}
        self.not_finite: set[str] = set()

    def run(self, tensors: Mapping[str, npt.NDArray[np.float32]]) -> Tensors:
        """See `engines.base.Engine.run`."""
        key = hash(tuple((n, t.shape, t.tobytes()) for n, t in sorted(tensors.items())))
        if key not in self._known:
            if len(self._known) >= 8:
                self._known.pop(next(iter(self._known)))
            self._known[key] = self._engine.run(tensors)
        self.last = {name: values.copy() for name, values in self._known[key].items()}
        self.not_finite |= {n for n, values in self.last.items() if not np.isfinite(values).all()}
        return self.last


def _top_down(engine: Engine, entry: Entry) -> Any:
    joints = 0 if entry.layout is None else len(entry.layout)
    # Hand regions already include padding.
    padding = 1.0 if entry.task == "hand_keypoints" else PADDING
    return assemble_top_down(channels_first(engine, codec_of(entry), joints), entry, padding)


def _lifting(engine: Engine, entry: Entry) -> Any:
    recipe = recognise(
        entry.name, entry.architecture, engine.inputs, engine.outputs, entry.settings
    )
    return ShapeNetwork(engine, entry, recipe, COCO17)


def _of(task: str) -> tuple[Layout | None, ...]:
    return tuple(layout for layout in LAYOUTS.values() if layout.kind in TASKS[task])


_DETECTORS = (
    ("yolox", "YOLOX", "(N, 3, H, W) to (N, cells, 5 + classes), or to MMDeploy's boxes", 640),
    (
        "rtmdet",
        "RTMDet",
        "(N, 3, H, W) to three maps (N, H/s, W/s, classes + 4), or to MMDeploy's boxes",
        640,
    ),
    (
        "detr",
        "DETR family: RT-DETR, D-FINE, RF-DETR",
        "(N, 3, H, W) to boxes (N, M, 4) and logits (N, M, classes)",
        640,
    ),
)
_LIFTING = (
    (MOTIONBERT, "MotionBERT", "(N, images, 17, 3) to the same"),
    (VIDEOPOSE3D, "VideoPose3D", "(N, images, 17, 2) to (N, 1, 17, 3)"),
    (MARTINEZ, "SimpleBaseline3D (Martinez)", "(N, 34) to (N, 51), or without the pelvis"),
)
_STRIDES = tuple({CODEC: "udp", STRIDE: stride} for stride in (4, 1, 2, 8, 16))


def _kinds() -> Iterator[Kind]:
    for task, make, mediapipe in (
        ("person_detector", person_detector, "pose_detection.tflite"),
        ("hand_detector", hand_detector, "palm_detection_*.tflite"),
    ):
        who = "persons" if task == "person_detector" else "hands"
        for name, title, signature, side in _DETECTORS:
            yield Kind(
                task, name, f"a detector of {who}, {title}", signature, make,
                usual_size=(side, side),
            )  # fmt: skip
        title = f"MediaPipe's detector of {who}"
        yield Kind(task, "mediapipe", title, mediapipe, make)
    body, hand = "body_keypoints", "hand_keypoints"
    yield Kind(
        body, "onestage", "a one-stage network: persons and joints in one pass",
        "an image to persons with joints: RTMO, YOLO pose, RF-DETR keypoint, DETRPose, MoveNet "
        "MultiPose, DEKR",
        one_stage, _of(body), usual_size=(640, 640),
    )  # fmt: skip
    yield Kind(
        body, "paf", "a bottom-up network: heatmaps and part affinity fields, as OpenPose's",
        "an image to K + 1 heatmaps and two fields per limb", paf_bodies,
        tuple(LAYOUTS[name] for name in FIELDS), usual_size=(432, 368),
    )  # fmt: skip
    for task in (body, hand):
        what = "bodies" if task == body else "hands"
        yield Kind(
            task, "heatmap", f"heatmaps of the joints of {what}, from crops",
            "an image (H, W) to one map (H/s, W/s) per joint", _top_down, _of(task), _STRIDES,
        )  # fmt: skip
        yield Kind(
            task, "rtmpose", f"SimCC curves of the joints of {what}, from crops, as RTMPose's",
            "(N, 3, H, W) to curves (N, K, 2 W) and (N, K, 2 H)", _top_down, _of(task),
        )  # fmt: skip
    yield Kind(
        body, "mediapipe", "MediaPipe's body landmarks", "pose_landmark_*.tflite",
        lambda engine, entry: MediaPipeBodies(BodyLandmarks(engine, entry.name)), (MEDIAPIPE33,),
    )  # fmt: skip
    yield Kind(
        hand, "mediapipe", "MediaPipe's hand landmarks", "hand_landmark_*.tflite",
        lambda engine, entry: HandLandmarks(engine, entry.name), (HAND21,),
    )  # fmt: skip
    for name, title, signature in _LIFTING:
        layouts = (H36M17,) if name == MARTINEZ else (COCO17, H36M17)
        title = f"a lifting network, {title}: 2D joints to metres"
        yield Kind("body_lifting", name, title, signature, _lifting, layouts)


KINDS = tuple(_kinds())
"""Every kind of network."""


@dataclass(frozen=True)
class Wanted:
    """What is known of a file before its shapes are looked at; None or empty where nothing is.

    Attributes
    ----------
    size : (width, height) of the input, px.
    size_from : where that comes from.
    joints : their number.
    settings : of the catalogue entry.
    """

    task: str | None = None
    architecture: str | None = None
    layout: str | None = None
    joints: int | None = None
    size: Size | None = None
    size_from: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


def find_fits(engine: Engine, name: str, wanted: Wanted) -> Fits:
    """What a network can be."""
    fits = Fits()
    for kind in KINDS:
        if wanted.task not in (None, kind.task):
            continue
        if wanted.architecture not in (None, kind.architecture):
            continue
        layouts = [
            one
            for one in kind.layouts
            if (one is None and wanted.layout is None)
            or (one and wanted.layout in (None, one.name) and wanted.joints in (None, len(one)))
        ]
        found = [_fit(kind, engine, name, layout, wanted) for layout in layouts]
        good = [one for one in found if isinstance(one, Fit)]
        fits.found += good
        if not good:
            fits.reasons[kind] = next(
                (str(one) for one in found), f"it cannot have the layout '{wanted.layout}'"
            )
    return fits


def joints_of(engine: Engine, name: str, wanted: Wanted) -> dict[Kind, int]:
    """For networks with a number of joints that no layout has: the kinds that they would fit, and
    that number.
    """
    found: dict[Kind, int] = {}
    for kind in KINDS:
        if kind.layouts[0] is None or kind.architecture in ("paf", "mediapipe"):
            continue
        if wanted.task not in (None, kind.task) or kind.task == "body_lifting":
            continue
        if wanted.architecture not in (None, kind.architecture):
            continue
        for count in range(1, _ANY_LAYOUT):
            joints = tuple(f"joint_{i}" for i in range(count))
            kind_of = TASKS[kind.task][0]
            layout = Layout(f"{count} joints", kind_of, joints, (), (), (float("nan"),) * count)
            if isinstance(_fit(kind, engine, name, layout, wanted), Fit):
                found[kind] = count
                break
    return found


def _fit(kind: Kind, engine: Engine, name: str, layout: Layout | None, wanted: Wanted) -> Fit | str:
    """The network as this kind, or why it is not one."""
    lifting = kind.task == "body_lifting"
    own = None if lifting else own_size(engine)
    size, source = own, "of the file"
    if size is None and not lifting:
        size, source = wanted.size, wanted.size_from
    if size is None and kind.usual_size is not None:
        size, source = _usual(kind, engine), "the usual one, since the file takes any"
    if size is None and not lifting:
        return NO_SIZE
    reason = ""
    for trial in kind.trials:
        entry = Entry(
            name=name,
            task=kind.task,
            architecture=kind.architecture,
            layout=layout,
            input_width=size[0] if size else 0,
            input_height=size[1] if size else 0,
            parameters=None,
            licence=Licence("not stated", ""),
            origin="",
            accuracy=(),
            verified_here=False,
            files=(ModelFile("network", ()),),
            settings={**trial, **wanted.settings},
        )
        try:
            return Fit(kind, entry, kind.make(engine, entry), source)
        except EngineError as error:
            reason = reason or str(error)
    return reason


def _usual(kind: Kind, engine: Engine) -> Size | None:
    last = len(engine.inputs) == 1 and engine.inputs[0].shape[-1:] == (3,)
    return (256, 256) if kind.architecture == "onestage" and last else kind.usual_size


def own_size(engine: Engine) -> Size | None:
    """(width, height) of the only image input, if the file tells it."""
    images = [spec for spec in engine.inputs if len(spec.shape) == 4 and 3 in spec.shape[1::2]]
    if len(images) != 1:
        return None
    shape = images[0].shape
    height, width = shape[2:] if shape[1] == 3 else shape[1:3]
    return None if width is None or height is None else (width, height)
