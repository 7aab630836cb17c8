"""How `pose_node` takes malformed images over a long time.

The real node runs as a process of its own, first on raw images, then on compressed ones, each for
half of the time. This process publishes a rendered image with two hands at up to 60 Hz. Among the
good images, 10,000 in 36,000 are malformed, of the kinds in _malformed.py in turn. A good image has
to be answered, by skeletons with its stamp, before the next image is published; after 2 s it counts
as not answered. Skeletons with the stamp of a malformed image, or a second message with that of a
good one, are wrong.

Private memory, threads and file descriptors are read from /proc once a second. Private memory is
what the process has written: pages of libraries and files that it only reads become private or
shared as other processes map them, too, and are left out. Growth is that of the median of private
memory from the first to the last tenth of the time after the warm-up (a fifth
of each half); of both transports the greater.

JSON: crashes, wrong, answered_share, growth_percent; flat_s (for how long at the end private
memory stayed within 0.1 %: steps of the allocator leave such a time, a leak does not);
answered_hands_share (good images whose skeletons have both hands), threads_change and
descriptors_change (greatest less smallest number after the warm-up), kinds, malformed, refused,
good, rate_hz.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import rclpy
from _malformed import RAW, Change, compressed_kinds, compressed_message, raw_message
from common import machine, parser, report, write_json
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from vitpose_ros.msg import SkeletonArray
from vitpose_ros.synthetic.scene import Scene

MALFORMED_SHARE = 10_000 / 36_000
ANSWER_TIMEOUT_S = 2.0
START_TIMEOUT_S = 60.0
WARM_UP_SHARE = 0.2


@dataclass
class Figures:
    """What one transport showed."""

    crashes: int = 0
    good: int = 0
    answered: int = 0
    with_hands: int = 0
    malformed: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    seconds: float = 0.0
    samples: list[tuple[int, int, int]] = field(default_factory=list)

    def steady(self) -> list[tuple[int, int, int]]:
        """(private kB, threads, descriptors) after the warm-up."""
        return self.samples[int(WARM_UP_SHARE * len(self.samples)) :]

    def growth_percent(self) -> float:
        """Growth of private memory after the warm-up."""
        private = [sample[0] for sample in self.steady()]
        tenth = max(1, len(private) // 10)
        first, last = median(private[:tenth]), median(private[-tenth:])
        return 100 * (last - first) / first

    def flat_s(self) -> float:
        """For how long at the end private memory stayed within 0.1 % of its last value."""
        last = self.samples[-1][0]
        flat = 0
        for private, _, _ in reversed(self.samples):
            if abs(private - last) > 0.001 * last:
                break
            flat += 1
        return flat / len(self.samples) * self.seconds

    def change(self, column: int) -> int:
        """Greatest less smallest value after the warm-up."""
        values = [sample[column] for sample in self.steady()]
        return max(values) - min(values)


class Probe(Node):
    """Publishes images and listens to the node."""

    def __init__(self, kind: type, topic: str) -> None:
        super().__init__("endurance")
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.images = self.create_publisher(kind, topic, qos)
        self.answers: dict[int, int] = {}  # by stamp: hands of the newest message
        self.heard: Counter[int] = Counter()
        self.refused = 0
        self.create_subscription(SkeletonArray, "skeletons", self._on_skeletons, 50)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def _on_skeletons(self, message: SkeletonArray) -> None:
        stamp_ns = stamp_of(message)
        self.answers[stamp_ns] = len(message.skeletons)
        self.heard[stamp_ns] += 1

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            counts = [int(v) for k, v in values.items() if k.startswith("rejected")]
            if counts:
                self.refused = sum(counts)

    def stamp(self, message: Any) -> int:
        """Stamp a message with the time, and return it in ns."""
        message.header.stamp = self.get_clock().now().to_msg()
        return stamp_of(message)


def stamp_of(message: Any) -> int:
    """A message's stamp, ns."""
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)


def start_node(transport: str, log: Path) -> subprocess.Popen[bytes]:
    """Start pose_node and wait until it is active; its output goes to a file."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            ["pose_node", "--ros-args", "-p", f"image_transport:={transport}"],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while "active: waiting for images" not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise SystemExit(f"pose_node did not become active:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)
    return process


def sample(pid: int) -> tuple[int, int, int]:
    """Private memory in kB, threads and file descriptors of a process."""
    folder = Path(f"/proc/{pid}")
    private = sum(
        int(line.split()[1])
        for line in (folder / "smaps_rollup").read_text().splitlines()
        if line.startswith("Private_Dirty")
    )
    return private, len(list((folder / "task").iterdir())), len(list((folder / "fd").iterdir()))


def endure(
    transport: str,
    message: Any,
    kinds: dict[str, Change],
    seconds: float,
    rate_hz: float,
    log: Path,
) -> Figures:
    """Publish good and malformed images to a node of one transport."""
    figures, rng = Figures(), random.Random(11)
    turn = itertools.cycle(rng.sample(sorted(kinds), len(kinds)))
    kind, topic = (Image, "image") if transport == "raw" else (CompressedImage, "image/compressed")
    rclpy.init()
    probe = Probe(kind, topic)
    process = start_node(transport, log)
    bad: dict[int, str] = {}
    good: set[int] = set()
    try:
        spin_until(probe, lambda: probe.images.get_subscription_count() > 0, START_TIMEOUT_S)
        begun = due = sampled = time.monotonic()
        while time.monotonic() < begun + seconds:
            due = max(due + 1 / rate_hz, time.monotonic() - 1 / rate_hz)
            spin_until(probe, lambda: False, due - time.monotonic())
            if process.poll() is not None:
                figures.crashes += 1
                log = log.with_name(f"{log.stem}_{figures.crashes}.log")
                log.write_text("")
                process = start_node(transport, log)
            if time.monotonic() > sampled + 1.0:
                sampled = time.monotonic()
                figures.samples.append(sample(process.pid))
            if rng.random() < MALFORMED_SHARE:
                name = next(turn)
                malformed = copy.copy(message)
                malformed.header = copy.deepcopy(message.header)
                probe.stamp(malformed)
                kinds[name](malformed, rng)
                if stamp_of(malformed) not in good:
                    bad[stamp_of(malformed)] = name
                figures.malformed[name] += 1
                probe.images.publish(malformed)
                continue
            stamp_ns = probe.stamp(message)
            good.add(stamp_ns)
            probe.images.publish(message)
            figures.good += 1
            answered = spin_until(
                probe, partial(probe.answers.__contains__, stamp_ns), ANSWER_TIMEOUT_S
            )
            figures.answered += answered
            figures.with_hands += answered and probe.answers[stamp_ns] == 2
        figures.seconds = time.monotonic() - begun
        spin_until(probe, lambda: False, 1.5)  # until the node's next status
        figures.refused = probe.refused
        figures.crashes += process.poll() is not None
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
        probe.destroy_node()
        rclpy.try_shutdown()
    for stamp_ns, count in probe.heard.items():
        if stamp_ns in bad:
            figures.wrong[bad[stamp_ns]] += count
        elif count > 1:
            figures.wrong["answered twice"] += count - 1
    return figures


def spin_until(probe: Probe, done: Callable[[], bool], timeout_s: float) -> bool:
    """Handle what arrives until something is true or the time is over; whether it is true."""
    end = time.monotonic() + timeout_s
    while not done():
        left = end - time.monotonic()
        if left <= 0:
            return False
        rclpy.spin_once(probe, timeout_sec=left)
    return True


def main() -> None:
    """Measure, show, and write."""
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=600.0, help="length of the run (600)")
    options.add_argument("--rate", type=float, default=60.0, help="images per second (60)")
    options.add_argument("--logs", type=Path, metavar="FOLDER", help="keep the node's output there")
    arguments: argparse.Namespace = options.parse_args()
    image = Scene("still", seed=1).render(0.0).image
    folder = arguments.logs or Path(tempfile.mkdtemp(prefix="endurance_"))
    folder.mkdir(parents=True, exist_ok=True)
    runs = {}
    for transport, message, kinds in (
        ("raw", raw_message(image), RAW),
        ("compressed", compressed_message(image), compressed_kinds(image)),
    ):
        log = folder / f"{transport}.log"
        log.write_text("")
        runs[transport] = endure(
            transport, message, kinds, arguments.seconds / 2, arguments.rate, log
        )
    both = list(runs.values())
    good = sum(run.good for run in both)
    figures = {
        "crashes": sum(run.crashes for run in both),
        "wrong": sum(sum(run.wrong.values()) for run in both),
        "answered_share": sum(run.answered for run in both) / good,
        "answered_hands_share": sum(run.with_hands for run in both) / good,
        "growth_percent": max(run.growth_percent() for run in both),
        "flat_s": min(run.flat_s() for run in both),
        "threads_change": max(run.change(1) for run in both),
        "descriptors_change": max(run.change(2) for run in both),
        "kinds": sum(len(run.malformed) for run in both),
        "malformed": sum(sum(run.malformed.values()) for run in both),
        "refused": sum(run.refused for run in both),
        "good": good,
        "rate_hz": (good + sum(sum(run.malformed.values()) for run in both))
        / sum(run.seconds for run in both),
    }
    report(
        f"pose_node among malformed images, {arguments.seconds:.0f} s ({machine()})",
        ("", "raw", "compressed"),
        [
            ("good images", *(run.good for run in both)),
            ("answered", *(run.answered for run in both)),
            ("with both hands", *(run.with_hands for run in both)),
            ("malformed images", *(sum(run.malformed.values()) for run in both)),
            ("of kinds", *(len(run.malformed) for run in both)),
            ("refused", *(run.refused for run in both)),
            ("skeletons for them", *(sum(run.wrong.values()) for run in both)),
            ("crashes", *(run.crashes for run in both)),
            ("private memory, MB", *(run.samples[-1][0] / 1e3 for run in both)),
            ("its growth, %", *(run.growth_percent() for run in both)),
            ("flat at the end, s", *(run.flat_s() for run in both)),
            ("change of threads", *(run.change(1) for run in both)),
            ("change of descriptors", *(run.change(2) for run in both)),
        ],
    )
    for transport, run in runs.items():
        for name, count in run.wrong.items():
            print(f"{transport}: {count} skeleton messages for '{name}'")
    write_json(arguments.json, figures)
    if arguments.logs is None and not figures["crashes"]:
        shutil.rmtree(folder)
    else:
        print(f"output of the node: {folder}")


if __name__ == "__main__":
    main()
