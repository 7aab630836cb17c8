"""What the ROS node adds to the pipeline: time per image, memory, and the time until it is active.

The real `pose_node` runs in its own process, with default parameters. This process publishes a
rendered clip with two hands at 30 Hz (640x480, bgr8; rendered in advance) and reads the node's
/diagnostics. Overhead is the time from receipt of an image to publication of its skeletons, minus
the pipeline's time. Memory is the process's resident set after the run, including shared pages. The
start time is from the launch of the process until it logs that it is active, with models on disk.

Beside it runs `retarget_node` with the Shadow Hand. This process is its robot, which is always
where it was commanded to be. The time from an image's stamp to its joint command is measured in
retarget_node, that to its skeletons in pose_node.

JSON: overhead_ms_p50, overhead_ms_p95, rss_mb, start_s; also inference_ms_p50, latency_ms_p50
(from the stamp to the skeletons' arrival in this process), processed and published;
image_to_skeletons_ms_p50, image_to_command_ms_p50, command_over_skeletons_ms_p50 (their
difference), skeletons_to_command_ms_p50 (in retarget_node alone), retarget_rss_mb.
"""

from __future__ import annotations

import argparse
import array
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import rclpy
from common import machine, parser, report, write_json
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import SetBool

from vitpose_ros.msg import SkeletonArray
from vitpose_ros.retarget.robot import RobotError, load_robot
from vitpose_ros.synthetic.scene import Scene

ROBOT = Path(__file__).resolve().parent.parent / "config" / "robots" / "shadow.yaml"
RATE_HZ = 30.0
SIZE = (640, 480)
CLIP_IMAGES = 150
START_TIMEOUT_S = 30.0


class Probe(Node):
    """Publishes the clip and listens to the node."""

    def __init__(self) -> None:
        super().__init__("node_overhead")
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.images = self.create_publisher(Image, "image", qos)
        self.status: dict[str, str] = {}
        self.latencies_s: list[float] = []
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.create_subscription(SkeletonArray, "skeletons", self._on_skeletons, 10)
        self.robot_status: dict[str, str] = {}
        self._robot = load_robot(ROBOT)
        self._position = [0.0] * len(self._robot.joints)
        self._joints = self.create_publisher(JointState, "joint_states", qos)
        self.create_subscription(JointState, "joint_commands", self._on_command, 1)
        self._clutch = self.create_client(SetBool, "retarget_node/clutch")
        self.create_timer(0.05, self._be_robot)

    def _on_command(self, message: JointState) -> None:
        self._position = list(message.position)

    def _be_robot(self) -> None:
        names = [joint.state for joint in self._robot.joints]
        self._joints.publish(JointState(name=names, position=self._position))
        if self.robot_state.startswith("released") and self._clutch.service_is_ready():
            self._clutch.call_async(SetBool.Request(data=True))

    @property
    def robot_state(self) -> str:
        """What retarget_node says that the robot does."""
        return self.robot_status.get("message", "")

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            if "commands sent" in values:
                self.robot_status = {**values, "message": status.message}
            else:
                self.status = values

    def _on_skeletons(self, message: SkeletonArray) -> None:
        stamp = message.header.stamp
        now_ns = self.get_clock().now().nanoseconds
        self.latencies_s.append(1e-9 * now_ns - stamp.sec - 1e-9 * stamp.nanosec)


def start_node(
    command: Sequence[str] = ("pose_node",), active: str = "active: waiting for images"
) -> tuple[subprocess.Popen[str], float]:
    """Start a node; return it and the seconds until it logged that it is active."""
    begun = time.monotonic()
    process = subprocess.Popen(
        list(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if active in line:
            return process, time.monotonic() - begun
        if "Once this is corrected" in line or time.monotonic() - begun > START_TIMEOUT_S:
            break
    process.send_signal(signal.SIGINT)
    raise SystemExit(f"{command[0]} did not become active:\n" + "".join(said))


def clip() -> list[array.array[int]]:
    """Return the pixels of a rendered clip, in the form that rclpy accepts fastest."""
    scene = Scene(width=SIZE[0], height=SIZE[1])
    pixels = []
    for number in range(CLIP_IMAGES):
        data = array.array("B")
        data.frombytes(scene.render(number / RATE_HZ).image.data.cast("B"))
        pixels.append(data)
    return pixels


def play(probe: Probe, pixels: list[array.array[int]], count: int) -> None:
    """Publish `count` images of the clip at 30 Hz, back and forth so that no hand jumps."""
    message = Image(width=SIZE[0], height=SIZE[1], encoding="bgr8", step=3 * SIZE[0])
    there_and_back = [*range(len(pixels)), *reversed(range(len(pixels)))]
    begin = time.monotonic()
    for number in range(count):
        due = begin + number / RATE_HZ
        while (left := due - time.monotonic()) > 0:
            rclpy.spin_once(probe, timeout_sec=left)
        message.header.stamp = probe.get_clock().now().to_msg()
        message.data = pixels[there_and_back[number % len(there_and_back)]]
        probe.images.publish(message)


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process, MB."""
    with open(f"/proc/{pid}/status") as status:
        found = re.search(r"VmRSS:\s+(\d+) kB", status.read())
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def measure(seconds: float, starts: int) -> dict[str, Any]:
    """Return all figures of a run."""
    pixels = clip()
    rclpy.init()
    probe = Probe()
    start_s = []
    retarget, _ = start_node(
        ("retarget_node", "--ros-args", "-p", f"robot:={ROBOT}", "-p", "deadman:=false"),
        "active; nothing moves",
    )
    try:
        for attempt in range(starts):
            process, took_s = start_node()
            start_s.append(took_s)
            if attempt < starts - 1:
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=10)
        while probe.images.get_subscription_count() == 0:
            rclpy.spin_once(probe, timeout_sec=0.05)
        published = round(seconds * RATE_HZ)
        play(probe, pixels, published)
        settle = time.monotonic() + 1.5  # until the node's next status, which covers all images
        while time.monotonic() < settle:
            rclpy.spin_once(probe, timeout_sec=0.1)
        rss_mb, retarget_mb = resident_mb(process.pid), resident_mb(retarget.pid)
    finally:
        for one in (process, retarget):
            one.send_signal(signal.SIGINT)
            one.communicate(timeout=10)
        probe.destroy_node()
        rclpy.try_shutdown()
    robot = probe.robot_status
    to_skeletons = float(probe.status["image age (ms) median"])
    to_command = float(robot["image to command (ms) median"])
    return {
        "image_to_skeletons_ms_p50": to_skeletons,
        "image_to_command_ms_p50": to_command,
        "command_over_skeletons_ms_p50": to_command - to_skeletons,
        "skeletons_to_command_ms_p50": float(robot["skeletons to command (ms) median"]),
        "retarget_rss_mb": retarget_mb,
        "commands_sent": int(robot["commands sent"]),
        "overhead_ms_p50": float(probe.status["overhead (ms) median"]),
        "overhead_ms_p95": float(probe.status["overhead (ms) p95"]),
        "inference_ms_p50": float(probe.status["inference (ms) median"]),
        "latency_ms_p50": 1e3 * median(probe.latencies_s),
        "rss_mb": rss_mb,
        "start_s": median(start_s),
        "processed": int(probe.status["processed"]),
        "published": published,
    }


def main() -> None:
    """Measure, print the table, write the figures."""
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=15.0, help="length of the run (15)")
    options.add_argument("--starts", type=int, default=3, help="starts of the node, median (3)")
    arguments: argparse.Namespace = options.parse_args()
    try:
        figures = measure(arguments.seconds, arguments.starts)
    except RobotError as error:
        raise SystemExit(str(error)) from error
    report(
        f"pose_node on a 640x480 camera at 30 Hz, two hands ({machine()})",
        ("", "measured", "at most"),
        [
            ("overhead per image, median, ms", figures["overhead_ms_p50"], 2.0),
            ("overhead per image, 95th percentile, ms", figures["overhead_ms_p95"], None),
            ("pipeline per image, median, ms", figures["inference_ms_p50"], None),
            ("stamp to skeletons' arrival, median, ms", figures["latency_ms_p50"], None),
            ("resident memory, MB", figures["rss_mb"], 400.0),
            ("start to active, s", figures["start_s"], 3.0),
            (
                "stamp to skeletons published, median, ms",
                figures["image_to_skeletons_ms_p50"],
                None,
            ),
            ("stamp to joint command, median, ms", figures["image_to_command_ms_p50"], None),
            ("  of it more than for the skeletons", figures["command_over_skeletons_ms_p50"], 2.0),
            ("  in retarget_node", figures["skeletons_to_command_ms_p50"], None),
            ("retarget_node's resident memory, MB", figures["retarget_rss_mb"], None),
            ("joint commands sent", figures["commands_sent"], None),
            ("images processed", figures["processed"], None),
            ("images published", figures["published"], None),
        ],
    )
    write_json(arguments.json, figures)


if __name__ == "__main__":
    main()
