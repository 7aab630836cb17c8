"""A checkpoint in memory, whatever kind of file it came from, and checks of its weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitpose_ros.models.catalogue import EXPERTS
from vitpose_ros.models.errors import ModelError

SIZES = {(384, 12): "S", (768, 12): "B", (1024, 24): "L", (1280, 32): "H"}
"""ViTPose's published sizes by width and number of layers."""


@dataclass(frozen=True)
class Checkpoint:
    """A network as published.

    Attributes
    ----------
    model : transformers' VitPoseForPoseEstimation in float32, in eval mode, without experts.
    width, height : its input, px.
    joints : K, the number of heatmaps.
    expert : the one of EXPERTS that was folded in or that the head belongs to; None if the
        checkpoint has no experts.
    network : dimensions of its architecture.
    notes : what was ignored, and why.
    """

    model: Any
    width: int
    height: int
    joints: int
    expert: str | None
    network: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """The number of weights."""
        return sum(weight.numel() for weight in self.model.parameters())


def describe(config: Any, expert: str | None) -> dict[str, Any]:
    """The main dimensions in a transformers configuration."""
    backbone = config.backbone_config
    shape = (backbone.hidden_size, backbone.num_hidden_layers)
    return {
        "size": SIZES.get(shape, "own"),
        "width": backbone.hidden_size,
        "layers": backbone.num_hidden_layers,
        "heads": backbone.num_attention_heads,
        "head": "simple" if config.use_simple_decoder else "classic",
        **({"neck": config.neck} if getattr(config, "neck", None) else {}),
        "expert": expert,
    }


def finished(model: Any) -> Any:
    """A model ready for export: float32, eval mode, no gradients."""
    return model.float().eval().requires_grad_(False)


def fit(
    path: Path, given: Mapping[str, Any], expected: Mapping[str, Any], what: str = "ViTPose"
) -> None:
    """Compare a checkpoint's weights with the network's.

    Raises
    ------
    ModelError : weights are missing, unexpected, of another shape, or not finite.
    """
    missing = [name for name in expected if name not in given]
    unknown = [name for name in given if name not in expected]
    shapes = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in given
        if name in expected and given[name].shape != expected[name].shape
    ]
    wild = [name for name, weight in given.items() if not weight.isfinite().all()]
    complain(path, what, missing, unknown, shapes, wild)


def complain(
    path: Path,
    what: str,
    missing: Iterable[str],
    unknown: Iterable[str],
    shapes: Iterable[str] = (),
    wild: Iterable[str] = (),
) -> None:
    """Raise a ModelError that lists the given weights, if there are any."""
    parts = [
        f"{problem}: {_listed(names)}"
        for problem, names in (
            ("missing", sorted(missing)),
            ("unexpected", sorted(unknown)),
            ("of another shape", sorted(shapes)),
            ("not finite", sorted(wild)),
        )
        if names
    ]
    if parts:
        raise ModelError(
            f"the weights in {path} are not those of a {what} network. {'; '.join(parts)}. "
            "Check that the file is complete and belongs to this architecture."
        )


def _listed(names: list[str], limit: int = 10) -> str:
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


def fold(path: Path, state: Mapping[str, Any], expert: str) -> dict[str, Any]:
    """The weights of the plain network that equals a mixture of experts with one expert chosen.

    The expert computes the last features of each block's second layer, which are concatenated with
    the shared ones; stacking the rows of both layers is equivalent (ViTPose+, arXiv:2212.04246,
    section 3). The other experts are dropped. Names are the same in the authors' files and in
    transformers.

    Raises
    ------
    ModelError : the expert's weights are missing or of a shape that does not fit.
    """
    index = list(EXPERTS).index(expert)
    parts = {
        name: name.replace(".fc2.", f".experts.{index}.") for name in state if ".mlp.fc2." in name
    }
    complain(path, "ViTPose+", [part for part in parts.values() if part not in state], [])
    shapes = [p for n, p in parts.items() if state[n].shape[1:] != state[p].shape[1:]]
    complain(path, "ViTPose+", [], [], shapes)
    plain: dict[str, Any] = {}
    for name, weight in state.items():
        if ".mlp.experts." in name:
            continue
        if name in parts:
            part = state[parts[name]]
            weight = weight.new_empty((weight.shape[0] + part.shape[0], *weight.shape[1:]))
            weight[: -part.shape[0]] = state[name]
            weight[-part.shape[0] :] = part
        plain[name] = weight
    return plain


def choose_expert(path: Path, expert: str | None, count: int) -> str:
    """The expert to use from a checkpoint that has several; ModelError if it has no such expert or
    none was given.
    """
    names = list(EXPERTS)[:count]
    if expert in names:
        return str(expert)
    given = f"got '{expert}'" if expert else "choose one with --expert"
    raise ModelError(
        f"{path} is a ViTPose+ checkpoint with {count} experts, one per data set; {given}. "
        f"Accepted: {', '.join(names)}."
    )
