"""A feature pyramid between the backbone and the head of a ViTPose.

ViTPose's last features have one stride, 16 px. The pyramid makes maps at 1, 2, 4 and 8 times that
stride from them by convolutions, adds them up from the coarsest to the finest (Lin et al., Feature
Pyramid Networks, CVPR 2017), and adds the result to the features. It gives the head context, but no
resolution: that would need earlier layers. Its last layer starts at zero, so that a network with a
new neck gives what it gave without.

Needs torch.
"""

from __future__ import annotations

from typing import Any

from torch import nn

KEY, FPN = "neck", "fpn"
"""The entry of config.json, and its only value."""

LEVELS = 4


class Pyramid(nn.Module):
    """The pyramid: features (N, C, h, w) in, the same shape out.

    Parameters
    ----------
    width : C.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = max(32, width // 4)
        self.reduce = nn.Conv2d(width, inner, 1)
        self.down = nn.ModuleList(
            nn.Conv2d(inner, inner, 3, stride=2, padding=1) for _ in range(LEVELS - 1)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(inner, inner, 1) for _ in range(LEVELS))
        self.smooth = nn.Conv2d(inner, inner, 3, padding=1)
        self.expand = nn.Conv2d(inner, width, 1)
        for weight in self.expand.parameters():
            nn.init.zeros_(weight)

    def forward(self, features: Any) -> Any:
        """The features with context added."""
        levels = [self.reduce(features).relu()]
        for down in self.down:
            levels.append(down(levels[-1]).relu())
        total = self.lateral[-1](levels[-1])
        for level, lateral in zip(levels[-2::-1], self.lateral[-2::-1], strict=True):
            size = [int(side) for side in level.shape[2:]]
            total = nn.functional.interpolate(total, size=size, mode="bilinear")
            total = total + lateral(level)
        return features + self.expand(self.smooth(total).relu())


class NeckedHead(nn.Module):
    """A head behind a pyramid."""

    def __init__(self, neck: Pyramid, plain: Any) -> None:
        super().__init__()
        self.neck, self.plain = neck, plain

    def forward(self, hidden_state: Any, flip_pairs: Any = None) -> Any:
        """The heatmaps of features (N, C, h, w)."""
        return self.plain(self.neck(hidden_state), flip_pairs)


def add_neck(model: Any) -> None:
    """Put a new pyramid into transformers' VitPoseForPoseEstimation, and note it in its config."""
    setattr(model.config, KEY, FPN)
    model.head = NeckedHead(Pyramid(model.config.backbone_config.hidden_size), model.head)


def plain_head(model: Any) -> Any:
    """The head itself, with or without a neck before it."""
    return model.head.plain if isinstance(model.head, NeckedHead) else model.head
