"""Reads .pth files of ViTPose and ViTPose+ (MMPose 0.x), easy_ViTPose and MMPose 1.x.

Only tensors are read. Every key is renamed to transformers' name for it, and the weights are loaded
into the same network as those of Hugging Face checkpoints. Sources of the names:
ViTAE-Transformer/ViTPose (mmpose/models/backbones/vit.py, vit_moe.py, detectors/top_down_moe.py,
tools/model_split.py), JunkyByte/easy_ViTPose, and MMPreTrain's VisionTransformer.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitpose_ros.models.catalogue import EXPERTS
from vitpose_ros.models.convert.checkpoint import (
    Checkpoint,
    choose_expert,
    describe,
    finished,
    fit,
    fold,
)
from vitpose_ros.models.convert.libraries import torch, transformers
from vitpose_ros.models.errors import ModelError

HEADS = {384: 12, 768: 12, 1024: 16, 1280: 16}
"""Attention heads by width; a .pth file does not contain their number."""

EPSILON = 1e-6
"""The authors' value for every LayerNorm; transformers has another default."""

# MMPose 1.x has other names for the same weights.
_MMPOSE1 = (
    (r"backbone\.patch_embed\.projection\.", "backbone.patch_embed.proj."),
    (r"backbone\.layers\.(\d+)\.ln([12])\.", r"backbone.blocks.\1.norm\2."),
    (r"backbone\.layers\.(\d+)\.ffn\.layers\.0\.0\.", r"backbone.blocks.\1.mlp.fc1."),
    (r"backbone\.layers\.(\d+)\.ffn\.layers\.1\.", r"backbone.blocks.\1.mlp.fc2."),
    (r"backbone\.layers\.(\d+)\.attn\.", r"backbone.blocks.\1.attn."),
    (r"backbone\.ln1\.", "backbone.last_norm."),
    (r"head\.", "keypoint_head."),
)
_BLOCK = r"backbone\.blocks\.(\d+)\."
_LAYER = r"backbone.encoder.layer.\1."
_NAMES = (
    (r"backbone\.patch_embed\.proj\.", "backbone.embeddings.patch_embeddings.projection."),
    (r"backbone\.pos_embed$", "backbone.embeddings.position_embeddings"),
    (_BLOCK + r"norm1\.", _LAYER + "layernorm_before."),
    (_BLOCK + r"norm2\.", _LAYER + "layernorm_after."),
    (_BLOCK + r"attn\.proj\.", _LAYER + "attention.output.dense."),
    (_BLOCK + r"attn\.(query|key|value)\.", _LAYER + r"attention.attention.\2."),
    (_BLOCK + r"mlp\.(fc[12])\.", _LAYER + r"mlp.\2."),
    (r"backbone\.last_norm\.", "backbone.layernorm."),
    (r"keypoint_head\.deconv_layers\.0\.", "head.deconv1."),
    (r"keypoint_head\.deconv_layers\.1\.", "head.batchnorm1."),
    (r"keypoint_head\.deconv_layers\.3\.", "head.deconv2."),
    (r"keypoint_head\.deconv_layers\.4\.", "head.batchnorm2."),
    (r"keypoint_head\.final_layer\.", "head.conv."),
)


def open_original(path: Path, expert: str | None, width: int, height: int) -> Checkpoint:
    """Read a .pth file.

    Parameters
    ----------
    expert : the data set whose expert and head to use; required if there are several.
    width, height : the network's input, px, which a .pth file does not contain.

    Raises
    ------
    ModelError : the file needs to run code, is damaged or of another architecture, or its keys are
        not exactly the network's.
    """
    state = _read_state(path)
    state, expert, notes = _one_expert(path, state, expert)
    network = _split_attention(state)
    network = {_renamed(name, _NAMES): weight for name, weight in network.items()}
    return _load(path, network, expert, notes, width, height)


def _read_state(path: Path) -> dict[str, Any]:
    """The tensors under the authors' names, floating-point ones in float32."""
    content = _load_tensors(path)
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    library = torch()
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(weight, library.Tensor)
        for name, weight in state.items()
    ):
        raise ModelError(f"{path} is not a ViTPose checkpoint: it has no weights with names.")
    state = {
        name.removeprefix("module."): weight.float() if weight.is_floating_point() else weight
        for name, weight in state.items()
    }
    if any(name.startswith("backbone.layers.") for name in state):
        state = {_renamed(name, _MMPOSE1): weight for name, weight in state.items()}
        position = state.get("backbone.pos_embed")
        if position is not None and position.ndim == 3:  # without the class token's position
            empty = position.new_zeros((1, 1, position.shape[-1]))
            state["backbone.pos_embed"] = library.cat([empty, position], dim=1)
    if "backbone.blocks.0.attn.qkv.weight" not in state:
        raise ModelError(
            f"{path} is not a ViTPose checkpoint: it has no backbone.blocks.0.attn.qkv.weight; "
            f"it has {', '.join(list(state)[:5])} ..."
        )
    return state


def _load_tensors(path: Path) -> Any:
    library = torch()
    try:
        with library.serialization.safe_globals(_numbers()):
            return library.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        code = f" ({wanted.group(1)})" if wanted else ""
        raise ModelError(
            f"{path} is a pickle that needs to run code{code}, and is refused: only tensors and "
            "plain values are read. Get the checkpoint from its authors, as safetensors if "
            "possible."
        ) from error
    except Exception as error:  # a damaged archive raises many kinds of error
        raise ModelError(
            f"{path} cannot be read as a PyTorch checkpoint: "
            f"{' '.join(str(error).split())[:300]}. It may be truncated; get it again."
        ) from error


def _numbers() -> list[Any]:
    """NumPy's numbers and arrays: harmless values that MMPose saves beside the weights (the best
    score so far, the data set's sigmas).
    """
    import numpy as np

    makers = {"scalar": np.float64(0).__reduce__()[0], "_reconstruct": np.empty(0).__reduce__()[0]}
    named = [
        (make, f"numpy.{core}.multiarray.{name}")  # named differently by NumPy 1 and 2
        for name, make in makers.items()
        for core in ("core", "_core")
    ]
    kinds = {type(np.dtype(kind)) for kind in "efdbhilqBHILQ?"}
    return [*named, np.ndarray, np.dtype, *kinds]


def _one_expert(
    path: Path, state: dict[str, Any], expert: str | None
) -> tuple[dict[str, Any], str | None, tuple[str, ...]]:
    """The weights of one expert and its head, the expert, and notes on what was ignored."""
    experts = _indices(state, r"backbone\.blocks\.\d+\.mlp\.experts\.(\d+)\.")
    heads = _indices(state, r"associate_keypoint_heads\.(\d+)\.")
    notes = []
    folded = _folded_expert(path, state, experts) if experts else None
    if folded is not None:
        # Written by the authors' model_split.py, which keeps the experts in the file.
        name = list(EXPERTS)[folded]
        if expert not in (None, name):
            raise ModelError(
                f"{path} contains only the expert '{name}', already folded in; got '{expert}'."
            )
        expert, main = name, True
        notes.append(f"the expert '{name}' was already folded in; the other experts were ignored")
    elif experts or heads:
        expert = choose_expert(path, expert, max(len(experts), len(heads) + 1))
        main = expert == "coco"
        if experts:
            state = fold(path, state, expert)
            notes.append(f"of {len(experts)} experts, '{expert}' was folded in")
        notes.append(f"of {len(heads) + 1} heads, that of '{expert}' was used")
    else:
        main = True  # the entry or the user gives the layout
    head = "keypoint_head." if main else f"associate_keypoint_heads.{_head_index(expert)}."
    chosen = {}
    for name, weight in state.items():
        if name == "backbone.cls_token":
            notes.append("backbone.cls_token was ignored: ViTPose does not use it")
        elif name.startswith(head):
            chosen["keypoint_head." + name.removeprefix(head)] = weight
        elif not re.match(r"keypoint_head\.|associate_keypoint_heads\.|.*\.mlp\.experts\.", name):
            chosen[name] = weight
    return chosen, expert, tuple(notes)


def _head_index(expert: str | None) -> int:
    return list(EXPERTS).index(str(expert)) - 1


def _indices(state: Mapping[str, Any], pattern: str) -> list[int]:
    found = (re.match(pattern, name) for name in state)
    return sorted({int(match.group(1)) for match in found if match})


def _folded_expert(path: Path, state: Mapping[str, Any], experts: list[int]) -> int | None:
    """The expert that is already folded into the second layers, None if there is none."""
    layers = [name for name in state if re.fullmatch(r"backbone\..*\.mlp\.fc2\.weight", name)]
    width = state["backbone.blocks.0.attn.qkv.weight"].shape[-1]
    if any(state[name].shape[0] < width for name in layers):
        return None
    for index in experts:
        parts = [state.get(name.replace(".fc2.", f".experts.{index}.")) for name in layers]
        if all(
            part is not None and bool((state[name][-len(part) :] == part).all())
            for name, part in zip(layers, parts, strict=True)
        ):
            return index
    raise ModelError(
        f"{path} has complete second layers and several experts, none of which was folded into "
        "them; its data set cannot be determined."
    )


def _split_attention(state: Mapping[str, Any]) -> dict[str, Any]:
    """Split the authors' stacked rows of queries, keys and values."""
    split = {}
    for name, weight in state.items():
        if ".attn.qkv." not in name or weight.shape[0] % 3:
            split[name] = weight
            continue
        for part, rows in zip(("query", "key", "value"), weight.chunk(3), strict=True):
            split[name.replace(".qkv.", f".{part}.")] = rows.contiguous()
    return split


def _renamed(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        renamed, count = re.subn(r"\A" + pattern, replacement, name)
        if count:
            return renamed
    return name


def _load(
    path: Path,
    state: dict[str, Any],
    expert: str | None,
    notes: tuple[str, ...],
    width: int,
    height: int,
) -> Checkpoint:
    library, hub = torch(), transformers()
    config = _configuration(path, hub, state, width, height)
    with library.device("meta"):
        model = hub.VitPoseForPoseEstimation(config)
    expected = model.state_dict()
    for name in expected:  # a training counter, missing in some files
        if name.endswith("num_batches_tracked"):
            state.setdefault(name, library.zeros((), dtype=library.int64))
    fit(path, state, expected)
    model.load_state_dict(state, assign=True)
    described = describe(config, expert)
    return Checkpoint(finished(model), width, height, config.num_labels, expert, described, notes)


def _configuration(path: Path, hub: Any, state: Mapping[str, Any], width: int, height: int) -> Any:
    """The configuration that follows from the shapes of the weights."""

    def shape(name: str, dimensions: int) -> tuple[int, ...]:
        weight = state.get(name)
        if weight is None or weight.ndim != dimensions:
            fit(path, {}, {name: None})
            raise ModelError(f"{path}: {name} does not have {dimensions} dimensions.")
        return tuple(weight.shape)

    position = shape("backbone.embeddings.position_embeddings", 3)
    patch = shape("backbone.embeddings.patch_embeddings.projection.weight", 4)
    hidden = position[-1]
    if hidden not in HEADS:
        raise ModelError(
            f"{path}: the width {hidden} is none of ViTPose's ({', '.join(map(str, HEADS))}), and "
            "a .pth file does not contain the number of attention heads. Convert such a network "
            "from a Hugging Face checkpoint."
        )
    patches = (height // patch[2]) * (width // patch[3])
    if position[1] != patches + 1:
        raise ModelError(
            f"{path}: its position embeddings are for {position[1] - 1} patches; an input of "
            f"{width}x{height} px has {patches}. Give the input's size with --input WIDTHxHEIGHT."
        )
    layers = _indices(state, r"backbone\.encoder\.layer\.(\d+)\.")
    ratio = shape("backbone.encoder.layer.0.mlp.fc1.weight", 2)[0] // hidden
    backbone = hub.VitPoseBackboneConfig(
        image_size=(height, width),
        patch_size=(patch[2], patch[3]),
        hidden_size=hidden,
        num_hidden_layers=layers[-1] + 1,
        num_attention_heads=HEADS[hidden],
        mlp_ratio=ratio,
        layer_norm_eps=EPSILON,
        out_indices=[layers[-1] + 1],
    )
    return hub.VitPoseConfig(
        backbone_config=backbone,
        num_labels=shape("head.conv.weight", 4)[0],
        use_simple_decoder=not any(name.startswith("head.deconv") for name in state),
        attn_implementation="eager",
    )
