"""The node's life: its own start, a manager, changes of model, transitions that fail."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.keypoints import cpu_precision
from vitpose_ros.layouts import HAND21
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.msg import SkeletonLayoutArray
from vitpose_ros.ros import pose_node
from vitpose_ros.ros.start import SIGNALS
from vitpose_ros.synthetic.scene import Rendering


def state(graph: Any) -> int:
    return graph.call(GetState, "pose_node/get_state", GetState.Request()).current_state.id


def test_the_node_configures_and_activates_itself(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node()
    assert state(graph) == State.PRIMARY_STATE_ACTIVE
    camera.process()


def test_with_autostart_false_nothing_happens_until_a_manager_asks(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node(autostart=False)
    assert state(graph) == State.PRIMARY_STATE_UNCONFIGURED
    assert not fakes, "models were loaded"
    assert graph.change_state("configure")
    assert state(graph) == State.PRIMARY_STATE_INACTIVE
    assert camera.publisher.get_subscription_count() == 0
    assert graph.change_state("activate")
    camera.process()


def test_a_deactivated_node_uses_no_image_and_an_activated_one_goes_on(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node()
    camera.process()
    assert graph.change_state("deactivate")
    graph.wait_for(
        lambda: camera.publisher.get_subscription_count() == 0, "the node to let go of the camera"
    )
    camera.publisher.publish(camera.image())  # to nobody
    assert graph.change_state("activate")
    skeletons = camera.process()
    assert skeletons.reset, "tracking starts anew after a pause"
    assert len(fakes[0].frames) == len(camera.skeletons.messages) == 2


def test_a_stamp_from_before_the_pause_is_accepted_after_it(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node()
    camera.process()
    assert graph.change_state("deactivate", "activate")
    camera.stamp_ns -= 5 * 33_333_333
    camera.process()


def test_another_model_is_taken_up_between_cleanup_and_configure(
    graph: Any, camera: Any, models: ModelStore, rendering: Rendering
) -> None:
    graph.start_pose_node()
    before = camera.process(camera.image(rendering.image))
    assert {s.model for s in before.skeletons} == {"mediapipe-hand-full"}
    assert graph.change_state("deactivate", "cleanup")
    assert graph.set_parameter("hand_model", "mediapipe-hand-lite").successful
    assert graph.change_state("configure", "activate")
    after = camera.process(camera.image(rendering.image))
    assert {s.model for s in after.skeletons} == {"mediapipe-hand-lite"}
    assert after.models[-1] == "mediapipe-hand-lite"
    values = graph.wait_for_status(lambda v: v["state"] == "active", "state active")
    assert values["models"] == "mediapipe-palm-full, mediapipe-hand-lite"


def test_a_late_subscriber_gets_the_latched_layouts(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node()
    camera.process()
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    late = graph.listen(SkeletonLayoutArray, "skeleton_layouts", latched)
    layouts = late.wait(lambda m: True, "the layouts").layouts
    assert [layout.name for layout in layouts] == ["hand21"]
    assert tuple(layouts[0].joints) == HAND21.joints


def test_a_node_that_is_shut_down_lets_go_of_everything(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node()
    camera.process()
    assert graph.change_state("deactivate", "cleanup", "shutdown")
    assert state(graph) == State.PRIMARY_STATE_FINALIZED
    assert camera.publisher.get_subscription_count() == 0


def test_an_exception_in_a_transition_is_logged_with_its_traceback_and_the_node_lives(
    graph: Any, camera: Any, fakes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = pose_node.load_pipeline

    def broken(*arguments: Any, **named: Any) -> Any:
        raise ArithmeticError("seventeen is odd")

    monkeypatch.setattr(pose_node, "load_pipeline", broken)
    graph.start_pose_node()
    text = graph.wait_for_log("configure failed: ArithmeticError: seventeen is odd")
    assert "Traceback (most recent call last)" in text
    assert "in broken" in text
    assert f"ros2 lifecycle set {graph.namespace}/pose_node configure" in text
    values = graph.wait_for_status(lambda v: v["level"] == "ERROR", "level ERROR")
    assert "seventeen is odd" in values["message"]
    assert state(graph) == State.PRIMARY_STATE_UNCONFIGURED
    monkeypatch.setattr(pose_node, "load_pipeline", load)
    assert graph.change_state("configure", "activate")
    camera.process()


def test_networks_run_before_the_node_is_inactive_each_time_that_it_is_configured(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node(autostart=False)
    assert graph.change_state("configure")
    assert fakes[0].warm_ups == 1
    assert graph.change_state("activate", "deactivate", "cleanup", "configure")
    assert [fake.warm_ups for fake in fakes] == [1, 1]


def test_a_network_that_fails_when_it_is_run_first_leaves_the_node_unconfigured(
    graph: Any, fakes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def warm_up(pipeline: Any) -> None:
        raise EngineError("'net.onnx' failed on the CPU: out of memory")

    graph.start_pose_node(autostart=False)
    assert graph.change_state("configure", "cleanup")
    monkeypatch.setattr(type(fakes[0]), "warm_up", warm_up)
    assert not graph.change_state("configure")
    text = graph.wait_for_log("configure refused: 'net.onnx' failed on the CPU: out of memory")
    assert "Traceback" not in text
    assert state(graph) == State.PRIMARY_STATE_UNCONFIGURED


@pytest.mark.parametrize("becomes", [None, ImportError("half loaded")])
def test_ctrl_c_while_models_are_loaded_ends_the_program_without_a_word(
    fakes: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    becomes: Exception | None,
) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]

    def interrupted(*arguments: Any, **named: Any) -> Any:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise becomes or KeyboardInterrupt from None

    monkeypatch.setattr(pose_node, "load_pipeline", interrupted)
    try:
        assert pose_node.main(["pose_node"]) == 0
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)
    said = "".join(capfd.readouterr())
    assert "configuring: loading" in said
    assert "Traceback" not in said
    assert "configure failed" not in said


def test_an_activation_that_fails_leaves_nothing_behind_and_can_be_repeated(
    graph: Any, camera: Any, fakes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = graph.start_pose_node(autostart=False)
    assert graph.change_state("configure")
    subscribe = node.create_subscription

    def broken(kind: type, *arguments: Any, **named: Any) -> Any:
        if kind is not Image:
            raise ArithmeticError("no second subscription")
        return subscribe(kind, *arguments, **named)

    monkeypatch.setattr(node, "create_subscription", broken)
    assert not graph.change_state("activate")
    text = graph.wait_for_log("activate failed: ArithmeticError")
    assert f"ros2 lifecycle set {graph.namespace}/pose_node activate" in text
    assert "pose_node configure" not in text, "it is configured already"
    assert state(graph) == State.PRIMARY_STATE_INACTIVE
    assert camera.publisher.get_subscription_count() == 0
    monkeypatch.setattr(node, "create_subscription", subscribe)
    assert graph.change_state("activate")
    camera.process()


def test_a_configuration_that_fails_halfway_leaves_nothing_behind(
    graph: Any, fakes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = graph.start_pose_node(autostart=False)
    publish = node.create_publisher

    def broken(kind: type, topic: str, *arguments: Any, **named: Any) -> Any:
        if topic == "skeleton_markers":
            raise ArithmeticError("no third publisher")
        return publish(kind, topic, *arguments, **named)

    monkeypatch.setattr(node, "create_publisher", broken)
    assert not graph.change_state("configure")
    assert graph.observer.count_publishers("skeletons") == 0
    assert graph.set_parameter("hand_model", "mediapipe-hand-lite").successful, "it is unconfigured"
    monkeypatch.setattr(node, "create_publisher", publish)
    assert graph.change_state("configure", "activate")


# --- models that cannot be used ------------------------------------------------------------------


@pytest.fixture
def store(models: ModelStore, tmp_path: Path) -> Path:
    """A store of the test's own, whose files it may damage."""
    for name in ("mediapipe-palm-full", "mediapipe-hand-full"):
        (tmp_path / name).mkdir()
        for file in (models.root / name).glob("*.tflite"):
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    return tmp_path


DAMAGES = {
    "missing": (lambda data: None, ["is missing", "vitpose_ros models pull mediapipe-hand-full"]),
    "truncated": (
        lambda data: data[: len(data) // 2],
        ["is truncated", "bytes, expected are", "models pull --force mediapipe-hand-full"],
    ),
    "altered": (
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        ["is altered", "sha256", "models pull --force mediapipe-hand-full"],
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_file_keeps_the_node_from_starting_until_it_is_replaced(
    graph: Any, camera: Any, store: Path, damage: str
) -> None:
    change, named = DAMAGES[damage]
    file = next((store / "mediapipe-hand-full").iterdir())
    whole = file.read_bytes()
    damaged = change(whole)
    file.unlink() if damaged is None else file.write_bytes(damaged)
    graph.start_pose_node(models_dir=str(store))
    text = graph.wait_for_log("configure refused|configure failed")
    assert str(file) in text
    assert all(part in text for part in named), text
    assert f"--store {store}" in text
    assert "Traceback" not in text, "the user can correct this; it is no fault of ours"
    assert f"ros2 lifecycle set {graph.namespace}/pose_node configure" in text
    assert state(graph) == State.PRIMARY_STATE_UNCONFIGURED
    values = graph.wait_for_status(lambda v: v["level"] == "ERROR", "level ERROR")
    assert "mediapipe-hand-full" in values["message"]
    file.write_bytes(whole)
    assert graph.change_state("configure", "activate")
    camera.process()


@pytest.mark.parametrize(
    ("parameter", "given", "accepted"),
    [
        ("hand_model", "mediapipe-hand-huge", "mediapipe-hand-full"),
        ("hand_detector", "mediapipe-hand-full", "mediapipe-palm-full"),
    ],
    ids=["unknown name", "model of another task"],
)
def test_a_model_name_that_does_not_fit_is_refused_with_those_that_do(
    graph: Any, camera: Any, models: ModelStore, parameter: str, given: str, accepted: str
) -> None:
    graph.start_pose_node(**{parameter: given})
    text = graph.wait_for_log("configure refused|configure failed")
    assert f"'{given}'" in text
    assert accepted in text
    assert "vitpose_ros models list" in text
    assert "Traceback" not in text
    assert state(graph) == State.PRIMARY_STATE_UNCONFIGURED
    assert graph.set_parameter(parameter, accepted).successful
    assert graph.change_state("configure", "activate")
    camera.process()


# --- precisions that cannot be used --------------------------------------------------------------

TINY = "vitpose-tiny-synthetic"


class OldCpu(OpenVinoEngine):
    """The engine on a CPU that computes in fp32 only."""

    def __init__(self, path: Path, threads: int = 0, precision: str = "fp32") -> None:
        if precision != "fp32":
            raise EngineError(f"this CPU does not compute in {precision}; take fp32")
        super().__init__(path, threads)


def overflows(engine: Any, *arguments: Any) -> None:
    """The comparison with fp32, of a network that fails it."""
    raise EngineError(f"'{TINY}' on {engine.name} differs from float32: outputs by inf")


@pytest.fixture
def tiny(models: ModelStore) -> str:
    """A hand model that is top-down."""
    try:
        return models.get(TINY).entry.name
    except ModelError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_without_instructions_for_a_precision_the_node_says_so_and_auto_does_without(
    graph: Any, camera: Any, tiny: str, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setattr(cpu_precision, "OpenVinoEngine", OldCpu)
    graph.start_pose_node(hand_model=tiny, precision=precision)
    text = graph.wait_for_log("configure refused")
    assert f"this CPU does not compute in {precision}; take fp32" in text
    assert "Traceback" not in text
    assert state(graph) == State.PRIMARY_STATE_UNCONFIGURED
    assert graph.set_parameter("precision", "auto").successful
    assert graph.change_state("configure", "activate")
    camera.process()
    assert graph.wait_for_status(lambda v: v["state"] == "active", "state active")["engine"] == (
        "openvino CPU"
    )


def test_a_network_that_differs_in_a_precision_is_refused_and_auto_does_without(
    graph: Any, camera: Any, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NewCpu(OpenVinoEngine):
        def __init__(self, path: Path, threads: int = 0, precision: str = "fp32") -> None:
            super().__init__(path, threads)
            self.name = f"new CPU {precision}"

    monkeypatch.setattr(cpu_precision, "OpenVinoEngine", NewCpu)
    monkeypatch.setattr(cpu_precision, "require", overflows)
    graph.start_pose_node(hand_model=tiny, precision="fp16")
    text = graph.wait_for_log("configure refused")
    assert f"'{TINY}' on new CPU fp16 differs from float32: outputs by inf" in text
    assert state(graph) == State.PRIMARY_STATE_UNCONFIGURED
    assert graph.set_parameter("precision", "auto").successful
    assert graph.change_state("configure", "activate")
    camera.process()
    graph.wait_for_log(f"configured in .*{TINY} on new CPU fp32")


def test_mediapipes_networks_run_in_fp32_whatever_the_precision(
    graph: Any, camera: Any, models: ModelStore, rendering: Rendering
) -> None:
    graph.start_pose_node(precision="fp16", flip_test=True)
    assert len(camera.process(camera.image(rendering.image)).skeletons) == 2
    values = graph.wait_for_status(lambda v: v["state"] == "active", "state active")
    assert values["engine"] == "openvino CPU"
