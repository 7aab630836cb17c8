"""Random ViTPose networks in every form that a checkpoint comes in, and what they must give.

`Authors` is the network as its authors wrote it (ViTAE-Transformer/ViTPose: vit.py, vit_moe.py,
topdown_heatmap_simple_head.py), as a state dict with their key names and a forward pass in plain
torch: what a .pth file is compared with does not pass through the code under test.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.models.convert.libraries import NEEDED

HEADS = {"coco": 17, "aic": 14, "mpii": 16, "ap10k": 17, "apt36k": 17, "wholebody": 133}


@pytest.fixture(scope="session")
def torch() -> Any:
    """Torch, with everything else that a conversion needs."""
    for name in NEEDED:
        pytest.importorskip(name, reason=f"needs {name}: make test-convert")
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return torch


@dataclass
class Authors:
    """A random network in the authors' words: weights in every place differ, so that none can be
    swapped with another unseen.
    """

    torch: Any
    width: int = 384
    layers: int = 2
    attention_heads: int = 12
    joints: int = 17
    simple: bool = False
    experts: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    part: int = 96
    seed: int = 0
    state: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = self.torch.Generator().manual_seed(self.seed)
        width, state = self.width, self.state
        state["backbone.pos_embed"] = self._normal(1, 16 * 12 + 1, width) * 0.3
        state["backbone.patch_embed.proj.weight"] = self._normal(width, 3, 16, 16) * 0.04
        state["backbone.patch_embed.proj.bias"] = self._normal(width) * 0.1
        for i in range(self.layers):
            block = f"backbone.blocks.{i}."
            self._norm(block + "norm1")
            self._linear(block + "attn.qkv", 3 * width, width)
            self._linear(block + "attn.proj", width, width)
            self._norm(block + "norm2")
            self._linear(block + "mlp.fc1", 4 * width, width)
            shared = width - self.part if self.experts else width
            self._linear(block + "mlp.fc2", shared, 4 * width)
            for k in range(len(self.experts)):
                self._linear(f"{block}mlp.experts.{k}", self.part, 4 * width)
        self._norm("backbone.last_norm")
        self._head("keypoint_head.", self.joints)
        for k, name in enumerate(self.experts[1:] or self.others):
            self._head(f"associate_keypoint_heads.{k}.", HEADS[name])

    def _normal(self, *shape: int) -> Any:
        return self.torch.randn(shape, generator=self.random)

    def _linear(self, name: str, rows: int, columns: int) -> None:
        self.state[name + ".weight"] = self._normal(rows, columns) / columns**0.5
        self.state[name + ".bias"] = self._normal(rows) * 0.1

    def _norm(self, name: str, channels: int | None = None) -> None:
        self.state[name + ".weight"] = 1 + 0.2 * self._normal(channels or self.width)
        self.state[name + ".bias"] = 0.2 * self._normal(channels or self.width)

    def _head(self, head: str, joints: int) -> None:
        state, channels = self.state, self.width
        if self.simple:
            state[head + "final_layer.weight"] = self._normal(joints, channels, 3, 3) * 0.02
        else:
            for i in (0, 3):
                shape = (channels, 256, 4, 4)
                state[f"{head}deconv_layers.{i}.weight"] = self._normal(*shape) * 0.03
                norm = f"{head}deconv_layers.{i + 1}"
                self._norm(norm, 256)
                state[norm + ".running_mean"] = 0.1 * self._normal(256)
                state[norm + ".running_var"] = 0.5 + self._normal(256).abs()
                state[norm + ".num_batches_tracked"] = self.torch.tensor(7)
                channels = 256
            state[head + "final_layer.weight"] = self._normal(joints, channels, 1, 1) * 0.06
        state[head + "final_layer.bias"] = self._normal(joints) * 0.1

    def heatmaps(self, image: np.ndarray, expert: str | None = None) -> np.ndarray:
        """The authors' forward pass."""
        with self.torch.no_grad():
            return self._forward(self.torch.from_numpy(image), expert).numpy()

    def _forward(self, image: Any, expert: str | None) -> Any:
        f, state = self.torch.nn.functional, self.state
        heads = self.experts or ("coco", *self.others)
        index = heads.index(expert) if expert else 0
        patch = "backbone.patch_embed.proj."
        x = f.conv2d(image, state[patch + "weight"], state[patch + "bias"], stride=16, padding=2)
        batch, channels, rows, columns = x.shape
        x = x.flatten(2).transpose(1, 2)
        x = x + state["backbone.pos_embed"][:, 1:] + state["backbone.pos_embed"][:, :1]
        for i in range(self.layers):
            block = f"backbone.blocks.{i}."
            y = self._apply_linear(block + "attn.qkv", self._apply_norm(block + "norm1", x))
            y = y.reshape(batch, -1, 3, self.attention_heads, channels // self.attention_heads)
            q, k, v = y.permute(2, 0, 3, 1, 4)
            weights = (q * (channels // self.attention_heads) ** -0.5) @ k.transpose(-2, -1)
            y = (weights.softmax(dim=-1) @ v).transpose(1, 2).reshape(batch, -1, channels)
            x = x + self._apply_linear(block + "attn.proj", y)
            y = f.gelu(self._apply_linear(block + "mlp.fc1", self._apply_norm(block + "norm2", x)))
            parts = [self._apply_linear(block + "mlp.fc2", y)]
            if self.experts:
                parts.append(self._apply_linear(f"{block}mlp.experts.{index}", y))
            x = x + self.torch.cat(parts, dim=-1)
        x = self._apply_norm("backbone.last_norm", x)
        x = x.permute(0, 2, 1).reshape(batch, channels, rows, columns)
        head = f"associate_keypoint_heads.{index - 1}." if index else "keypoint_head."
        if self.simple:
            x = f.interpolate(x.relu(), scale_factor=4, mode="bilinear", align_corners=False)
        for i in () if self.simple else (0, 3):
            layer = f"{head}deconv_layers.{i}.weight"
            norm = f"{head}deconv_layers.{i + 1}."
            x = f.conv_transpose2d(x, state[layer], stride=2, padding=1)
            x = f.batch_norm(
                x,
                state[norm + "running_mean"],
                state[norm + "running_var"],
                state[norm + "weight"],
                state[norm + "bias"],
            ).relu()
        last = head + "final_layer."
        padding = 1 if self.simple else 0
        return f.conv2d(x, state[last + "weight"], state[last + "bias"], padding=padding)

    def _apply_linear(self, name: str, x: Any) -> Any:
        return self.torch.nn.functional.linear(
            x, self.state[name + ".weight"], self.state[name + ".bias"]
        )

    def _apply_norm(self, name: str, x: Any) -> Any:
        return self.torch.nn.functional.layer_norm(
            x, x.shape[-1:], self.state[name + ".weight"], self.state[name + ".bias"], 1e-6
        )

    def save(self, path: Path, **meta: Any) -> Path:
        """A .pth file as MMPose writes it."""
        self.torch.save({"meta": meta, "state_dict": self.state}, path)
        return path


@pytest.fixture
def authors(torch):
    """Make a random network in the authors' words."""
    return lambda **settings: Authors(torch, **settings)


def _hub_model(torch: Any, *, seed: int = 0, **settings: Any) -> Any:
    from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation

    labels, simple = settings.pop("labels", 17), settings.pop("simple", False)
    layers = settings.get("num_hidden_layers", 2)
    backbone = VitPoseBackboneConfig(
        **{
            "image_size": (256, 192),
            "hidden_size": 384,
            "num_hidden_layers": layers,
            "num_attention_heads": 12,
            "layer_norm_eps": 1e-6,
            "part_features": 96,
            "out_indices": [layers],
        }
        | settings
    )
    config = VitPoseConfig(backbone_config=backbone, num_labels=labels, use_simple_decoder=simple)
    model = VitPoseForPoseEstimation(config).eval()
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():  # transformers' own start is zero or one in many places
        for name, weight in model.state_dict().items():
            noise = torch.randn(weight.shape, generator=random)
            if "num_batches" in name:
                continue
            if "running_var" in name:
                weight.copy_(0.5 + noise.abs())
            elif weight.ndim == 1:
                weight.add_(0.1 * noise)
            elif "position" in name:
                weight.copy_(0.3 * noise)
    return model


@pytest.fixture(scope="session")
def hub_model(torch):
    """Make a random network of transformers: classic S with two layers unless told otherwise."""
    return lambda **settings: _hub_model(torch, **settings)


@pytest.fixture(scope="session")
def transformers_heatmaps(torch):
    """What transformers itself gives."""

    def run(model: Any, image: np.ndarray, expert: int | None = None) -> np.ndarray:
        index = None if expert is None else torch.full((len(image),), expert)
        with torch.no_grad():
            return model(torch.from_numpy(image), dataset_index=index).heatmaps.numpy()

    return run


@pytest.fixture(scope="session")
def images():
    """Random normalised images, NCHW."""

    def make(batch: int = 3, width: int = 192, height: int = 256) -> np.ndarray:
        return np.random.default_rng(7).standard_normal((batch, 3, height, width), np.float32)

    return make


@pytest.fixture(scope="session")
def run_network():
    """The converted network on the package's CPU engine."""

    def run(folder: Path, image: np.ndarray) -> np.ndarray:
        return OpenVinoEngine(folder / "model.onnx").run({"image": image})["heatmaps"]

    return run
