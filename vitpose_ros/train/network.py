"""The networks that are trained: where they start, their parts, and their checkpoint.

Needs torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vitpose_ros.keypoints.warp import Size
from vitpose_ros.layouts import LAYOUTS, Layout
from vitpose_ros.models.catalogue import Entry
from vitpose_ros.models.convert.checkpoint import Checkpoint, describe, finished
from vitpose_ros.models.convert.huggingface import CONFIG, WEIGHTS, open_huggingface
from vitpose_ros.models.convert.libraries import transformers
from vitpose_ros.models.convert.neck import NeckedHead, plain_head
from vitpose_ros.models.convert.run import open_entry
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.files import put_in_place, sha256_of, shipped
from vitpose_ros.models.manifest import MEAN, STD
from vitpose_ros.models.store import ModelStore
from vitpose_ros.train.errors import TrainError
from vitpose_ros.train.plan import SIZES

SCRATCH = "scratch"
PROCESSOR = "preprocessor_config.json"
_PATCH, _PX_PER_MAP_PX = 16, 4


@dataclass(frozen=True)
class Start:
    """A network before its training.

    Attributes
    ----------
    model : transformers' VitPoseForPoseEstimation, float32.
    size : (width, height) of its input, px.
    name : where it comes from, for people.
    sha256 : of its weights; "" for random ones.
    licence : of its weights; "" if not known.
    knows : whether its head is for the wanted joints, so that it can be compared with the result.
    """

    model: Any
    size: Size
    name: str
    sha256: str = ""
    licence: str = ""
    knows: bool = False
    notes: tuple[str, ...] = field(default=())


def open_start(
    store: ModelStore,
    what: str,
    layout: Layout,
    size: str | None = None,
    input_size: Size | None = None,
) -> Start:
    """The network to start from.

    Parameters
    ----------
    store : of the models.
    what : a model of the catalogue, a folder with a Hugging Face checkpoint, or SCRATCH.
    layout : the joints that it will have. A head for others is replaced by a new one.
    size, input_size : of a network from SCRATCH: one of SIZES, and (width, height), px.

    Raises
    ------
    TrainError, ModelError : there is no such network, or no checkpoint of it.
    """
    if what == SCRATCH:
        return _scratch(layout, size or "tiny", input_size)
    if size is not None:
        raise TrainError(f"--size is for --from {SCRATCH}; '{what}' has its own size")
    checkpoint, name, licence, own = _open(store, what)
    found = checkpoint.width, checkpoint.height
    if input_size not in (None, found):
        raise TrainError(
            f"'{what}' has an input of {found[0]}x{found[1]} px, which its positions are learned "
            f"for; omit --input, or train for another one with --from {SCRATCH}"
        )
    model = checkpoint.model.requires_grad_(True)
    knows = own is layout or (own is None and checkpoint.joints == len(layout))
    notes: tuple[str, ...] = ()
    if not knows:
        _new_joints(model, layout)
        notes = (
            f"'{what}' has {checkpoint.joints} joints, not those of the layout '{layout.name}': "
            "its head's last layer begins anew",
        )
    weights = _weights_of(store, what)
    return Start(model, found, name, sha256_of(weights), licence, knows, notes)


def _open(store: ModelStore, what: str) -> tuple[Checkpoint, str, str, Layout | None]:
    """A checkpoint, its name and licence, and its layout where that is known."""
    path = Path(what).expanduser()
    if path.is_dir() and "/" not in what and what in store.catalogue.names():
        raise TrainError(
            f"'{what}' is both a model and a folder here; write ./{what} for the folder"
        )
    if path.is_dir():
        try:
            checkpoint = open_huggingface(path, None, layout_named=True)
        except ModelError as error:
            if "--expert" not in str(error):
                raise
            raise TrainError(
                f"{path} is a ViTPose+ checkpoint with several experts; start from the model of "
                "the catalogue that has the wanted one, such as vitpose-plus-s"
            ) from error
        names = tuple(checkpoint.model.config.id2label.values())
        own = next((one for one in LAYOUTS.values() if one.joints == names), None)
        return checkpoint, path.name, "", own
    if path.exists():
        raise TrainError(
            f"{path} is a file; a start is a folder with {CONFIG} and {WEIGHTS}. A .pth file can "
            "be trained through an entry in a catalogue of yours (docs/models.md)"
        )
    entry = store.catalogue.get(what)
    if entry.convert is not None:
        checkpoint = open_entry(store, entry)
    elif (folder := _shipped(entry)) is not None:
        checkpoint = open_huggingface(folder, None, layout_named=True)
    else:
        raise TrainError(
            f"'{what}' has no checkpoint, only a network that runs, which cannot be trained. Start "
            "from a ViTPose of the catalogue (`vitpose_ros models list`), a folder with "
            f"{CONFIG} and {WEIGHTS}, or {SCRATCH}"
        )
    return checkpoint, what, entry.licence.name, entry.layout


def _shipped(entry: Entry) -> Path | None:
    """The folder of a checkpoint that comes with the package."""
    config = shipped("assets", f"{entry.name}/{CONFIG}")
    return config.parent if config.is_file() else None


def _weights_of(store: ModelStore, what: str) -> Path:
    path = Path(what).expanduser()
    if path.is_dir():
        return path / WEIGHTS
    entry = store.catalogue.get(what)
    if entry.convert is not None:
        return store.checkpoint(entry)[-1]
    return shipped("assets", f"{what}/{WEIGHTS}")


def _scratch(layout: Layout, size: str, input_size: Size | None) -> Start:
    width, layers, heads, ratio, simple = SIZES[size]
    if input_size is None:
        input_size = (128, 128) if size == "tiny" else (192, 256)
    if any(side % _PATCH for side in input_size):
        raise TrainError(
            f"--input: both sides have to be multiples of {_PATCH} px, got "
            f"{input_size[0]}x{input_size[1]}"
        )
    library = transformers()
    backbone = library.VitPoseBackboneConfig(
        image_size=[input_size[1], input_size[0]],
        patch_size=[_PATCH, _PATCH],
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        mlp_ratio=ratio,
        num_experts=1,
        layer_norm_eps=1e-6,
        out_indices=[layers],
    )
    config = library.VitPoseConfig(
        backbone_config=backbone,
        num_labels=len(layout),
        scale_factor=_PATCH // _PX_PER_MAP_PX,
        use_simple_decoder=simple,
    )
    # On a CPU, the fused attention's backward pass in bfloat16 takes as long as everything else.
    model = library.VitPoseForPoseEstimation._from_config(config, attn_implementation="eager")
    _name_joints(model, layout)
    return Start(model, input_size, f"{SCRATCH} ({size})")


def _new_joints(model: Any, layout: Layout) -> None:
    head = plain_head(model)
    old = head.conv
    head.conv = nn.Conv2d(
        old.in_channels, len(layout), old.kernel_size, old.stride, old.padding, bias=True
    )
    nn.init.normal_(head.conv.weight, std=0.001)
    nn.init.zeros_(head.conv.bias)
    _name_joints(model, layout)


def _name_joints(model: Any, layout: Layout) -> None:
    config = model.config
    config.id2label = dict(enumerate(layout.joints))
    config.label2id = {name: i for i, name in enumerate(layout.joints)}
    config.edges = [list(edge) for edge in layout.edges]


def groups(model: Any, layer_decay: float, weight_decay: float) -> list[dict[str, Any]]:
    """The optimiser's groups: a `scale` of the learning rate by layer, and weight decay for
    matrices only.
    """
    layers = model.config.backbone_config.num_hidden_layers
    found: dict[tuple[int, bool], list[Any]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            matrix = weight.ndim > 1 and "position_embeddings" not in name
            found.setdefault((_depth(name, layers), matrix), []).append(weight)
    return [
        {
            "params": weights,
            "scale": layer_decay ** (layers + 1 - depth),
            "weight_decay": weight_decay if matrix else 0.0,
        }
        for (depth, matrix), weights in sorted(found.items(), key=lambda item: item[0])
    ]


def _depth(name: str, layers: int) -> int:
    if name.startswith("backbone.embeddings."):
        return 0
    if name.startswith("backbone.encoder.layer."):
        return int(name.split(".")[3]) + 1
    return layers + 1


def freeze_backbone(model: Any) -> None:
    """Train the head, and a neck, only."""
    model.backbone.requires_grad_(False)


def make_forward(model: Any) -> Any:
    """A function from crops to heatmaps, for training."""
    if model.config.use_simple_decoder and not isinstance(model.head, NeckedHead):
        return SimpleForward(model)
    return lambda pixels: model(pixel_values=pixels).heatmaps


class SimpleForward:
    """The forward pass of a network with the simple head: the same heatmaps, cheaper gradients.

    The head upsamples a map and then convolves it. Both are linear, so the convolution's products
    are computed on the small map, and one fixed matrix upsamples and shifts: this saves a third of
    the time of a step of the smallest network.

    Parameters
    ----------
    model : the network.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        backbone, factor = model.config.backbone_config, model.config.scale_factor
        rows, columns = (side // _PATCH for side in backbone.image_size)
        tokens = rows * columns
        single = torch.eye(tokens).reshape(tokens, 1, rows, columns)
        large = nn.functional.interpolate(single, scale_factor=factor, mode="bilinear")
        shifted = nn.functional.unfold(large, 3, padding=1)  # (tokens, 9, pixels)
        self._spread = shifted.reshape(tokens * 9, -1)
        self._map = (rows * factor, columns * factor)

    def __call__(self, pixels: Any) -> Any:
        """The heatmaps (N, K, H, W) of crops (N, 3, height, width)."""
        features = self._model.backbone(pixels).feature_maps[-1].relu()  # (N, tokens, width)
        conv = self._model.head.conv
        joints, width = conv.weight.shape[:2]
        weight = conv.weight.reshape(joints, width, 9).permute(1, 0, 2).reshape(width, -1)
        count, tokens = features.shape[:2]
        products = (features @ weight).reshape(count, tokens, joints, 9).transpose(1, 2)
        self._spread = self._spread.to(products.device)
        maps = products.reshape(count, joints, tokens * 9) @ self._spread.to(products.dtype)
        return maps.reshape(count, joints, *self._map) + conv.bias[:, None, None]


def save_checkpoint(model: Any, folder: Path) -> None:
    """Write config.json, model.safetensors and preprocessor_config.json, each atomically."""
    work = folder / ".part"
    work.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(work)
    height, width = model.config.backbone_config.image_size
    processor = {
        "do_affine_transform": True,
        "do_normalize": True,
        "do_rescale": True,
        "image_mean": list(MEAN),
        "image_processor_type": "VitPoseImageProcessor",
        "image_std": list(STD),
        "rescale_factor": 1 / 255,
        "size": {"height": height, "width": width},
    }
    text = json.dumps(processor, indent=2, sort_keys=True) + "\n"
    (work / PROCESSOR).write_text(text, encoding="utf-8")
    for name in (CONFIG, PROCESSOR, WEIGHTS):
        put_in_place(work / name, folder / name)
    for rest in work.iterdir():
        rest.unlink()
    work.rmdir()


def parts(model: Any) -> Iterator[Any]:
    """Weights and buffers, in a fixed order."""
    yield from model.parameters()
    yield from model.buffers()


def checkpoint_of(model: Any, size: Size) -> Checkpoint:
    """A trained network in the form that conversions take."""
    config = model.config
    return Checkpoint(
        finished(model), size[0], size[1], config.num_labels, None, describe(config, None)
    )
