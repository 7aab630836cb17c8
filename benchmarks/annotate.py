"""How fast `vitpose_ros annotate` is, beside what limits it: the decoder alone, the pipeline alone
on decoded images, and a plain loop of MediaPipe's Hands over the same images, in one run. The file
is the real video of ../shared/data/real (or VITPOSE_ROS_TEST_DATA) where it is, else rendered
hands; it is read as a video, and as a bag of JPEGs.

JSON, for `video` and `bag`: images/s of `decoder`, `pipeline`, `annotate` and `workers` (two
processes and two copies of the file, their start included); and `share`, annotate over the slower
of decoder and pipeline. `mediapipe`: images/s of its loop, decoding included. Target: `share` at
least 0.9.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from _mediapipe_peer import MediaPipe, data_folder, mediapipe_python
from common import machine, parser, report, write_json

from vitpose_ros.factory import load_pipeline
from vitpose_ros.models.store import ModelStore
from vitpose_ros.offline.bag import Bag, BagSource, ImageSettings
from vitpose_ros.offline.bag_types import COMPRESSED_IMAGE, typestore
from vitpose_ros.offline.batch import run_workers
from vitpose_ros.offline.files import VideoSource
from vitpose_ros.offline.items import Item, find_items
from vitpose_ros.offline.job import FAILED, Annotator, Job, Outcome
from vitpose_ros.offline.source import Source
from vitpose_ros.parameters.file import load_parameters
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.types import ByteArray

RUNS = 3
"""The best of so many runs counts, of everything: others may use the machine."""

RATE_HZ = 30.0


class Silent:
    """Watches a run without a word, and ends it where an item failed."""

    def say(self, text: str) -> None:
        """Nothing."""

    def progress(self, item: Item, done: int, expected: int | None) -> None:
        """Nothing."""

    def ended(self, item: Item, outcome: Outcome) -> None:
        """Stop at a failure."""
        if outcome.status == FAILED:
            raise SystemExit(f"{item.name}: {'; '.join(outcome.notes)}")


def read_images(count: int) -> tuple[list[ByteArray], str]:
    """BGR images, and what they are."""
    video = data_folder() / "real" / "forearm.mp4"
    if video.is_file():
        shots = VideoSource(video, 50.0)
        images = [shot.frame.image for shot, _ in zip(shots, range(count), strict=False)]
        return images, "real"
    scene = Scene("reach", seed=1)
    return [scene.render(i / RATE_HZ).image for i in range(count)], "rendered"


def make_video(path: Path, images: Sequence[ByteArray]) -> None:
    """H.264, as phones write it."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=round(RATE_HZ))
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "18", "preset": "veryfast"}
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
        container.mux(stream.encode())


def make_bag(path: Path, images: Sequence[ByteArray]) -> None:
    """A bag of compressed images."""
    from rosbags.rosbag2 import StoragePlugin, Writer

    types, store = typestore().types, typestore()
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = writer.add_connection("/image/compressed", COMPRESSED_IMAGE, typestore=store)
        for number, image in enumerate(images):
            stamp_ns = 10**18 + round(number * 1e9 / RATE_HZ)
            stamp = types["builtin_interfaces/msg/Time"](stamp_ns // 10**9, stamp_ns % 10**9)
            message = types[COMPRESSED_IMAGE](
                header=types["std_msgs/msg/Header"](stamp, "camera"),
                format="jpeg",
                data=np.asarray(cv2.imencode(".jpg", image)[1]).ravel(),
            )
            writer.write(topic, stamp_ns, store.serialize_cdr(message, COMPRESSED_IMAGE))


def rate(count: int, work: Callable[[], object]) -> float:
    """Images per second of the fastest of RUNS."""
    times = []
    for _ in range(RUNS):
        begun_s = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun_s)
    return count / min(times)


def measure(name: str, path: Path, source: Source, folder: Path, count: int) -> dict[str, float]:
    """The figures of one file."""
    job = Job(folder / f"{name}_out", load_parameters(None), overwrite=True)
    (item,) = find_items([path], job.out)
    annotator, silent = Annotator(job), Silent()
    copies = [Item(path, f"copy{i}", item.kind) for i in range(2)]
    frames = [shot.frame for shot in source]
    pipeline = load_pipeline(ModelStore())

    def alone() -> None:
        pipeline.reset()
        for frame in frames:
            pipeline(frame)

    figures = {
        "decoder": rate(count, lambda: [None for _ in source]),
        "pipeline": rate(count, alone),
        "annotate": rate(count, lambda: silent.ended(item, annotator(item))),
        "workers": rate(2 * count, lambda: run_workers(copies, job, silent, 2)),
    }
    figures["share"] = figures["annotate"] / min(figures["decoder"], figures["pipeline"])
    return figures


def mediapipe_rate(images: Sequence[ByteArray], decoder: float, folder: Path) -> float:
    """Images per second of decoding and MediaPipe's Hands, one after the other."""
    python = mediapipe_python(None)
    peer = MediaPipe(python, "_mediapipe_hands.py", folder)
    try:
        seconds = min(
            float(peer.find(images, static=False, complexity=1)["seconds"].sum())
            for _ in range(RUNS)
        )
    finally:
        peer.close()
    return 1.0 / (1.0 / decoder + seconds / len(images))


def main() -> int:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--images", type=int, default=120, metavar="N", help="images (120)")
    options.add_argument("--no-mediapipe", action="store_true", help="leave its loop out")
    given = options.parse_args()
    images, kind = read_images(given.images)
    folder = Path(tempfile.mkdtemp(prefix="vitpose_ros_annotate_"))
    try:
        make_video(folder / "take.mp4", images)
        make_bag(folder / "take_bag", images)
        bag = Bag(folder / "take_bag", folder)
        sources: dict[str, tuple[Path, Source]] = {
            "video": (folder / "take.mp4", VideoSource(folder / "take.mp4", 50.0)),
            "bag": (
                folder / "take_bag",
                BagSource(bag, ImageSettings("", "", 50.0, "auto", input_mirrored=False)),
            ),
        }
        figures: dict[str, object] = {}
        rows: list[list[object]] = []
        decoder = 0.0
        for name, (path, source) in sources.items():
            found = measure(name, path, source, folder, len(images))
            figures[name], decoder = found, found["decoder"]
            rows.append([name, *found.values()])
        if not given.no_mediapipe:
            loop = mediapipe_rate(images, decoder, folder)
            figures["mediapipe"] = loop
            rows.append(["MediaPipe's loop (bag)", None, None, loop, None, None])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    size = f"{images[0].shape[1]}x{images[0].shape[0]}"
    report(
        f"{len(images)} {kind} images of {size}, images/s ({machine()})",
        ("", "decoder", "pipeline", "annotate", "2 workers", "share"),
        rows,
    )
    write_json(given.json, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
