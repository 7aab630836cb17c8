"""ViTPose on a GPU: engine alone, whole loop, and transformers on the same GPU, in one run.

The networks have sizes S, B and L and random weights; transformers makes and this package converts
them. All figures are crops per second for each batch size, medians over turns:

- engine_fps: the network alone, on crops in GPU memory;
- loop_fps: from a 1920x1080 frame in the CPU's memory to joints in the CPU's memory;
- transformers_fps: the same in transformers, as its users call it (processor, network in float16,
  post-processing), with torchvision's processor where torchvision is installed, else pillow's.

around_engine_share is the GPU time of cropping and decoding as a fraction of the engine's.

The engine is TensorRT where it is installed, else torch (choose with --engine), in mixed precision,
which is compared with float32 first.

Random weights give maps without peaks; the decoding takes the same time without any.

Without an NVIDIA GPU it ends with a message and exit code 1. --device cpu only tries the script
(float32, torch); its figures are meaningless.

JSON: for each size and batch, e.g. "B_16": engine_fps, loop_fps, transformers_fps,
around_engine_share. Target at batch 16, for B: around_engine_share at most 0.1.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, parser, report, write_json

from vitpose_ros.engines.base import DeviceEngine
from vitpose_ros.engines.onnx_nodes import import_onnx
from vitpose_ros.engines.torch import TorchEngine, import_torch
from vitpose_ros.keypoints.agreement import compare
from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.keypoints.warp import box_region, crop_region, crop_to_image
from vitpose_ros.layouts import COCO17
from vitpose_ros.types import ByteArray, Crop, Region

SIZES = {"S": (384, 12, 12), "B": (768, 12, 12), "L": (1024, 24, 16), "tiny": (64, 1, 2)}
"""Width, layers, attention heads. All but the tiny one have the classic head."""

BATCHES = (1, 4, 16, 64)
FRAME = (1920, 1080)
CODEC = HeatmapCodec()


def make_network(size: str, folder: Path) -> Any:
    """Make a network with seeded random weights and its ONNX files; return transformers' model."""
    from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation

    from vitpose_ros.models.convert.checkpoint import Checkpoint, finished
    from vitpose_ros.models.convert.export import export
    from vitpose_ros.models.convert.precision import make_mixed

    torch = import_torch()
    torch.manual_seed(0)
    width, layers, heads = SIZES[size]
    # Any: mypy reads transformers where it is installed, and its classes accept more than they say.
    backbone: dict[str, Any] = {
        "image_size": (256, 192),
        "patch_size": (16, 16),
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "out_indices": [layers],
    }
    whole: dict[str, Any] = {
        "backbone_config": VitPoseBackboneConfig(**backbone),
        "num_labels": len(COCO17),
        "use_simple_decoder": size == "tiny",
    }
    model = finished(VitPoseForPoseEstimation(VitPoseConfig(**whole)))
    export(Checkpoint(model, *CODEC.input_size, len(COCO17), None, {}), folder / "model.onnx")
    make_mixed(folder / "model.onnx", folder / "model.mixed.onnx", measure=False)
    return model


def make_engine(kind: str, folder: Path, device: str, size: str) -> DeviceEngine:
    """Return the engine of a network's folder; a TensorRT engine is built first."""
    if device == "cpu":
        return TorchEngine(folder / "model.onnx", device)
    mixed = folder / "model.mixed.onnx"
    if kind == "torch":
        return TorchEngine(mixed, device)
    from vitpose_ros.engines.tensorrt import TensorRtEngine
    from vitpose_ros.engines.trt.build import build_engine
    from vitpose_ros.engines.trt.key import Portable, Profile, Recipe, machine_here, network_hash
    from vitpose_ros.engines.trt.shelf import EngineShelf
    from vitpose_ros.engines.trt.variants import VARIANTS

    here, portable = machine_here(variant=VARIANTS[kind]), VARIANTS[kind].portable
    target = Portable(here.tensorrt, (here.compute_capability,)) if portable else here
    recipe = Recipe(network_hash(mixed), "mixed", Profile(1, 16, max(BATCHES)))
    tell: Callable[[str], None] = lambda text: print(f"  {text}", flush=True)  # noqa: E731
    stored = build_engine(EngineShelf(folder), mixed, target, recipe, lambda path: {}, tell=tell)
    return TensorRtEngine(stored.folder)


def select_kind(wanted: str, device: str) -> str:
    """Return "tensorrt" where it is installed and a GPU is used, else "torch"."""
    if wanted != "auto" or device == "cpu":
        return "torch" if device == "cpu" else wanted
    try:
        import tensorrt  # noqa: F401
    except ImportError:
        return "torch"
    return "tensorrt"


def scene(persons: int) -> tuple[ByteArray, list[tuple[float, float, float, float]]]:
    """Return a frame and boxes of standing persons in it."""
    rng = np.random.default_rng(0)
    width, height = FRAME
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    boxes = []
    for _ in range(persons):
        w, h = float(rng.uniform(60, 300)), float(rng.uniform(180, 700))
        boxes.append((float(rng.uniform(0, width - w)), float(rng.uniform(0, height - h)), w, h))
    return image, boxes


class Clock:
    """Times work that a GPU may not have finished when the call returns."""

    def __init__(self, device: str, seconds: float, turns: int) -> None:
        self._wait = import_torch().cuda.synchronize if device != "cpu" else lambda: None
        self._seconds, self._turns = seconds, turns

    def per_call_s(self, call: Callable[[], object]) -> float:
        """Return the seconds per call in a series: the median over turns."""
        call()
        call()
        self._wait()
        start = time.perf_counter()
        call()
        self._wait()
        once = max(time.perf_counter() - start, 1e-6)
        count = max(2, int(self._seconds / self._turns / once))
        found = []
        for _ in range(self._turns):
            start = time.perf_counter()
            for _ in range(count):
                call()
            self._wait()
            found.append((time.perf_counter() - start) / count)
        return statistics.median(found)


def around(engine: DeviceEngine, image: ByteArray, regions: list[Region]) -> Callable[[], object]:
    """Return a call that crops and decodes, without upload, network and download."""
    import torch

    from vitpose_ros.keypoints.torch_decode import make_decode
    from vitpose_ros.keypoints.torch_warp import TorchCrops, upload_planes

    planes = upload_planes(image, engine.device)
    cut = TorchCrops(CODEC.input_size, engine.device)
    decode = make_decode(CODEC, engine.device)
    tensors = engine.buffers(len(regions))
    maps = [engine.run_device(tensors)[spec.name].clone() for spec in engine.outputs]
    matrices = crop_to_image([crop_region(r, CODEC.input_size) for r in regions],
                             CODEC.input_size, CODEC.udp)  # fmt: skip

    @torch.no_grad()
    def call() -> object:
        cut(planes, matrices, tensors[engine.inputs[0].name])
        return decode(maps)

    return call


def make_processor() -> Any:
    """Return transformers' processor: torchvision's where that is installed, else pillow's."""
    if find_spec("torchvision") is not None:
        from transformers import VitPoseImageProcessor

        return VitPoseImageProcessor()
    from transformers.models.vitpose.image_processing_pil_vitpose import VitPoseImageProcessorPil

    return VitPoseImageProcessorPil()


def transformers_call(
    model: Any, image: ByteArray, boxes: Sequence[Sequence[float]], device: str
) -> Callable[[], object]:
    """Return a call of transformers as its users call it."""
    torch = import_torch()
    processor = make_processor()
    rgb = np.ascontiguousarray(image[:, :, ::-1])
    kind = next(model.parameters()).dtype

    @torch.inference_mode()
    def call() -> object:
        inputs = processor(rgb, boxes=[boxes], return_tensors="pt").to(device)
        outputs = model(pixel_values=inputs["pixel_values"].to(kind))
        outputs.heatmaps = outputs.heatmaps.float().cpu()
        return processor.post_process_pose_estimation(outputs, boxes=[boxes])

    return call


def measure(size: str, kind: str, options: Any, rows: list[list[Any]]) -> dict[str, Any]:
    """Return the figures of one network, by size and batch."""
    device, figures = options.device, {}
    clock = Clock(device, options.seconds, options.turns)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"ViTPose-{size}: making and converting it ...", flush=True)
        model = make_network(size, folder)
        engine = make_engine(kind, folder, device, size)
        reference = TorchEngine(folder / "model.onnx", device)
        print(f"ViTPose-{size} on {engine.name}: {compare(engine, reference, CODEC, crops())}")
        del reference
        model = (model if device == "cpu" else model.half()).to(device)
        for batch in options.batches:
            image, boxes = scene(batch)
            regions = [box_region(box) for box in boxes]
            topdown = TopDown(engine, CODEC, COCO17, size, max_batch=batch, on_device=True)
            calls: dict[str, Callable[[], object]] = {
                "engine_fps": partial(engine.run_device, engine.buffers(batch)),
                "loop_fps": partial(topdown, [Crop(image, region) for region in regions]),
                "transformers_fps": transformers_call(model, image, boxes, device),
            }
            found: dict[str, Any] = {
                key: batch / clock.per_call_s(call) for key, call in calls.items()
            }
            share = clock.per_call_s(around(engine, image, regions)) * found["engine_fps"] / batch
            found["around_engine_share"] = share
            figures[f"{size}_{batch}"] = found
            rows.append(
                [
                    f"{size}, {batch}",
                    *found.values(),
                    found["loop_fps"] / found["engine_fps"],
                    found["loop_fps"] / found["transformers_fps"],
                ]
            )
    return figures


def crops() -> np.ndarray:
    """Return normalised crops for the comparison with float32."""
    from vitpose_ros.keypoints.agreement import sample_crops

    return sample_crops(CODEC.input_size)


def main() -> None:
    """Measure, print the table, write the figures."""
    arguments = parser(__doc__)
    arguments.add_argument("--device", default="cuda", help="cuda (default), cuda:1, ... or cpu")
    engines = ("auto", "tensorrt", "tensorrt-rtx", "torch")
    arguments.add_argument("--engine", choices=engines, default="auto")
    arguments.add_argument(
        "--sizes", type=lambda text: text.split(","), default=["S", "B", "L"], metavar="S,B,L"
    )
    arguments.add_argument(
        "--batches",
        type=lambda text: [int(word) for word in text.split(",")],
        default=list(BATCHES),
        metavar="1,4,16,64",
    )
    arguments.add_argument("--seconds", type=float, default=4.0, help="for each figure (4)")
    arguments.add_argument("--turns", type=int, default=5, help="over which a median is taken (5)")
    options = arguments.parse_args()
    if unknown := set(options.sizes) - set(SIZES):
        arguments.error(f"sizes are {', '.join(SIZES)}; got {', '.join(sorted(unknown))}")
    if not options.batches or not 1 <= min(options.batches) <= max(options.batches) <= 64:
        arguments.error("batches are from 1 to 64")
    torch = import_torch()
    import_onnx()
    try:
        make_processor()
    except ImportError as error:
        raise SystemExit(
            "the comparison needs transformers, with torchvision or with pillow and scipy: "
            f"pip install transformers onnxscript pillow scipy ({str(error).strip()[:200]})"
        ) from error
    if options.device != "cpu" and not torch.cuda.is_available():
        raise SystemExit(
            f"torch {torch.__version__} finds no NVIDIA GPU, so there is nothing to measure; "
            "--device cpu tries the script on the CPU"
        )
    kind = select_kind(options.engine, options.device)
    rows: list[list[Any]] = []
    figures: dict[str, Any] = {}
    for size in options.sizes:
        figures |= measure(size, kind, options, rows)
    gpu = "no GPU" if options.device == "cpu" else torch.cuda.get_device_name(options.device)
    title = f"ViTPose, 192x256, crops per second ({gpu}, {kind}, torch {torch.__version__}, "
    report(
        f"{title}{machine()})",
        (
            "size, batch", "engine", "loop", "transformers", "around / engine", "loop / engine",
            "loop / transformers",
        ),
        rows,
    )  # fmt: skip
    write_json(options.json, {**figures, "gpu": gpu, "engine": kind})


if __name__ == "__main__":
    main()
