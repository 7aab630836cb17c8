"""Makes, records and checks the mixed-precision network beside a float32 one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.onnx_nodes import import_onnx, read_network
from vitpose_ros.engines.trt.key import file_hash
from vitpose_ros.models.convert.libraries import versions
from vitpose_ros.models.convert.mixed_graph import mixed_model
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.files import (
    NETWORK_NAME,
    Record,
    disk_sentences,
    put_in_place,
    sha256_of,
    write_record,
    write_whole,
)

MIXED_NAME = "model.mixed.onnx"
"""The mixed network beside `model.onnx`."""

REPORT_NAME = "model.mixed.json"
"""Its report, a `Mixed` as JSON."""

FORMAT = 1
"""The version of the report's format."""

LIMIT = 0.02
"""The largest accepted difference of an output value on sample crops, as a fraction of the largest
value or of 1, whichever is greater; the same as in `keypoints.agreement`.
"""


@dataclass(frozen=True)
class Mixed:
    """The report on a mixed-precision network.

    Attributes
    ----------
    source : the float32 file's name.
    source_sha256 : of the float32 file.
    weights_sha256 : of the separate weights of a large float32 file, "" if it has none.
    sha256 : of the mixed file.
    exact : number of float32 nodes, by operator.
    half : number of float16 nodes.
    difference : "outputs", the largest difference from float32 on sample crops, and
        "largest_value"; empty if not measured.
    measured_on : the engine of the measurement, "" for none.
    versions : versions of the tools.
    date : ISO 8601, UTC.
    """

    source_sha256: str
    sha256: str
    exact: Mapping[str, int]
    half: int
    difference: Mapping[str, float]
    measured_on: str
    versions: Mapping[str, str]
    date: str
    source: str = NETWORK_NAME
    weights_sha256: str = ""


def make_mixed(source: Path, target: Path, *, measure: bool = True) -> Mixed:
    """Convert a float32 ONNX file to mixed precision.

    Parameters
    ----------
    source : an ONNX file in float32, of opset 17 or later if it has layer norms.
    target : the file to write, atomically.
    measure : whether to compare both with torch, on a GPU if it finds one.

    Raises
    ------
    ModelError : the source cannot be read or converted (see `mixed_model`), or the result differs
        by more than LIMIT.
    """
    try:
        onnx = import_onnx()
        model = mixed_model(read_network(source), source.name)
        part = target.with_name(f".{target.name}.part")
        with disk_sentences(target.parent):
            try:
                onnx.save(model, str(part))
                difference, engine = _measured(source, part) if measure else ({}, "")
                put_in_place(part, target)
            finally:
                part.unlink(missing_ok=True)
    except EngineError as error:
        raise ModelError(f"{error}.") from error
    types = {item.name: item.type.tensor_type.elem_type for item in model.graph.value_info}
    types |= {item.name: item.type.tensor_type.elem_type for item in model.graph.output}
    single = Counter(
        node.op_type
        for node in model.graph.node
        if types.get(node.output[0]) == onnx.TensorProto.FLOAT and node.op_type != "Cast"
    )
    half = sum(types.get(n.output[0]) == onnx.TensorProto.FLOAT16 for n in model.graph.node)
    return Mixed(
        source_sha256=sha256_of(source),
        sha256=sha256_of(target),
        exact=dict(sorted(single.items())),
        half=half,
        difference=difference,
        measured_on=engine,
        versions=versions("onnx", "torch"),
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        source=source.name,
        weights_sha256=_weights_sha256(source),
    )


def add_mixed(network: Path) -> Mixed:
    """Write a mixed-precision network and its report beside a model's float32 network.

    Parameters
    ----------
    network : the float32 ONNX file in the model's folder.

    Raises
    ------
    ModelError : as for `make_mixed`, or the network is not an ONNX file.
    """
    if network.suffix != ".onnx":
        raise ModelError(
            f"{network} is not an ONNX file; only those can be converted to mixed precision."
        )
    folder = network.parent
    made = make_mixed(network, folder / MIXED_NAME)
    with disk_sentences(folder):
        text = json.dumps({"format": FORMAT, **asdict(made)}, indent=2) + "\n"
        write_whole(folder / REPORT_NAME, text)
        found = (folder / MIXED_NAME).stat()
        write_record(
            folder, MIXED_NAME, Record(made.sha256, found.st_size, found.st_mtime_ns, "mixed")
        )
    return made


def read_mixed(folder: Path, source_sha256: str) -> tuple[Path, Mixed] | None:
    """The mixed-precision network in a model's folder and its report; None if there is none.

    Parameters
    ----------
    source_sha256 : of the current float32 network.

    Raises
    ------
    ModelError : it was made from another float32 network, was altered, or cannot be read.
    """
    path, report = folder / MIXED_NAME, folder / REPORT_NAME
    if not path.is_file() and not report.is_file():
        return None
    again = "make it again with: vitpose_ros models convert NAME --mixed."
    try:
        content = json.loads(report.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        made = Mixed(**content)
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{report} cannot be read ({error}); {again}") from error
    weights = _weights_sha256(folder / made.source)
    if (made.source_sha256, made.weights_sha256) != (source_sha256, weights):
        raise ModelError(f"{path} was made from another float32 network; {again}")
    if not path.is_file() or sha256_of(path) != made.sha256:
        raise ModelError(f"{path} is missing or altered; {again}")
    return path, made


def _weights_sha256(network: Path) -> str:
    """The hash of a large network's separate weights; its ONNX file alone does not identify it."""
    weights = network.with_name(f"{network.name}.data")
    return file_hash(weights) if weights.is_file() else ""


def _measured(source: Path, target: Path) -> tuple[dict[str, float], str]:
    """The difference of the outputs on sample crops, both run with torch; and the engine's name."""
    from vitpose_ros.engines.torch import TorchEngine, import_torch
    from vitpose_ros.keypoints.agreement import sample_crops

    device = "cuda" if import_torch().cuda.is_available() else "cpu"
    reference, mixed = TorchEngine(source, device), TorchEngine(target, device)
    _, _, height, width = reference.inputs[0].shape
    crops = sample_crops((int(width or 0), int(height or 0)))
    inputs = {reference.inputs[0].name: crops}
    largest = worst = 0.0
    wanted, given = reference.run(inputs), mixed.run(inputs)
    for name, values in wanted.items():
        largest = max(largest, float(np.abs(values).max()))
        apart = np.nan_to_num(np.abs(given[name] - values), nan=np.inf)
        worst = max(worst, float(apart.max()))
    if not worst <= LIMIT * max(largest, 1.0):
        raise ModelError(
            f"in mixed precision, outputs of {source.name} differ from float32 by up to "
            f"{worst:.3g} (the largest value is {largest:.3g}, accepted is {LIMIT} of it). The "
            "result was discarded; run the network in float32."
        )
    return {"outputs": worst, "largest_value": largest}, mixed.name
