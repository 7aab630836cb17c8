"""What the tests of the edge share: image encoders, and the real node on a real graph.

Waiting is always for something, with a time-out that says what did not come. That something was
not published is shown by a later message that did arrive, never by the passing of time.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Log
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from vitpose_ros.factory import Models
from vitpose_ros.layouts import HAND21
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.msg import SkeletonArray
from vitpose_ros.pipeline import Result, Settings
from vitpose_ros.ros import pose_node
from vitpose_ros.ros.messages import image_message
from vitpose_ros.ros.pose_node import PoseNode
from vitpose_ros.ros.start import autostart
from vitpose_ros.synthetic.scene import Rendering, Scene
from vitpose_ros.types import Frame, Instance, JointState, Keypoints, Side

Array = npt.NDArray[np.uint8]
TIMEOUT_S = 20.0
PERIOD_NS = 33_333_333
FIRST_STAMP_NS = 1_700_000_000_123_456_789  # no multiple of anything: rounding would show
FRAME_ID = "wrist_camera_optical_frame"
_numbers = itertools.count()


# --- encoders: the inverse of ros/images, written without it -----------------------------------


def _yuv(bgr: Array) -> Array:
    """BT.601 with 16 .. 235 for Y, as in the YUV formats of cameras (ITU-R BT.601, 2.5.3)."""
    b, g, r = (bgr[..., i].astype(float) for i in range(3))
    y = 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255
    u = 128 + (-37.797 * r - 74.203 * g + 112.0 * b) / 255
    v = 128 + (112.0 * r - 93.786 * g - 18.214 * b) / 255
    return np.stack([y, u, v], axis=-1).round().astype(np.uint8)


def _uyvy(bgr: Array) -> Array:
    planes = _yuv(bgr)
    out = np.empty((*bgr.shape[:2], 2), np.uint8)
    out[..., 1] = planes[..., 0]
    out[:, 0::2, 0], out[:, 1::2, 0] = planes[:, 0::2, 1], planes[:, 0::2, 2]
    return out


def _nv12(bgr: Array, swapped: bool = False) -> Array:
    planes = _yuv(bgr)
    chroma = planes[0::2, 0::2, :0:-1] if swapped else planes[0::2, 0::2, 1:]
    return np.concatenate([planes[..., 0], chroma.reshape(bgr.shape[0] // 2, bgr.shape[1])])


def _nv24(bgr: Array) -> Array:
    planes = _yuv(bgr)
    chroma = planes[..., 1:].reshape(2 * bgr.shape[0], bgr.shape[1])
    return np.concatenate([planes[..., 0], chroma])


def _mosaic(bgr: Array, pattern: str) -> Array:
    """What a sensor behind this filter sees; the letters are rows 0 and 1 from the left."""
    out = np.empty(bgr.shape[:2], np.uint8)
    for place, letter in enumerate(pattern):
        row, column = divmod(place, 2)
        out[row::2, column::2] = bgr[row::2, column::2, "bgr".index(letter)]
    return out


def _with_alpha(bgr: Array) -> Array:
    return np.concatenate([bgr, np.full((*bgr.shape[:2], 1), 7, np.uint8)], axis=2)


def _eight_bit(bgr: Array, encoding: str) -> Array:
    if encoding.startswith("bayer_"):
        return _mosaic(bgr, encoding[6:10])
    makers: dict[str, Callable[[Array], Array]] = {
        "bgr": lambda image: image,
        "8UC3": lambda image: image,
        "rgb": lambda image: image[..., ::-1],
        "bgra": _with_alpha,
        "rgba": lambda image: _with_alpha(image[..., ::-1]),
        "mono": lambda image: image[..., 1],
        "8UC1": lambda image: image[..., 1],
        "yuv422": _uyvy,
        "uyvy": _uyvy,
        "yuv422_yuy2": lambda image: _uyvy(image)[..., ::-1],
        "yuyv": lambda image: _uyvy(image)[..., ::-1],
        "8UC4": _with_alpha,
        "nv12": _nv12,
        "nv21": lambda image: _nv12(image, swapped=True),
        "nv24": _nv24,
    }
    name = encoding if encoding in makers else encoding.removesuffix("8").removesuffix("16")
    return makers[name](bgr)


def encode_rows(bgr: Array, encoding: str, big: bool = False) -> Array:
    """(rows, bytes) of an image in an encoding of sensor_msgs; of 16 bits the low byte is noise."""
    values = _eight_bit(bgr, encoding)
    if encoding.endswith("16"):
        wide = values.astype(np.uint16) * 256 + (values // 3)
        values = np.ascontiguousarray(wide.astype(">u2" if big else "<u2")).view(np.uint8)
    return np.ascontiguousarray(values).reshape(values.shape[0], -1)


@pytest.fixture(scope="session")
def encode() -> Callable[..., Array]:
    """``encode(bgr, encoding, big=False)``: the bytes of an image, (rows, bytes)."""
    return encode_rows


# --- the graph -----------------------------------------------------------------------------------


class Collector:
    """Messages of one topic, in the order of arrival."""

    def __init__(self, graph: Graph, what: str) -> None:
        self._graph, self._what = graph, what
        self.messages: list[Any] = []

    def add(self, message: Any) -> None:
        with self._graph.changed:
            self.messages.append(message)
            self._graph.changed.notify_all()

    def wait(self, fits: Callable[[Any], bool], what: str, after: int = 0) -> Any:
        """The first message from number `after` on that fits."""
        return self._graph.wait_for(
            lambda: next((m for m in self.messages[after:] if fits(m)), None),
            f"{what} on {self._what}",
        )


class Graph:
    """A context and a namespace of the test's own, with an observer that listens and publishes."""

    def __init__(self) -> None:
        self.namespace = f"/test_{next(_numbers)}"
        self.changed = threading.Condition()
        self.context = Context()
        rclpy.init(args=[], context=self.context)
        self._others: list[Node] = []
        self._spinning: list[tuple[Node, SingleThreadedExecutor, threading.Thread]] = []
        self.observer = Node(
            "observer", namespace=self.namespace, context=self.context, use_global_arguments=False
        )
        rosout = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._log = self.listen(Log, "/rosout", rosout)
        self._diagnostics = self.listen(DiagnosticArray, "/diagnostics")
        self.spin(self.observer)

    def spin(self, node: Node) -> None:
        """Run a node on an executor and a thread of its own."""
        executor = SingleThreadedExecutor(context=self.context)
        executor.add_node(node)

        def run() -> None:
            with contextlib.suppress(ExternalShutdownException):
                executor.spin()

        thread = threading.Thread(target=run, name=node.get_name(), daemon=True)
        thread.start()
        self._spinning.append((node, executor, thread))

    def close(self) -> None:
        while self._spinning:
            node, executor, thread = self._spinning.pop()
            executor.shutdown(timeout_sec=TIMEOUT_S)
            thread.join(TIMEOUT_S)
            node.destroy_node()
        for node in self._others:
            node.destroy_node()
            rclpy.shutdown(context=node.context)
        rclpy.shutdown(context=self.context)

    def stranger(self) -> Node:
        """A node that DDS takes for one of another process."""
        context = Context()
        rclpy.init(args=[], context=context)
        self._others.append(Node("stranger", context=context, use_global_arguments=False))
        return self._others[-1]

    def wait_for(
        self, condition: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S
    ) -> Any:
        """The first true value of the condition; fails with what was waited for, and the log."""
        deadline_s = time.monotonic() + timeout_s
        with self.changed:
            while not (value := condition()):
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    log = "\n".join(self.logged()) or "(nothing was logged)"
                    pytest.fail(f"waited {timeout_s:g} s in vain for {what}; the log:\n{log}")
                self.changed.wait(min(left_s, 0.01))
        return value

    def listen(self, kind: type, topic: str, qos: QoSProfile | int = 50) -> Collector:
        """Collect the messages of a topic, relative to the test's namespace."""
        collector = Collector(self, topic)
        self.observer.create_subscription(kind, topic, collector.add, qos)
        return collector

    def logged(self) -> list[str]:
        """What the nodes of this test have logged."""
        prefix = self.namespace[1:]
        return [m.msg for m in list(self._log.messages) if m.name.startswith(prefix)]

    def wait_for_log(self, pattern: str) -> str:
        """The first text of the log in which the pattern is found."""
        return self.wait_for(
            lambda: next((t for t in self.logged() if re.search(pattern, t)), None),
            f"a log message like '{pattern}'",
        )

    def statuses(self) -> list[dict[str, str]]:
        """Every status of the pose node so far: its values, with 'message' and 'level'."""
        name = f"{self.namespace}/pose_node: images to skeletons"
        levels = {b"\0": "OK", b"\1": "WARN", b"\2": "ERROR"}
        return [
            {
                **{item.key: item.value for item in status.values},
                "message": status.message,
                "level": levels[status.level],
            }
            for array in list(self._diagnostics.messages)
            for status in array.status
            if status.name == name
        ]

    def wait_for_status(self, fits: Callable[[dict[str, str]], bool], what: str) -> dict[str, str]:
        """The first status from now on that fits."""
        seen = len(self.statuses())
        return self.wait_for(
            lambda: next((s for s in self.statuses()[seen:] if fits(s)), None),
            f"a status with {what}",
        )

    def call(self, kind: type, service: str, request: Any) -> Any:
        """Call a service as any other process would, and wait for its answer."""
        client = self.observer.create_client(kind, service)
        self.wait_for(client.service_is_ready, f"the service {service}")
        future = client.call_async(request)
        self.wait_for(future.done, f"the answer of {service}")
        self.observer.destroy_client(client)
        return future.result()

    def change_state(self, *names: str) -> bool:
        """Ask for transitions, as a lifecycle manager does; True when every one was made."""
        ids = {
            "configure": Transition.TRANSITION_CONFIGURE,
            "activate": Transition.TRANSITION_ACTIVATE,
            "deactivate": Transition.TRANSITION_DEACTIVATE,
            "cleanup": Transition.TRANSITION_CLEANUP,
            "shutdown": Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
        }
        for name in names:
            request = ChangeState.Request(transition=Transition(id=ids[name], label=name))
            if not self.call(ChangeState, "pose_node/change_state", request).success:
                return False
        return True

    def set_parameter(self, name: str, value: Any) -> Any:
        """The result of setting a parameter of the node, as `ros2 param set` does it."""
        message = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[message])
        return self.call(SetParameters, "pose_node/set_parameters", request).results[0]

    def start_pose_node(self, *arguments: str, **parameters: Any) -> PoseNode:
        """The real node, started as its main program does; `arguments` go after --ros-args."""
        node = PoseNode(
            namespace=self.namespace,
            context=self.context,
            use_global_arguments=False,
            cli_args=["--ros-args", *arguments] if arguments else None,
            parameter_overrides=[Parameter(n, value=v) for n, v in parameters.items()],
        )
        autostart(node)
        self.spin(node)
        return node


class Camera:
    """Publishes images whose stamps are 1/30 s apart, and knows what came out of the node."""

    def __init__(self, graph: Graph, kind: type = Image, topic: str = "image") -> None:
        self._graph = graph
        self.publisher = graph.observer.create_publisher(kind, topic, 2)
        self.skeletons = graph.listen(SkeletonArray, "skeletons")
        self.stamp_ns = FIRST_STAMP_NS

    def wait_for_node(self) -> None:
        """Until the node listens."""
        self._graph.wait_for(
            lambda: self.publisher.get_subscription_count() > 0, "the node's subscription to images"
        )

    def header(self, stamp_ns: int | None = None) -> Header:
        """A header with the next stamp, or the given one."""
        if stamp_ns is None:
            self.stamp_ns += PERIOD_NS
            stamp_ns = self.stamp_ns
        stamp = Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
        return Header(stamp=stamp, frame_id=FRAME_ID)

    def image(self, bgr: Array | None = None, stamp_ns: int | None = None) -> Image:
        """A bgr8 message; a small grey image when none is given."""
        grey = np.full((48, 64, 3), 90, np.uint8)
        return image_message(self.header(stamp_ns), grey if bgr is None else bgr, "bgr8")

    def send(self, message: Any) -> Any:
        self.wait_for_node()
        self.publisher.publish(message)
        return message

    def process(self, message: Any | None = None) -> SkeletonArray:
        """Send an image (a small one when none is given) and wait for its skeletons."""
        seen = len(self.skeletons.messages)
        sent = self.send(self.image() if message is None else message)
        return self.skeletons.wait(
            lambda m: m.header.stamp == sent.header.stamp, "the image's skeletons", after=seen
        )


class FakePipeline:
    """In the place of the networks: as fast, as slow, or as broken as a test wants it."""

    engine = "a fake engine"

    layouts = (HAND21,)
    models = ("fake",)
    networks = SimpleNamespace(hand_detector=None)

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.frames: list[Frame] = []
        self.resets = 0
        self.warm_ups = 0
        self.loaded_with: dict[str, Any] = {}
        self.instances: tuple[Instance, ...] = ()
        self.error: Exception | None = None
        self.held = False
        self.restarts = False  # with every image
        self.go_on = threading.Semaphore(0)
        self._reset = False
        self._last_ns = 0

    def __call__(self, frame: Frame) -> Result:
        self.frames.append(frame)
        if self.held:
            assert self.go_on.acquire(timeout=TIMEOUT_S), "the test never let this image go on"
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        reset = self._reset or self.restarts or frame.stamp_ns < self._last_ns
        self._reset = False
        self._last_ns = frame.stamp_ns
        return Result(self.instances, ("fake",), reset, {})

    def warm_up(self) -> None:
        assert not self.frames, "robots wait for this image"
        self.warm_ups += 1

    def update(self, settings: Settings) -> None:
        self.settings = settings

    def reset(self) -> None:
        self.resets += 1
        self._reset = bool(self.frames)


@pytest.fixture
def graph() -> Iterator[Graph]:
    graph = Graph()
    yield graph
    graph.close()


@pytest.fixture
def camera(graph: Graph) -> Camera:
    """A sensor_msgs/Image camera on `image`."""
    return Camera(graph)


@pytest.fixture
def make_camera(graph: Graph) -> Callable[..., Camera]:
    """``make_camera(kind, topic)``: a camera of another type or on another topic."""
    return lambda kind, topic: Camera(graph, kind, topic)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[FakePipeline]:
    """Nodes load a fake pipeline; the list has every one that was loaded, the newest last."""
    loaded: list[FakePipeline] = []

    def load(store: Any, models: Models, settings: Settings, **how: Any) -> Any:
        loaded.append(FakePipeline(settings))
        loaded[-1].loaded_with = how
        return loaded[-1]

    monkeypatch.setattr(pose_node, "load_pipeline", load)
    return loaded


@pytest.fixture(scope="session")
def models() -> ModelStore:
    """The store with the models that the node needs."""
    store = ModelStore()
    try:
        for name in ("mediapipe-palm-full", "mediapipe-hand-full", "mediapipe-hand-lite"):
            store.get(name)
    except ModelError as error:
        pytest.skip(str(error))
    return store


@pytest.fixture(scope="session")
def rendering() -> Rendering:
    """Two rendered hands, wholly in view, that the networks find."""
    return Scene("still", seed=1).render(0.0)


@pytest.fixture
def hand() -> Instance:
    """One hand, spread over a 64x48 image."""
    uv = np.random.default_rng(2).uniform(5, 43, (21, 2)).astype(np.float32)
    state = np.full(21, JointState.VISIBLE, np.uint8)
    joints = Keypoints(HAND21, uv, np.ones(21, np.float32), state)
    return Instance(joints, 0.9, "fake", side=Side.RIGHT, side_score=0.8, track_id=5)
