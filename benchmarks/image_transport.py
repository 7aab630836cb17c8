"""How many images of a 30 Hz camera reach a best-effort subscriber in another process, and when.

A publisher and a subscriber, both in Python, run in separate processes with the quality of service
of `pose_node` (best effort, keep last, depth 1): with the shipped Fast DDS profile
(config/fastdds.xml), and with Fast DDS's default transports.

Images are numbered and counted from the first one received to the last one published: images sent
before both had discovered each other are not lost. Latency is from the stamp, set just before the
image is copied into the message, to the subscriber's callback.

JSON: shipped and default, each {"640x480": delivered, "1280x720": ..., "1920x1080": ...}, 0 .. 1.
"""

from __future__ import annotations

import argparse
import array
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from common import machine, parser, report, write_json

RATE_HZ = 30.0
SIZES = ("640x480", "1280x720", "1920x1080")
PROFILE = Path(__file__).resolve().parent.parent / "config" / "fastdds.xml"
MATCH_TIMEOUT_S = 20.0
TOPIC = "image_transport_benchmark"


@dataclass(frozen=True)
class Outcome:
    """The figures of a run."""

    delivered: float
    published: int
    received: int
    latency_ms: float
    longest_gap_ms: float


def publish(size: str, frames: int, depth: int) -> None:
    """Publish ``frames`` numbered images at 30 Hz to a subscriber; print how many."""
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image

    width, height = (int(part) for part in size.split("x"))
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    rclpy.init()
    node = rclpy.create_node("image_source")
    qos = QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = node.create_publisher(Image, TOPIC, qos)
    deadline = time.monotonic() + MATCH_TIMEOUT_S
    while publisher.get_subscription_count() == 0:
        if time.monotonic() > deadline:
            raise SystemExit(f"no subscriber found within {MATCH_TIMEOUT_S:.0f} s")
        rclpy.spin_once(node, timeout_sec=0.02)
    message = Image(height=height, width=width, encoding="bgr8", step=3 * width)
    start = time.monotonic()
    for number in range(frames):
        pause = start + number / RATE_HZ - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        stamp = time.time_ns()
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 1_000_000_000)
        message.header.frame_id = str(number)
        data = array.array("B")
        # Only this is fast on every distribution: rclpy checks an ndarray or bytes byte by byte.
        data.frombytes(pixels.data.cast("B"))
        message.data = data
        publisher.publish(message)
    print(json.dumps({"published": frames, "seconds": time.monotonic() - start}), flush=True)
    # The last images are in shared memory that this process owns: wait until the parent ends it.
    sys.stdin.read()


def subscribe(frames: int, depth: int) -> None:
    """Record number, stamp and arrival time of every image until the parent writes to stdin."""
    import select

    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image

    arrivals: list[tuple[int, int, int]] = []

    def on_image(message: Image) -> None:
        now = time.time_ns()
        np.frombuffer(message.data, np.uint8)
        stamp = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        arrivals.append((int(message.header.frame_id), stamp, now))

    rclpy.init()
    node = rclpy.create_node("image_sink")
    qos = QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.create_subscription(Image, TOPIC, on_image, qos)
    executor = rclpy.executors.SingleThreadedExecutor()
    executor.add_node(node)
    while not select.select([sys.stdin], [], [], 0)[0]:
        executor.spin_once(timeout_sec=0.1)
        if arrivals and arrivals[-1][0] == frames - 1:
            break
    print(json.dumps(arrivals), flush=True)
    node.destroy_node()
    rclpy.try_shutdown()


def measure(size: str, profile: Path | None, frames: int, depth: int) -> Outcome:
    """Run both processes once."""
    env = {name: value for name, value in os.environ.items() if "DEFAULT_PROFILES" not in name}
    if profile is not None:
        env["FASTRTPS_DEFAULT_PROFILES_FILE"] = env["FASTDDS_DEFAULT_PROFILES_FILE"] = str(profile)
    env["RMW_IMPLEMENTATION"] = "rmw_fastrtps_cpp"
    env.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    env.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))

    def start(role: str) -> subprocess.Popen[str]:
        command = [sys.executable, __file__, "--role", role, "--sizes", size]
        command += ["--frames", str(frames), "--depth", str(depth)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True)

    with start("subscriber") as sink, start("publisher") as source:
        try:
            assert source.stdout is not None
            if not source.stdout.readline():
                raise SystemExit("the publisher ended before it published; see its error above")
            # Images that did not arrive within a second after the last one was published are lost.
            try:
                arrivals, _ = sink.communicate(timeout=1.0)
            except subprocess.TimeoutExpired:
                arrivals, _ = sink.communicate(input="stop\n", timeout=10.0)
        finally:
            source.terminate()
            for process in (sink, source):
                if process.poll() is None:
                    process.kill()
    return evaluate(json.loads(arrivals), frames)


def evaluate(arrivals: list[list[int]], frames: int) -> Outcome:
    """Compute the figures from the number, stamp and arrival (ns) of each image."""
    if not arrivals:
        return Outcome(0.0, frames, 0, float("nan"), float("nan"))
    numbers = sorted({number for number, _, _ in arrivals})
    stamps = sorted(stamp for _, stamp, _ in arrivals)
    published = frames - numbers[0]
    gaps = [(late - early) / 1e6 for early, late in pairwise(stamps)]
    gaps.append((frames - 1 - numbers[-1]) * 1000.0 / RATE_HZ)  # lost images at the end
    return Outcome(
        delivered=len(numbers) / published,
        published=published,
        received=len(numbers),
        latency_ms=median((arrival - stamp) / 1e6 for _, stamp, arrival in arrivals),
        longest_gap_ms=max(gaps),
    )


def parse() -> argparse.Namespace:
    """Read the command line."""
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=5.0, help="for each size and profile")
    options.add_argument("--sizes", nargs="+", default=list(SIZES), metavar="WxH")
    options.add_argument("--depth", type=int, default=1, help="of both ends' queues")
    options.add_argument("--profile", type=Path, default=PROFILE, help="Fast DDS profile to use")
    options.add_argument("--role", choices=("publisher", "subscriber"), help=argparse.SUPPRESS)
    options.add_argument("--frames", type=int, help=argparse.SUPPRESS)
    return options.parse_args()


def main() -> None:
    """Measure and report."""
    options = parse()
    if options.role == "publisher":
        return publish(options.sizes[0], options.frames, options.depth)
    if options.role == "subscriber":
        return subscribe(options.frames, options.depth)
    frames = round(options.seconds * RATE_HZ)
    figures: dict[str, Any] = {"shipped": {}, "default": {}}
    rows = []
    for size in options.sizes:
        for name, profile in (("shipped", options.profile), ("default", None)):
            outcome = measure(size, profile, frames, options.depth)
            figures[name][size] = round(outcome.delivered, 4)
            received = f"{outcome.received} of {outcome.published}"
            share = f"{100 * outcome.delivered:.1f}"
            rows.append([size, name, received, share, outcome.latency_ms, outcome.longest_gap_ms])
    report(
        f"bgr8 images at {RATE_HZ:.0f} Hz, best effort, depth {options.depth}, between two "
        f"processes ({machine()})",
        ["size", "profile", "received", "delivered [%]", "median latency [ms]", "longest gap [ms]"],
        rows,
    )
    write_json(options.json, figures)
    return None


if __name__ == "__main__":
    main()
