"""Reads Hugging Face checkpoints (config.json and model.safetensors) with transformers."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from vitpose_ros.models.convert.checkpoint import (
    Checkpoint,
    choose_expert,
    complain,
    describe,
    finished,
    fit,
    fold,
)
from vitpose_ros.models.convert.libraries import torch, transformers
from vitpose_ros.models.errors import ModelError

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def open_huggingface(folder: Path, expert: str | None, *, layout_named: bool) -> Checkpoint:
    """Read a folder with config.json and model.safetensors.

    Parameters
    ----------
    expert : the expert to fold in; required if the checkpoint has several, else refused.
    layout_named : whether the user gave the head's layout. The published ViTPose+ checkpoints have
        all experts but only COCO's head, so another expert is accepted only with a layout.

    Raises
    ------
    ModelError : a file is missing or unreadable, the architecture is another, or the weights do not
        fit the configuration.
    """
    config_path = folder / CONFIG
    for path in (config_path, folder / WEIGHTS):
        if not path.is_file():
            raise ModelError(
                f"{folder} has no {path.name}; a Hugging Face checkpoint consists of {CONFIG} and "
                f"{WEIGHTS}."
            )
    if _read_config(config_path).get("neck"):
        return _necked(folder)
    library, hub = torch(), transformers()
    try:
        model, report = hub.VitPoseForPoseEstimation.from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported and refused below
            dtype=library.float32,
            attn_implementation="eager",
        )
    except Exception as error:  # transformers and safetensors raise many kinds
        raise ModelError(f"{folder} cannot be read as a ViTPose checkpoint: {_line(error)}.") from (
            error
        )
    shapes = report["mismatched_keys"]
    complain(
        folder,
        "ViTPose",
        report["missing_keys"],
        report["unexpected_keys"],
        [f"{name} {tuple(was)} instead of {tuple(is_)}" for name, was, is_ in shapes],
    )
    return _plain(folder, model, expert, layout_named)


def _plain(folder: Path, model: object, expert: str | None, layout_named: bool) -> Checkpoint:
    library, hub = torch(), transformers()
    config = model.config  # type: ignore[attr-defined]
    count = config.backbone_config.num_experts
    notes: tuple[str, ...] = ()
    state = model.state_dict()  # type: ignore[attr-defined]
    if count > 1:
        expert = choose_expert(folder, expert, count)
        if expert != "coco" and not layout_named:
            raise ModelError(
                f"{folder}: the ViTPose+ checkpoints on the Hugging Face hub contain only COCO's "
                f"head, for all experts; '{expert}' would give joints of the wrong data set. Use "
                "the authors' .pth file for that head. If this is another checkpoint, give its "
                "head's layout with --layout."
            )
        state = fold(folder, state, expert)
        config.backbone_config.num_experts = 1
        notes = (f"of {count} experts, '{expert}' was folded in and the others were dropped",)
    elif expert is not None:
        raise ModelError(f"{folder} has no experts; omit --expert (got '{expert}').")
    with library.device("meta"):
        plain = hub.VitPoseForPoseEstimation(config)
    fit(folder, state, plain.state_dict())
    plain.load_state_dict(state, assign=True)
    height, width = config.backbone_config.image_size
    network = describe(config, expert)
    return Checkpoint(finished(plain), width, height, config.num_labels, expert, network, notes)


def _necked(folder: Path) -> Checkpoint:
    """A network with a feature pyramid, which `vitpose_ros train --fpn` made: transformers reads
    its configuration, but has no such network.
    """
    library, hub = torch(), transformers()
    from vitpose_ros.models.convert.neck import FPN, KEY, add_neck  # late: needs torch

    try:
        config = hub.VitPoseConfig.from_pretrained(str(folder), local_files_only=True)
        state = importlib.import_module("safetensors.torch").load_file(str(folder / WEIGHTS))
        config._attn_implementation = "eager"
        model = hub.VitPoseForPoseEstimation(config)
    except Exception as error:  # transformers and safetensors raise many kinds
        raise ModelError(f"{folder} cannot be read as a ViTPose checkpoint: {_line(error)}.") from (
            error
        )
    if getattr(config, KEY) != FPN:
        raise ModelError(
            f"{folder / CONFIG} has the neck '{getattr(config, KEY)}'; only '{FPN}' is known."
        )
    add_neck(model)
    fit(folder, state, model.state_dict())
    model.load_state_dict({name: weight.to(library.float32) if weight.is_floating_point()
                           else weight for name, weight in state.items()})  # fmt: skip
    height, width = config.backbone_config.image_size
    network = describe(config, None)
    return Checkpoint(finished(model), width, height, config.num_labels, None, network)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        kind = content["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is not a model configuration: {error!r}.") from error
    if kind != "vitpose":
        raise ModelError(f"{path} has the architecture '{kind}'; only 'vitpose' can be converted.")
    return content


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 400 else text[:400] + " ..."
