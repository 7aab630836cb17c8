"""A robot hand behind the real nodes: images go in, commands come out. Only the networks are
replaced, by a script of hands, and the robot by one that is where it was commanded to be.
"""

from __future__ import annotations

import runpy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lifecycle_msgs.srv import GetState
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray, String
from std_srvs.srv import SetBool

from vitpose_ros.layouts import HAND21
from vitpose_ros.retarget.kinematics import HandKinematics
from vitpose_ros.retarget.least_squares import LeastSquares
from vitpose_ros.retarget.robot import load_robot
from vitpose_ros.retarget.safety import MAX_STEP_S
from vitpose_ros.ros.retarget_node import RetargetNode
from vitpose_ros.ros.start import autostart
from vitpose_ros.types import Instance, Keypoints, Side, TrackState
from vitpose_ros.types import JointState as State

pytest.importorskip("mujoco")

ROBOT = runpy.run_path(str(Path(__file__).parents[1] / "core" / "retarget" / "two_fingers.py"))
VELOCITY, ACCELERATION, APPROACH = 2.0, 10.0, 0.5  # as in the robot's file; the last of the test
NAMES = ["thumb", "thumb_bend", "index", "index_bend"]
OPEN, FIST = np.zeros(4), np.array([1.0, 1.3, 1.2, 1.4])


class Rig:
    """The nodes, the operator's hand in front of the camera, and the robot."""

    def __init__(self, graph: Any, camera: Any, fakes: list[Any], folder: Path) -> None:
        self.graph, self.camera = graph, camera
        (folder / "hand.urdf").write_text(ROBOT["urdf"]())
        self.path = folder / "robot.yaml"
        self.path.write_text(ROBOT["YAML"].format(side="right"))
        self.hand = HandKinematics(load_robot(self.path))
        self.commands = graph.listen(JointState, "joint_commands", 2000)
        latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.states = graph.listen(String, "retarget_node/state", latched)
        self.robot = graph.observer.create_publisher(JointState, "joint_states", 1)
        self.switch = graph.observer.create_publisher(Bool, "deadman", 1)
        self.pose_node = graph.start_pose_node()
        self.pipeline = fakes[-1]
        self.node: Any = None
        self.alive = True
        self.start_joints = np.array([0.3, 0.2, 0.1, 0.4])

    def start(self, **parameters: Any) -> None:
        given = {"robot": str(self.path), "deadman": False, "approach_velocity": APPROACH}
        # Times that a busy machine does not exceed by itself.
        times = {"input_timeout": 0.6, "measured_timeout": 2.0, "deadman_timeout": 1.0}
        self.node = start(self.graph, **{**given, **times, "max_age": 2.0, **parameters})

    @property
    def state(self) -> str:
        return self.states.messages[-1].data if self.states.messages else ""

    def points(self, joints: np.ndarray) -> np.ndarray:
        """The operator's hand that makes these joints, turned and moved as seen by a camera."""
        points = np.full((21, 3), np.nan)
        self.hand.set(joints)
        points[list(self.hand.points)] = self.hand.positions()
        points[[0, 9]] = (0, 0, 0), (0, 0, 0.095)
        return points

    def instance(
        self, joints: np.ndarray, track_id: int = 3, lost: tuple[int, ...] = ()
    ) -> Instance:
        points = self.points(joints)
        shape = points.astype(np.float32)
        shape[list(lost)] = np.nan
        keypoints = Keypoints(
            HAND21,
            np.full((21, 2), 20, np.float32),
            np.ones(21, np.float32),
            np.full(21, State.MEASURED, np.uint8),
            shape_xyz=shape,
        )
        return Instance(
            keypoints,
            0.9,
            "fake",
            side=Side.RIGHT,
            side_score=0.9,
            track_id=track_id,
            track_state=TrackState.CONFIRMED,
            track_age_s=3.0,
        )

    def frame(self, *instances: Instance, back_s: float = 0.0) -> None:
        """An image with these hands; the robot reports where it is."""
        self.report()
        self.pipeline.instances = instances
        now_ns = self.graph.observer.get_clock().now().nanoseconds - round(1e9 * back_s)
        self.camera.process(self.camera.image(stamp_ns=now_ns))
        time.sleep(0.005)

    def report(self) -> None:
        if self.alive:
            sent = self.commands.messages
            position = list(sent[-1].position) if sent else self.start_joints.tolist()
            self.robot.publish(JointState(name=NAMES, position=position))

    def show(self, joints: np.ndarray, until: Callable[[], bool], what: str, **hand: Any) -> None:
        """Images of this hand until something has happened."""
        deadline_s = time.monotonic() + 40.0
        while not until():
            self.frame(self.instance(joints, **hand))
            assert time.monotonic() < deadline_s, f"no {what}; state: {self.state}"

    def clutch(self, closed: bool) -> Any:
        return self.graph.call(SetBool, "retarget_node/clutch", SetBool.Request(data=closed))

    def follow(self, joints: np.ndarray, **hand: Any) -> None:
        self.show(joints, lambda: self.clutch(True).success, "closed clutch", **hand)
        self.show(joints, lambda: self.state == "following", "following", **hand)

    def last(self) -> np.ndarray:
        return np.array(self.commands.messages[-1].position)

    def check(self) -> None:
        """No jump and no excess in any command: each step is a velocity times a time, the velocity
        is within its limit, its change within the acceleration's, and the times do not add up to
        more than passed.
        """
        messages = self.commands.messages
        path = np.array([message.position for message in messages])
        speed = np.array([message.velocity for message in messages])
        stamps = np.array([m.header.stamp.sec + 1e-9 * m.header.stamp.nanosec for m in messages])
        assert np.abs(path[0] - self.start_joints).max() < 1e-9
        assert np.abs(speed).max() <= VELOCITY + 1e-9
        steps, before, total_s = np.diff(path, axis=0), speed[0], 0.0
        for step, now in zip(steps, speed[1:], strict=True):
            fastest = np.abs(now).argmax()
            dt_s = step[fastest] / now[fastest] if now[fastest] else 0.0
            assert -1e-9 <= dt_s <= MAX_STEP_S + 1e-6
            np.testing.assert_allclose(step, now * dt_s, atol=1e-9)
            if dt_s:
                assert (np.abs(now - before) <= ACCELERATION * dt_s + 1e-6).all()
            before, total_s = now, total_s + dt_s
        assert total_s <= stamps[-1] - stamps[0] + 0.3  # the stamp is taken after the step


def start(graph: Any, **parameters: Any) -> RetargetNode:
    node = RetargetNode(
        namespace=graph.namespace,
        context=graph.context,
        use_global_arguments=False,
        parameter_overrides=[Parameter(n, value=v) for n, v in parameters.items()],
    )
    autostart(node)
    graph.spin(node)
    return node


@pytest.fixture
def rig(graph: Any, camera: Any, fakes: list[Any], tmp_path: Path) -> Rig:
    return Rig(graph, camera, fakes, tmp_path)


def test_the_robot_reaches_the_operators_pose_and_nothing_moves_before_the_clutch_closes(rig):
    rig.start()
    for _ in range(5):
        rig.frame(rig.instance(FIST))
    assert rig.commands.messages == []
    rig.follow(FIST)
    rig.show(FIST, lambda: np.abs(rig.last() - FIST).max() < 0.02, "arrival at the pose")
    rig.check()


@pytest.mark.timeout(180)
def test_whatever_happens_no_command_jumps_or_exceeds_speed_or_acceleration(rig, monkeypatch):
    rig.start()
    rig.show(OPEN, lambda: rig.clutch(True).success, "closed clutch")
    rig.show(OPEN, lambda: rig.state == "following", "following")
    rng = np.random.default_rng(0)
    # Fast motion with dropped frames.
    for number in range(40):
        if rng.random() < 0.3:
            rig.report()
            time.sleep(0.02)
        else:
            rig.frame(rig.instance(FIST if number // 4 % 2 else OPEN))
    # Joints that are NaN: the index finger holds, the thumb follows.
    rig.show(OPEN, lambda: np.abs(rig.last() - OPEN).max() < 0.05, "an open hand")
    held = rig.last()[2:]
    rig.show(FIST, lambda: abs(rig.last()[0] - FIST[0]) < 0.05, "a bent thumb", lost=(6, 7, 8))
    assert np.abs(rig.last()[2:] - held).max() < 0.06
    # A lost hand: hold, and come back slowly.
    while not rig.state.startswith("holding: hand 3 is not in view"):
        rig.frame()
    rig.show(OPEN, lambda: rig.state == "following", "following again")
    # Another id in its place is not followed until the clutch closes again.
    want = "holding: hand 3 is not in view; hand 9 is in view: close the clutch again"
    rig.show(FIST, lambda: rig.state.startswith(want), want, track_id=9)
    rig.follow(FIST, track_id=9)
    # More than half a second without images.
    silent = "holding: no skeletons arrive: is the pose node running?"
    rig.graph.wait_for(lambda: rig.report() or rig.state == silent, silent)
    rig.show(OPEN, lambda: rig.state == "following", "following again", track_id=9)
    # Half a second in which the node itself does nothing.
    solve, stalls = LeastSquares.__call__, [0.5]

    def slow(self: Any, *arguments: Any) -> Any:
        if stalls:
            time.sleep(stalls[0])
            stalls.clear()
        return solve(self, *arguments)

    monkeypatch.setattr(LeastSquares, "__call__", slow)
    rig.show(FIST, lambda: not stalls and rig.state == "following", "following", track_id=9)
    # A stamp that jumps back: tracking restarts, and its ids mean nothing any more.
    rig.frame(rig.instance(OPEN, track_id=9), back_s=8.0)
    rig.show(OPEN, lambda: "tracking restarted" in rig.state, "restart", track_id=9)
    still = rig.last()
    for _ in range(10):
        rig.frame(rig.instance(FIST, track_id=9))
    assert np.abs(rig.last() - still).max() < 0.2
    rig.follow(OPEN, track_id=9)
    # The clutch opens in full motion.
    for _ in range(6):
        rig.frame(rig.instance(FIST, track_id=9))
    assert rig.clutch(False).success
    rig.show(FIST, lambda: rig.state.startswith("released"), "release", track_id=9)
    rig.check()


def test_an_old_image_and_one_of_the_future_are_not_followed(rig):
    rig.start()
    for back_s, words in (
        (5.0, "s old (max_age is 2 s)"),
        (-2.0, "ahead of this machine's"),
    ):
        rig.frame(rig.instance(OPEN), back_s=back_s)
        rig.graph.wait_for(lambda words=words: words in rig.state, words)
        assert not rig.clutch(True).success


def test_the_clutch_refuses_and_says_why_while_something_is_missing(rig):
    rig.start(deadman=True)
    rig.alive = False
    rig.frame(rig.instance(OPEN))
    answer = rig.clutch(True)
    assert not answer.success and "has not reported all of its joints" in answer.message
    rig.alive = True
    rig.frame(rig.instance(OPEN))
    answer = rig.clutch(True)
    assert not answer.success and "the dead man's switch is silent" in answer.message
    assert "the dead man's switch is silent" in rig.state
    rig.switch.publish(Bool(data=True))
    rig.frame()
    rig.switch.publish(Bool(data=True))
    rig.frame()
    answer = rig.clutch(True)
    assert not answer.success and "no right hand is in view" in answer.message
    assert rig.commands.messages == []


def test_letting_the_switch_go_stops_the_robot(rig):
    rig.start(deadman=True)

    def pressed(until: Callable[[], bool], what: str, joints: np.ndarray = OPEN) -> None:
        def check() -> bool:
            rig.switch.publish(Bool(data=True))
            return until()

        rig.show(joints, check, what)

    pressed(lambda: rig.clutch(True).success, "closed clutch")
    pressed(lambda: rig.state == "following", "following")
    pressed(lambda: rig.last()[0] > 0.4, "motion", FIST)
    rig.switch.publish(Bool(data=False))
    rig.show(FIST, lambda: rig.state == "holding: the dead man's switch is not pressed", "hold")
    rig.check()


def test_after_a_time_of_holding_the_robot_goes_to_the_safe_pose(rig):
    rig.start(safe_pose="open", safe_pose_after=0.3)
    rig.follow(FIST)
    rig.graph.wait_for(
        lambda: rig.report() or rig.state.startswith("in the safe pose"), "the safe pose"
    )
    assert np.abs(rig.last()).max() < 0.01
    rig.check()


def test_deactivating_brakes_before_commands_end(rig):
    rig.start()
    rig.follow(OPEN)
    rig.show(FIST, lambda: rig.commands.messages[-1].velocity[0] > 0.5, "motion")
    rig.node.trigger_deactivate()
    rig.graph.wait_for(lambda: not any(rig.commands.messages[-1].velocity), "rest")
    rig.check()


def test_commands_are_there_as_an_array_for_ros2_control(rig):
    arrays = rig.graph.listen(Float64MultiArray, "retarget_node/command_array")
    rig.start()
    rig.follow(OPEN)
    array = arrays.wait(lambda m: True, "an array")
    assert len(array.data) == 4


REFUSED = [
    ({"robot": ""}, "no robot is named: set the parameter 'robot'"),
    ({"robot": "nobody"}, "no robot of that name; it has: shadow"),
    ({"robot": "/nowhere/robot.yaml"}, "/nowhere/robot.yaml cannot be read"),
    ({"safe_pose": "fist"}, "has no pose of that name; it has: open"),
    ({"rate": 5.0}, "'rate': expected a number with a decimal point from 20 to 1000"),
]


@pytest.mark.parametrize(("parameters", "words"), REFUSED)
def test_what_cannot_be_used_is_refused_at_configuration_and_nothing_moves(rig, parameters, words):
    rig.start(**parameters)
    rig.graph.wait_for_log(words)
    state = rig.graph.call(GetState, "retarget_node/get_state", GetState.Request())
    assert state.current_state.label == "unconfigured"
    assert rig.state.startswith("unconfigured: configure refused: ")


def test_a_description_without_limits_is_refused_with_the_joints_name(rig):
    text = ROBOT["urdf"](limit="")
    (rig.path.parent / "hand.urdf").write_text(text)
    rig.start()
    rig.graph.wait_for_log("joint 'thumb' has no position limits")
    assert rig.commands.messages == []
