"""The node that makes a robot hand follow the operator's: skeletons go in, joint commands come out.

This module wires topics, the life cycle and parameters. Which hand is followed, what it means for
the robot and whether the robot may move is decided in retarget/.
"""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray, String
from std_srvs.srv import SetBool

from vitpose_ros.models.store import ModelStore
from vitpose_ros.msg import SkeletonArray
from vitpose_ros.parameters.retarget import RETARGET_TABLE, RetargetParameters
from vitpose_ros.retarget.factory import make_limiter, make_retargeter
from vitpose_ros.retarget.follower import HandFollower
from vitpose_ros.retarget.retargeter import Retargeter
from vitpose_ros.retarget.robot import Robot, load_robot
from vitpose_ros.retarget.safety import Command, Phase, Safety
from vitpose_ros.ros.declare import DeclaredParameters
from vitpose_ros.ros.robot_messages import (
    command_message,
    hand_from_message,
    measured_joints,
    retarget_status,
    times,
)
from vitpose_ros.ros.robots import robot_file
from vitpose_ros.ros.start import run_node
from vitpose_ros.ros.throttle import Throttle
from vitpose_ros.ros.transitions import RefusalError, refuse_impossible_requests, reported

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
CLOCK_TOLERANCE_S = 0.05
BRAKE_S = 2.0
"""The longest time that braking may take when the node is deactivated or ends."""


class RetargetNode(LifecycleNode):
    """Joint commands for a robot hand from skeletons.

    Subscribes to `skeletons`, `joint_states` and `deadman` (std_msgs/Bool). Publishes
    `joint_commands` (sensor_msgs/JointState), the same as numbers on `~/command_array`
    (std_msgs/Float64MultiArray, for ros2_control) while somebody subscribes, `~/state`
    (std_msgs/String, latched): what the robot does and why it does not move, and /diagnostics.
    The clutch is the service `~/clutch` (std_srvs/SetBool).
    """

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("retarget_node", **node_arguments)
        refuse_impossible_requests(self)
        self._declared = DeclaredParameters(self, RETARGET_TABLE)
        self._settings = RetargetParameters(**self._declared.values())
        self.add_on_set_parameters_callback(self._check_parameters)
        for name in self._declared.unknown():
            self.get_logger().warning(
                f"parameter '{name}' was given, but this node has no parameter of that name: "
                f"ros2 param list {self.get_fully_qualified_name()}"
            )
        self._phase, self._refusal, self._words = "unconfigured", "", ""
        self._robot: Robot | None = None
        self._retargeter: Retargeter | None = None
        self._safety: Safety | None = None
        self._follower: HandFollower | None = None
        self._entities: list[tuple[Any, Any]] = []
        self._throttle = Throttle(period_s=5.0)
        self._solved_s: deque[float] = deque(maxlen=300)
        self._age_s: deque[float] = deque(maxlen=300)
        self._sent = 0
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self._state = self.create_publisher(String, "~/state", LATCHED)
        self.create_timer(1.0, self._report, clock=self._steady)

    @property
    def autostart(self) -> bool:
        """Whether the node configures and activates itself."""
        return self._settings.autostart

    # --- life cycle

    @reported
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters and the robot; nothing moves."""
        if self._declared.problems:
            raise RefusalError("; ".join(self._declared.problems.values()))
        self._settings = settings = RetargetParameters(**self._declared.values())
        store = ModelStore(Path(settings.models_dir).expanduser() if settings.models_dir else None)
        self._robot = robot = load_robot(robot_file(settings.robot), store)
        safe = robot.safe_pose(settings.safe_pose) if settings.safe_pose else None
        self._retargeter = retargeter = make_retargeter(robot)
        self._safety = Safety(make_limiter(robot, retargeter), settings.safety(), safe)
        self._follower = HandFollower(robot.side, retargeter)
        self._become("inactive")
        side = robot.side.name.lower()
        self.get_logger().info(
            f"configured: {robot.name}, {len(robot.joints)} joints, follows a {side} hand by "
            f"{robot.kind}; dead man's switch {'required' if settings.deadman else 'off'}"
        )
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe, and offer the clutch; it is open."""
        made = self._entities
        self._commands = self.create_publisher(JointState, "joint_commands", 1)
        self._array = self.create_publisher(Float64MultiArray, "~/command_array", 1)
        made += [(self._commands, self.destroy_publisher), (self._array, self.destroy_publisher)]
        for kind, topic, callback, qos in (
            (SkeletonArray, "skeletons", self._on_skeletons, QoSProfile(depth=1)),
            (JointState, "joint_states", self._on_joint_states, NEWEST),
            (Bool, "deadman", self._on_deadman, NEWEST),
        ):
            made.append(
                (self.create_subscription(kind, topic, callback, qos), self.destroy_subscription)
            )
        made.append(
            (self.create_service(SetBool, "~/clutch", self._on_clutch), self.destroy_service)
        )
        timer = self.create_timer(1.0 / self._settings.rate, self._on_timer, clock=self._steady)
        made.append((timer, self.destroy_timer))
        self._become("active")
        self.get_logger().info(
            "active; nothing moves before the clutch closes: ros2 service call "
            f"{self.get_fully_qualified_name()}/clutch std_srvs/srv/SetBool '{{data: true}}'"
        )
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Brake, then end all commands."""
        self._stop()
        self._become("inactive")
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the robot."""
        self._release()
        self._become("unconfigured")
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Brake and release everything."""
        self._release()
        self._become("finalized")
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After an error outside our own code: unconfigured."""
        return self.on_cleanup(state)

    def refuse(self, reason: str) -> None:
        """Report why a transition was not made."""
        self._refusal = reason.splitlines()[0]
        command = f"ros2 lifecycle set {self.get_fully_qualified_name()}"
        self.get_logger().error(
            f"{reason}\nNothing moves. Once this is corrected: {command} configure, then: "
            f"{command} activate"
        )
        self._report()

    def undo(self, transition: str) -> None:
        """Release what a failed transition had acquired."""
        if transition == "configure":
            self._release()
        elif transition == "activate":
            self._stop()

    def _become(self, phase: str) -> None:
        self._phase, self._refusal = phase, ""
        self._report()

    def _stop(self) -> None:
        """Brake while commands still can be sent, then remove topics and the clutch."""
        if self._safety is not None and self._entities and self.context.ok():
            self._safety.release()
            end_s = time.monotonic() + BRAKE_S
            while time.monotonic() < end_s and self._safety.phase is not Phase.RELEASED:
                self._send(self._safety.tick(time.monotonic()))
                time.sleep(1.0 / self._settings.rate)
        for entity, destroy in self._entities:
            destroy(entity)
        self._entities = []

    def _release(self) -> None:
        self._stop()
        if self._retargeter is not None:
            self._retargeter.close()
        self._robot = self._retargeter = self._safety = self._follower = None

    def destroy_node(self) -> None:
        """Brake before the topics go."""
        with contextlib.suppress(RuntimeError):  # the context may be gone already
            self._release()
        super().destroy_node()

    # --- parameters

    def _check_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        configured = self._robot is not None
        changed, reason = self._declared.preview(changes, configured=configured)
        return SetParametersResult(successful=changed is not None, reason=reason)

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Set parameters, all or none."""
        result = super().set_parameters_atomically(parameter_list)
        if result.successful:
            self._declared.accept(parameter_list)
            self._settings = RetargetParameters(**self._declared.values())
        return result

    def set_parameters(self, parameter_list: list[Parameter]) -> list[SetParametersResult]:
        """Set parameters one by one."""
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    # --- inputs

    def _on_deadman(self, message: Bool) -> None:
        if self._safety is not None:
            self._safety.press(bool(message.data), time.monotonic())

    def _on_joint_states(self, message: JointState) -> None:
        if self._robot is not None and self._safety is not None:
            joints = measured_joints(message, self._robot)
            if joints is not None:
                self._safety.measure(joints, time.monotonic())

    def _on_clutch(self, request: Any, response: Any) -> Any:
        safety, follower, retargeter = self._safety, self._follower, self._retargeter
        if safety is None or follower is None or retargeter is None:
            response.success, response.message = False, f"the node is {self._phase}"
            return response
        if not request.data:
            safety.release()
            follower.choice.release()
            response.success, response.message = True, "the clutch is open"
            return response
        now_s = time.monotonic()
        problem = safety.engage_problem(now_s)
        result = problem or follower.latch()
        if isinstance(result, str):
            problem = result
        else:
            safety.follow(result, now_s)
            problem = safety.engage(now_s)
            retargeter.reset(safety.position)
        self._on_timer()
        response.success = not problem
        response.message = (
            f"refused: {problem}" if problem else f"closed: hand {follower.choice.track_id}"
        )
        self.get_logger().info(f"clutch: {response.message}")
        return response

    def _on_skeletons(self, message: SkeletonArray) -> None:
        received_s = time.monotonic()
        safety, follower = self._safety, self._follower
        if safety is None or follower is None:
            return
        stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        age_s = 1e-9 * (self.get_clock().now().nanoseconds - stamp_ns)
        if message.reset:  # also when the image is too old
            follower.restart()
        if problem := self._age_problem(age_s):
            safety.lose(problem, received_s)
        else:
            try:
                predicted = message.prediction_horizon > 0
                hands = [hand_from_message(one, predicted) for one in message.skeletons]
                result = follower.see(stamp_ns, hands)
            except Exception as error:  # noqa: BLE001 - the robot must be held, whatever it is
                result = f"the skeletons cannot be used: {error}"
                log = self.get_logger().error
                self._throttle.say(log, "failed", f"{result}\n{traceback.format_exc()}")
            if isinstance(result, str):
                safety.lose(result, received_s)
            else:
                safety.follow(result, received_s)
        self._send(safety.tick(time.monotonic()))
        self._solved_s.append(time.monotonic() - received_s)
        self._age_s.append(1e-9 * (self.get_clock().now().nanoseconds - stamp_ns))

    def _age_problem(self, age_s: float) -> str:
        if age_s > self._settings.max_age:
            return (
                f"the skeletons are {age_s:.2f} s old (max_age is {self._settings.max_age:g} s): "
                "is this machine overloaded, or are clocks not synchronised?"
            )
        if age_s < -CLOCK_TOLERANCE_S:
            return (
                f"the skeletons' stamps are {-age_s:.2f} s ahead of this machine's time: "
                "synchronise the clocks, or check use_sim_time"
            )
        return ""

    # --- outputs

    def _on_timer(self) -> None:
        if self._safety is not None and self._retargeter is not None:
            self._retargeter.watch()
            self._send(self._safety.tick(time.monotonic()))

    def _send(self, command: Command) -> None:
        if self._robot is not None and command.position is not None:
            stamp = self.get_clock().now().to_msg()
            message = command_message(command, self._robot, stamp)
            self._commands.publish(message)
            if self._array.get_subscription_count() > 0:
                self._array.publish(Float64MultiArray(data=message.position))
            self._sent += 1
        self._tell(command.words)

    def _tell(self, words: str) -> None:
        """Publish the state when it has changed."""
        if words == self._words:
            return
        self._words = words
        self._state.publish(String(data=words))
        kind = "".join(letter for letter in words if not letter.isdecimal())
        self._throttle.say(self.get_logger().info, kind, words)

    def _report(self) -> None:
        """Publish the status: once a second, on steady time."""
        if self._phase != "active":
            reason = self._refusal or "the node is not active"
            self._tell(f"{self._phase}: {reason}")
        follower = self._follower
        details = {
            "robot": self._robot.name if self._robot else "none",
            "retargeter": self._robot.kind if self._robot else "none",
            "hand": str(follower.choice.track_id) if follower else "none",
            "commands sent": str(self._sent),
            **times("skeletons to command (ms)", self._solved_s),
            **times("image to command (ms)", self._age_s),
        }
        phase = self._safety.phase if self._phase == "active" and self._safety else None
        name = self.get_fully_qualified_name()
        status = retarget_status(name, phase, self._words, bool(self._refusal), details)
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the node until the process is asked to end; it brakes first."""
    return run_node(RetargetNode, arguments)


if __name__ == "__main__":
    sys.exit(main())
