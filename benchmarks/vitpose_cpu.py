"""ViTPose-S on the CPU: this package against transformers and rtmlib, same weights, same boxes.

All run the same network in turns, so that other load on the machine affects all of them. Each is
called as its users call it (transformers: processor, network, post-processing; rtmlib: its ViTPose
class on ONNX Runtime). 'Bare engine' runs the network alone.

The weights are random, since real ones need a model hub, but the head is solved so that one crop
gives smooth peaks. On these, joints are compared with the float32 reference: torch's maps of that
crop, decoded by the official recipe on whole maps in float64. The peaks are at least 8 pixels
inside the maps: nearer to the border the official recipe itself is biased.

This package runs in float32 and, where the CPU has the instructions, in a lower precision. That one
is used only after it passed the gate of `vitpose_ros.keypoints.agreement` on that crop; the figures
are then for it ('precision' says which), with the float32 rows beside them. A trained network has
fainter and broader maps. So the tiny ViTPose, the only trained one here, goes through the same gate
on rendered hands, and 'precision_trained' is the precision that it would run in. Where the two
differ, as on CPUs with bf16 but without fp16, the keys ending in '_fp32' say what to expect of a
trained network.

around_engine_ms is everything but the network for one person (crop, normalisation, decoding, joints
into the image), in CPU time on one core, with an engine that answers immediately.

JSON: vs_transformers, vs_rtmlib (both for 1 person), around_engine_ms, max_difference_px, and
precision, precision_trained, the same figures in float32, and the rows of the tables.
Targets: at least 3, at least 2, at most 1, at most 0.1.

Measured so far: on a CPU with AMX-FP16 all targets are met in fp16 (8.9 and 5.8 times, on a loaded
machine). On one with AVX-512 and bf16 but without fp16 (AMD EPYC, 2 cores) all are met in bf16,
which the gate accepts for this network: 18 ms, 4.1 times transformers and 2.05 times rtmlib, joints
within 0.075 px. There the trained network's largest difference on rendered hands is 0.15 to 0.7 px,
so the gate refuses bf16; fp32 takes 29 ms, 2.6 and 1.3 times (rtmlib's engine, ONNX Runtime, takes
35 ms against OpenVINO's 28). The whole network in bf16 would take 16 ms and move joints by 0.13 px.
Medians from a loaded machine mean little: compare runs with a load below 1.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from _environment import Peer, environment
from common import machine, parser, report, write_json

from vitpose_ros.engines.base import EngineError, Tensors
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.keypoints.agreement import SURE, compare
from vitpose_ros.keypoints.gate_crops import gate_crops
from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.keypoints.warp import (
    box_region,
    crop_region,
    crop_to_image,
    cut_crops,
    map_points,
)
from vitpose_ros.layouts import COCO17, HAND21
from vitpose_ros.types import ByteArray, Crop, FloatArray, Region

INSTALLS = (
    ("torch==2.13.0", "transformers==5.23.0", "onnx>=1.19", "onnxscript>=0.5", "tqdm", "pillow"),
    ("onnxruntime==1.31.1", "opencv-python-headless", "scipy"),
    ("--no-deps", "rtmlib==0.0.16"),
)
CHECK = (
    "import torch, transformers, onnxscript, onnxruntime, rtmlib, scipy\n"
    "assert torch.__version__.startswith('2.13.'), torch.__version__\n"
    "assert transformers.__version__ == '5.23.0', transformers.__version__\n"
)
PERSONS = (1, 4, 8)
PEERS = ("transformers", "rtmlib", "onnxruntime")
CODEC = HeatmapCodec()
TINY = Path(__file__).resolve().parents[1] / "assets" / "vitpose-tiny-synthetic" / "model.onnx"
Box = tuple[float, float, float, float]


class InstantEngine:
    """An engine that answers immediately with given maps."""

    name = "instant"

    def __init__(self, like: OpenVinoEngine, maps: FloatArray) -> None:
        self.inputs, self.outputs = like.inputs, like.outputs
        self._maps = maps

    def run(self, tensors: Mapping[str, npt.NDArray[np.float32]]) -> Tensors:
        """Return the maps, one set per crop."""
        (crops,) = tensors.values()
        return {self.outputs[0].name: self._maps[: len(crops)]}


def picture(seed: int = 0) -> ByteArray:
    """Return a 1280x720 image with structure at every scale."""
    rng = np.random.default_rng(seed)
    image = np.zeros((720, 1280, 3), np.float32)
    for sigma in (1, 3, 9, 27, 81):
        noise = cv2.GaussianBlur(
            rng.standard_normal(image.shape).astype(np.float32), (0, 0), float(sigma)
        )
        image += noise / noise.std()
    return np.clip(127 + 30 * image, 0, 255).astype(np.uint8)


def boxes_in(image: ByteArray, count: int, seed: int = 1) -> list[Box]:
    """Return boxes like standing persons'; joints are compared in the first."""
    rng = np.random.default_rng(seed)
    height, width = image.shape[:2]
    boxes: list[Box] = [(560.25, 250.5, 110.0, 210.0)]
    while len(boxes) < count:
        w, h = float(rng.uniform(60, 160)), float(rng.uniform(180, 400))
        boxes.append((float(rng.uniform(0, width - w)), float(rng.uniform(0, height - h)), w, h))
    return boxes


def official(heatmaps: FloatArray) -> npt.NDArray[np.float64]:
    """Decode (K, H, W) maps with the official recipe, on whole maps: (K, 2) heatmap px."""
    found = []
    for heatmap in heatmaps.astype(np.float64):
        y, x = np.unravel_index(int(heatmap.argmax()), heatmap.shape)
        log = np.log(np.clip(cv2.GaussianBlur(heatmap, (11, 11), 0), 1e-3, 50))
        near = np.pad(log, 1, mode="edge")[y : y + 3, x : x + 3]
        gradient = np.array([near[1, 2] - near[1, 0], near[2, 1] - near[0, 1]]) / 2
        dxx = near[1, 2] - 2 * near[1, 1] + near[1, 0]
        dyy = near[2, 1] - 2 * near[1, 1] + near[0, 1]
        sides = near[1, 2] + near[2, 1] + near[1, 0] + near[0, 1]
        dxy = (near[2, 2] + near[0, 0] + 2 * near[1, 1] - sides) / 2
        step = np.linalg.solve(np.array([[dxx, dxy], [dxy, dyy]]), gradient)
        found.append(np.array([x, y]) - step)
    return np.array(found)


def timed(
    call: Callable[[], object], times: int, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Return the seconds of each call."""
    seconds = []
    for _ in range(times):
        start = clock()
        call()
        seconds.append(clock() - start)
    return seconds


def around_engine(
    engine: OpenVinoEngine, image: ByteArray, regions: Sequence[Region], maps: FloatArray
) -> float:
    """Return the CPU time per crop of everything but the network, ms on one core."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    topdown = TopDown(
        InstantEngine(engine, np.repeat(maps, len(regions), axis=0)), CODEC, COCO17, "instant"
    )
    crops = [Crop(image, region) for region in regions]
    topdown(crops)
    seconds = timed(lambda: topdown(crops), 300 // len(regions), time.thread_time)
    cv2.setNumThreads(threads)
    return 1e3 * statistics.median(seconds) / len(regions)


Gated = tuple[dict[str, OpenVinoEngine], list[list[Any]]]


def load(onnx: Path, crops: FloatArray, codec: HeatmapCodec = CODEC) -> Gated:
    """Return the engines that pass the gate, by precision, and a table of their agreement."""
    exact = OpenVinoEngine(onnx)
    engines, rows = {"fp32": exact}, list[list[Any]]()
    for precision in ("fp16", "bf16"):
        try:
            engine = OpenVinoEngine(onnx, precision=precision)
        except EngineError as error:
            rows.append([precision, None, None, None, None, None, str(error)])
            continue
        found = compare(engine, exact, codec, crops)
        apart = distances(engine, exact, codec, crops)
        middle, most = np.quantile(apart, (0.5, 0.95)).tolist() if apart.size else (None, None)
        if found.good:
            engines[precision] = engine
        verdict = "accepted" if found.good else "refused"
        figures = [found.output, middle, most, found.joint_px]
        rows.append([precision, *map(_finite, figures), found.joints, verdict])
    return engines, rows


def distances(
    engine: OpenVinoEngine, exact: OpenVinoEngine, codec: HeatmapCodec, crops: FloatArray
) -> FloatArray:
    """Return the distances of float32's confident joints, px of the crop."""
    given, true = (
        codec.decode(list(one.run({one.inputs[0].name: crops}).values())) for one in (engine, exact)
    )
    apart: FloatArray = np.linalg.norm(given.xy - true.xy, axis=-1)[true.score >= SURE]
    return apart


def trained() -> Gated:
    """Do the same for the tiny ViTPose, on the crops of the package's gate."""
    codec = HeatmapCodec((128, 128), (32, 32))
    return load(TINY, gate_crops(codec, HAND21), codec)


def fastest(engines: Mapping[str, OpenVinoEngine]) -> str:
    """Return the precision to use."""
    return next((p for p in ("fp16", "bf16") if p in engines), "fp32")


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None


def main() -> None:
    """Measure, print the tables, write the figures."""
    arguments = parser(__doc__)
    arguments.add_argument("--venv", type=Path, metavar="DIR", help="an environment with the peers")
    arguments.add_argument("--rounds", type=int, default=4, help="turns of each (4)")
    options = arguments.parse_args()
    python = environment("vitpose_cpu", CHECK, INSTALLS, options.venv)

    image = picture()
    boxes = boxes_in(image, max(PERSONS))
    regions = [box_region(box) for box in boxes]
    shown = crop_region(regions[0], CODEC.input_size)
    matrices = crop_to_image([shown], CODEC.input_size, CODEC.udp)
    crop = np.empty((1, 3, CODEC.input_size[1], CODEC.input_size[0]), np.float32)
    cut_crops(image, matrices, crop)
    joints = np.random.default_rng(2).uniform([32, 32], [160, 224], (len(COCO17), 2))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {key: str(folder / f"{key}.npz") for key in ("crop", "image", "reference")}
        np.savez(files["crop"], crop=crop, joints=joints)
        np.savez(files["image"], image=image)
        onnx = folder / "vitpose-s.onnx"
        print("Making ViTPose-S and exporting it ...", flush=True)
        peer = Peer(python, "_vitpose_peers.py", folder / "peer.log")
        peer.ask(do="make", crop=files["crop"], onnx=str(onnx), reference=files["reference"])
        with np.load(files["reference"]) as made:
            maps = made["heatmaps"]
        engines, gate = load(onnx, crop)
        engines_trained, gate_trained = trained()

        persons = [Crop(image, region) for region in regions]
        topdowns = {p: TopDown(e, CODEC, COCO17, "vitpose-s") for p, e in engines.items()}
        reference = map_points(matrices, official(maps[0])[None] * CODEC.px_per_map_px)[0]
        differences = {}
        for precision, topdown in topdowns.items():
            found = topdown(persons[:1])[0]
            differences[precision] = float(np.linalg.norm(found.uv - reference, axis=1).max())
        around = {
            count: around_engine(engines["fp32"], image, regions[:count], maps) for count in PERSONS
        }

        def call(who: str, count: int, times: int) -> list[float]:
            kind, _, precision = who.partition(" ")
            if kind == "vitpose_ros":
                topdown = topdowns[precision]
                return timed(lambda: topdown(persons[:count]), times)
            if kind == "openvino":
                engine = engines[precision]
                crops = {engine.inputs[0].name: np.repeat(crop, count, axis=0)}
                return timed(lambda: engine.run(crops), times)
            request = {"do": "time", "who": kind, "image": files["image"], "times": times}
            return list(peer.ask(**request, boxes=boxes[:count]))

        contestants = [f"{kind} {p}" for kind in ("vitpose_ros", "openvino") for p in engines]
        contestants += PEERS
        seconds: dict[tuple[str, int], list[float]] = {}
        print("Measuring ...", flush=True)
        for count in PERSONS:
            for who in contestants:
                call(who, count, 2)
            for _ in range(options.rounds):
                for who in contestants:
                    time.sleep(0.05)  # lets spinning threads of the one before come to rest
                    seconds.setdefault((who, count), []).extend(call(who, count, 6 // count + 2))
        peer.close()

    ms = {key: 1e3 * statistics.median(values) / key[1] for key, values in seconds.items()}
    used = fastest(engines)
    ours = ms[f"vitpose_ros {used}", 1]
    figures = {
        "vs_transformers": ms["transformers", 1] / ours,
        "vs_rtmlib": ms["rtmlib", 1] / ours,
        "around_engine_ms": around[1],
        "max_difference_px": differences[used],
    }
    fp32 = ms["vitpose_ros fp32", 1]
    in_fp32 = {
        "vs_transformers_fp32": ms["transformers", 1] / fp32,
        "vs_rtmlib_fp32": ms["rtmlib", 1] / fp32,
        "max_difference_px_fp32": differences["fp32"],
    }
    titles = {"openvino": "bare engine, OpenVINO", "onnxruntime": "bare engine, ONNX Runtime fp32"}
    rows = []
    for who in contestants:
        kind, _, precision = who.partition(" ")
        label = " ".join((titles.get(kind, kind), precision)).strip()
        apart = differences.get(precision) if kind == "vitpose_ros" else None
        rows.append([label, *(ms[who, count] for count in PERSONS), apart])
    load_average = os.getloadavg()[0]
    report(
        f"ViTPose-S, 256x192, ms per person, median ({machine()}; load {load_average:.1f})",
        ("", *(f"{count} persons" for count in PERSONS), "largest difference (px)"),
        rows,
    )
    what = ("", "outputs (fraction)", "joints: median (px of the crop)", "95 of 100", "largest")
    for network, table in (("this network", gate), ("the tiny ViTPose, trained", gate_trained)):
        report(
            f"Lower precisions against float32 on this CPU: {network}",
            (*what, "joints compared", "gate"),
            table,
        )
    report(
        "Everything around the network, ms of one core per crop",
        [f"{count} persons" for count in PERSONS],
        [[f"{around[count]:.3g}" for count in PERSONS]],
    )
    report(
        f"Figures (ours in {used}; the trained network would run in {fastest(engines_trained)})",
        ("", "value"),
        list({**figures, **in_fp32}.items()),
    )
    write_json(
        options.json,
        {
            **figures,
            "precision": used,
            "precision_trained": fastest(engines_trained),
            **in_fp32,
            "rows": rows,
            "gate": gate,
            "gate_trained": gate_trained,
            "around_engine_ms_by_persons": {str(count): around[count] for count in PERSONS},
        },
    )


if __name__ == "__main__":
    main()
