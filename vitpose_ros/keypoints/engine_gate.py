"""The accuracy gate of TensorRT engines: compared with float32 on OpenVINO.

An engine for one GPU passes it when it is built; a portable one when a GPU first loads it. That
result is kept beside the engine.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.engines.tensorrt import TensorRtEngine
from vitpose_ros.engines.trt.key import PRECISIONS, Here, Machine, file_hash, network_hash
from vitpose_ros.engines.trt.manifest import EngineManifest, read_manifest, why_not
from vitpose_ros.engines.trt.shelf import StoredEngine
from vitpose_ros.keypoints.agreement import parts, require
from vitpose_ros.keypoints.gate_crops import gate_crops
from vitpose_ros.keypoints.recipes import codec_of
from vitpose_ros.models.convert.precision import MIXED_NAME, read_mixed
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import LocalModel, ModelStore

_log = logging.getLogger(__name__)

FITS, OTHER, DAMAGED, UNKNOWN = "fits", "does not fit", "damaged", "unknown"
"""Whether an engine can be used here; unknown where TensorRT or the GPU is missing."""

_REMEDIES = {
    "mixed": "Build it in float32 instead: vitpose_ros engine build {} --precision tf32 (or fp32)",
    "tf32": "Build it in full float32 instead: vitpose_ros engine build {} --precision fp32",
    "fp32": "Build it again with --force; if it still differs, TensorRT computes this network "
    "wrongly on this GPU: set engine to torch or openvino",
}
"""What to do about an engine that disagrees, by its precision."""


def network_of(model: LocalModel, precision: str) -> Path:
    """The ONNX file that an engine of a precision is built from.

    Raises
    ------
    ModelError : the model is no ONNX file, or has no mixed-precision network made from it.
    """
    path = model.path
    if path.suffix != ".onnx":
        raise ModelError(
            f"the model '{model.entry.name}' is a {path.suffix} file, which TensorRT and torch "
            "cannot read; it runs on the CPU"
        )
    if precision != "mixed":
        return path
    made = read_mixed(path.parent, file_hash(path))
    if made is None:
        raise ModelError(
            f"the model '{model.entry.name}' has no mixed-precision network {MIXED_NAME}; make it "
            f"with: vitpose_ros models convert {model.entry.name} --mixed"
        )
    return made[0]


def network_hashes(model: LocalModel) -> dict[str, str]:
    """The sha256 of the network for each available precision, for `Here`."""
    hashes = {}
    for precision in PRECISIONS:
        try:
            hashes[precision] = network_hash(network_of(model, precision))
        except ModelError:
            continue
    return hashes


def engine_gate(
    model: LocalModel, images: Path | None = None, device: int = 0
) -> Callable[[Path], Mapping[str, Any]]:
    """A function that compares a model's engines with float32.

    Parameters
    ----------
    model : its float32 network is the reference.
    images : see `gate_crops`.
    device : the GPU's number.

    Returns
    -------
    A function that takes an engine's folder and returns the figures, or raises EngineError with
    them and a remedy where the engine disagrees.

    Raises
    ------
    EngineError : the model gives no joints to compare.
    """
    codec, layout = codec_of(model.entry), model.entry.layout
    if layout is None:
        raise EngineError(
            f"'{model.entry.name}' gives no joints to compare; engines are built for top-down "
            "keypoint models only"
        )
    network = network_of(model, "fp32")

    def judge(folder: Path) -> Mapping[str, Any]:
        crops = gate_crops(codec, layout, images)
        manifest = read_manifest(folder)
        remedy = _REMEDIES[manifest.recipe.precision].format(model.entry.name)
        if manifest.variant.portable:
            remedy = remedy.replace("engine build", "engine build --engine tensorrt-rtx")
        engine, reference = TensorRtEngine(folder, device=device), OpenVinoEngine(network)
        engine.warm_up({len(crops[part]) for part in parts(engine, len(crops))})  # makes graphs
        kind = "rendered" if images is None else str(images)
        about = {"reference": reference.name, "crops": len(crops), "images": kind}
        try:
            found = require(engine, reference, codec, model.entry.name, crops, remedy)
        except EngineError as error:
            _remember(engine, manifest, {**about, "refused": str(error)})
            raise
        figures = {**asdict(found), **about}
        _remember(engine, manifest, figures)
        return figures

    return judge


def pass_once(model: LocalModel, folder: Path, machine: Machine, device: int = 0) -> None:
    """Compare a portable engine with float32 on a GPU, unless that was done before.

    Parameters
    ----------
    model, folder : the engine's.
    machine, device : the GPU that is about to run it, and its number.

    Raises
    ------
    EngineError : it disagrees, now or when it was compared.
    """
    path = _result_path(folder, machine)
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        refused = str(known.get("refused", ""))
        same = known["sha256"] == read_manifest(folder).sha256
    except (OSError, AttributeError, KeyError, ValueError):
        same, refused = False, ""
    if not same:
        engine_gate(model, device=device)(folder)
    elif refused:
        raise EngineError(
            f"{refused}. This was measured before; `vitpose_ros engine check {model.entry.name}` "
            "measures again"
        )


def _remember(engine: TensorRtEngine, manifest: EngineManifest, result: dict[str, Any]) -> None:
    """Keep the result of a portable engine on this GPU; a failure only costs time."""
    if not manifest.variant.portable:
        return
    path = _result_path(engine.path, engine.machine)
    content = {"machine": asdict(engine.machine), "sha256": manifest.sha256, **result}
    try:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        _log.warning(
            "the comparison of %s with float32 cannot be kept in %s, so every start repeats it: "
            "%s. Let this user write that folder",
            engine,
            path,
            error,
        )


def _result_path(folder: Path, machine: Machine) -> Path:
    """Where the result on a GPU is kept, beside the engine."""
    text = json.dumps(asdict(machine), sort_keys=True)
    return folder / f"gate-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def engine_state(
    store: ModelStore, stored: StoredEngine, name: str, here: Callable[[str], Machine | None]
) -> tuple[str, list[str]]:
    """Whether an engine can be used here, and a sentence for each reason why not.

    Parameters
    ----------
    store, name : of the model.
    stored : the engine.
    here : the machine with a library, by the library's name; None where that or the GPU is missing.

    Returns
    -------
    FITS, OTHER, DAMAGED or UNKNOWN, and the reasons.
    """
    if stored.problem or stored.manifest is None:
        return DAMAGED, [stored.problem]
    machine = here(stored.manifest.machine.library)
    if machine is None:
        return UNKNOWN, []
    hashes: dict[str, str] = {}
    with contextlib.suppress(ModelError):  # the model may be gone
        hashes = network_hashes(store.get(name))
    reasons = why_not(stored.manifest, Here(machine, hashes))
    return (OTHER, reasons) if reasons else (FITS, [])
