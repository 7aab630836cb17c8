"""Networks of every one-stage format whose answers are known: graphs of constants.

Their input is used (times zero), so that its name, shape and type are those of the format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

K = 17
CELLS = 84  # of an input of 64 x 64 px


@dataclass(frozen=True)
class Answer:
    """A person that a network sees: (K, 2) px of its input, and scores."""

    uv: np.ndarray
    joint_score: np.ndarray
    score: float

    @property
    def corners(self) -> np.ndarray:
        """(4,) x0, y0, x1, y1 of its box."""
        return np.concatenate([self.uv.min(axis=0), self.uv.max(axis=0)])


def logit(p: np.ndarray | float) -> np.ndarray:
    """Of a probability."""
    return np.log(np.asarray(p) / (1 - np.asarray(p)))


def outputs(form: str, people: Sequence[Answer], size: int = 64) -> dict[str, np.ndarray]:
    """The outputs of a format for an input of size x size px; rows beyond the persons are empty."""
    uv = np.stack([one.uv for one in people]) if people else np.zeros((0, K, 2))
    joint = np.stack([one.joint_score for one in people]) if people else np.zeros((0, K))
    corners = np.array([one.corners for one in people]).reshape(-1, 4)
    score = np.array([one.score for one in people])
    middle, sides = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    points = np.concatenate([uv, joint[..., None]], axis=2)
    count = len(people)
    if form == "rtmo":
        slots = max(10, count)
        dets, keypoints = np.zeros((1, slots, 5)), np.zeros((1, slots, K, 3))
        dets[0, :count] = np.column_stack([corners, score])
        keypoints[0, :count] = points
        return {"dets": dets, "keypoints": keypoints}
    if form in ("yolo", "yolo-rows"):
        cells = (size // 8) ** 2 + (size // 16) ** 2 + (size // 32) ** 2
        rows = np.zeros((1, cells, 5 + 3 * K))
        rows[0, 7 : 7 + count] = np.column_stack(
            [middle, sides, score, points.reshape(count, 3 * K)]
        )
        return {"output0": rows if form == "yolo-rows" else rows.transpose(0, 2, 1)}
    if form == "yolo26":
        rows = np.zeros((1, 300, 6 + 3 * K))
        rows[0, :count] = np.column_stack(
            [corners, score, np.zeros(count), points.reshape(count, 3 * K)]
        )
        return {"output0": rows}
    if form in ("rf-detr", "rf-detr-background"):
        first = 1 if form.endswith("background") else 0
        dets, labels = np.full((1, 20, 4), 0.1), np.full((1, 20, 2), -9.0)
        keypoints = np.zeros((1, 20, (first + 1) * K, 8))
        dets[0, :count] = np.concatenate([middle, sides], axis=1) / size
        labels[0, :count, first] = logit(score)
        own = keypoints[0, :count, first * K :]
        own[..., :2], own[..., 2] = uv / size, logit(joint)
        own[..., 4], own[..., 5], own[..., 6] = np.log(50.0), 0.0, np.log(100.0)
        return {"dets": dets, "labels": labels, "keypoints": keypoints}
    if form == "movenet":
        rows = np.zeros((1, 6, 5 + 3 * K))
        yx = np.concatenate([uv[..., ::-1] / size, joint[..., None]], axis=2).reshape(count, 3 * K)
        rows[0, :count] = np.column_stack([yx, corners[:, [1, 0, 3, 2]] / size, score])
        return {"output_0": rows}
    if form == "detrpose":
        slots = max(60, count)
        scores, keypoints = np.zeros((1, slots)), np.zeros((1, slots, K, 2))
        scores[0, :count], keypoints[0, :count] = score, uv  # `write` makes pixels of the image
        return {"scores": scores, "labels": np.ones((1, slots)), "keypoints": keypoints}
    if form in ("dekr", "dekr-mmpose"):
        return _dekr(people, size // 4, -1 if form == "dekr" else 1)
    raise ValueError(form)


def _dekr(people: Sequence[Answer], side: int, direction: int) -> dict[str, np.ndarray]:
    """Maps of side x side px: centres of the height that gives each person its score."""
    heat, offsets = np.zeros((1, K + 1, side, side)), np.zeros((1, 2 * K, side, side))
    seeds: list[np.ndarray] = []
    for one in people:
        joints = one.uv / 4
        seed = np.rint(np.nanmean(joints, axis=0)).astype(int)
        while any(np.abs(seed - other).max() < 3 for other in seeds):
            seed = seed + np.array([3, 0])  # a second peak, outside the first one's neighbourhood
        seeds.append(seed)
        heat[0, K, seed[1], seed[0]] = one.score / one.joint_score.mean()
        offsets[0, :, seed[1], seed[0]] = direction * (joints - seed).ravel()
        for k in np.flatnonzero(np.isfinite(joints).all(axis=1)):
            x, y = np.clip(np.floor(joints[k]).astype(int), 0, side - 1)
            heat[0, k, y : y + 2, x : x + 2] = one.joint_score[k]
    return {"heatmap": heat, "offset": offsets}


FORMS = (
    "rtmo",
    "yolo",
    "yolo-rows",
    "yolo26",
    "rf-detr",
    "rf-detr-background",
    "detrpose",
    "movenet",
    "dekr",
    "dekr-mmpose",
)


def write(path: Path, form: str, people: Sequence[Answer], size: int = 64) -> Path:
    """An ONNX file of a format with these answers."""
    import onnx

    helper, array = onnx.helper, onnx.numpy_helper.from_array
    movenet = form == "movenet"
    kind = onnx.TensorProto.INT32 if movenet else onnx.TensorProto.FLOAT
    shape = [1, size, size, 3] if movenet else [1, 3, size, size]
    nodes, weights, outs = [], [], []
    source = "images" if form == "detrpose" else "image"
    inputs = [helper.make_tensor_value_info(source, kind, shape)]
    if form == "detrpose":
        whole = onnx.TensorProto.INT64
        inputs.append(helper.make_tensor_value_info("orig_target_sizes", whole, [1, 2]))
        cast = {"to": onnx.TensorProto.FLOAT}
        nodes.append(helper.make_node("Cast", ["orig_target_sizes"], ["sizes"], **cast))
        nodes.append(helper.make_node("Div", ["sizes", "side"], ["scale"]))
        weights.append(array(np.float32(size), "side"))
    if movenet:
        nodes.append(helper.make_node("Cast", ["image"], ["pixels"], to=onnx.TensorProto.FLOAT))
        source = "pixels"
    nodes.append(helper.make_node("ReduceMean", [source], ["mean"], keepdims=0))
    nodes.append(helper.make_node("Mul", ["mean", "nil"], ["zero"]))
    weights.append(array(np.zeros((), np.float32), "nil"))
    for name, values in outputs(form, people, size).items():
        weights.append(array(values.astype(np.float32), f"{name}_values"))
        in_image = form == "detrpose" and name == "keypoints"
        result = "fractions" if in_image else name
        nodes.append(helper.make_node("Add", ["zero", f"{name}_values"], [result]))
        if in_image:
            nodes.append(helper.make_node("Mul", ["fractions", "scale"], [name]))
        outs.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, values.shape))
    graph = helper.make_graph(nodes, "net", inputs, outs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path
