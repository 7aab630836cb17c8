"""The network, a very small version of transformers' ViTPose, and its Hugging Face checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.layouts import LAYOUTS

LAYOUT = LAYOUTS["hand21"]
PATCH_PX = 16
PX_PER_MAP_PX = 4
SIDE_PX = 128


def make_codec(side_px: int = SIDE_PX) -> HeatmapCodec:
    """The codec of its heatmaps."""
    map_side = side_px // PX_PER_MAP_PX
    return HeatmapCodec((side_px, side_px), (map_side, map_side))


def make_model(side_px: int = SIDE_PX, width: int = 96, layers: int = 6, heads: int = 4) -> Any:
    """A ViTPose for the 21 joints of a hand, with random weights.

    Parameters
    ----------
    side_px : side of its square input.
    width, layers, heads : of the transformer; its MLPs are three times as wide.

    Returns
    -------
    transformers' VitPoseForPoseEstimation with the simple head.
    """
    from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation

    backbone = VitPoseBackboneConfig(
        image_size=[side_px, side_px],
        patch_size=[PATCH_PX, PATCH_PX],
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        mlp_ratio=3,
        num_experts=1,
        out_indices=[layers],
    )
    config = VitPoseConfig(
        backbone_config=backbone,
        num_labels=len(LAYOUT),
        id2label=dict(enumerate(LAYOUT.joints)),
        label2id={name: i for i, name in enumerate(LAYOUT.joints)},
        edges=[list(edge) for edge in LAYOUT.edges],
        scale_factor=PATCH_PX // PX_PER_MAP_PX,
        use_simple_decoder=True,
    )
    # On a CPU, the fused attention's backward pass in bfloat16 takes as long as everything else.
    return VitPoseForPoseEstimation._from_config(config, attn_implementation="eager")


def save_model(model: Any, folder: Path) -> None:
    """Write config.json, model.safetensors and preprocessor_config.json."""
    model.save_pretrained(folder)
    height, width = model.config.backbone_config.image_size
    processor = {
        "do_affine_transform": True,
        "do_normalize": True,
        "do_rescale": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": "VitPoseImageProcessor",
        "image_std": [0.229, 0.224, 0.225],
        "rescale_factor": 1 / 255,
        "size": {"height": height, "width": width},
    }
    text = json.dumps(processor, indent=2, sort_keys=True) + "\n"
    (folder / "preprocessor_config.json").write_text(text)


class TrainingForward:
    """The network's forward pass, with the same heatmaps but cheaper gradients.

    The head upsamples a map and then convolves it. Both are linear, so the convolution's products
    are computed on the small map, and one fixed matrix upsamples and shifts: this saves a third of
    a step's time.

    Parameters
    ----------
    model : from `make_model`.
    """

    def __init__(self, model: Any) -> None:
        import torch

        self._model = model
        backbone, factor = model.config.backbone_config, model.config.scale_factor
        rows, columns = (side // PATCH_PX for side in backbone.image_size)
        tokens = rows * columns
        single = torch.eye(tokens).reshape(tokens, 1, rows, columns)
        large = torch.nn.functional.interpolate(single, scale_factor=factor, mode="bilinear")
        shifted = torch.nn.functional.unfold(large, 3, padding=1)  # (tokens, 9, pixels)
        self._spread = shifted.reshape(tokens * 9, -1)
        self._map = (rows * factor, columns * factor)

    def __call__(self, pixels: Any) -> Any:
        """The heatmaps (N, 21, H, W) of crops (N, 3, height, width)."""
        features = self._model.backbone(pixels).feature_maps[-1].relu()  # (N, tokens, width)
        conv = self._model.head.conv
        joints, width = conv.weight.shape[:2]
        weight = conv.weight.reshape(joints, width, 9).permute(1, 0, 2).reshape(width, -1)
        count, tokens = features.shape[:2]
        products = (features @ weight).reshape(count, tokens, joints, 9).transpose(1, 2)
        maps = products.reshape(count, joints, tokens * 9) @ self._spread
        return maps.reshape(count, joints, *self._map) + conv.bias[:, None, None]
