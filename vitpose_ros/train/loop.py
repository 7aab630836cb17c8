"""The training run: steps, averaged weights, evaluation, and a state from which it goes on exactly.

Needs torch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vitpose_ros.layouts import Layout
from vitpose_ros.models.files import put_in_place
from vitpose_ros.train.crops import CropMaker, make_codec
from vitpose_ros.train.errors import TrainError
from vitpose_ros.train.network import freeze_backbone, groups, make_forward, parts
from vitpose_ros.train.plan import Plan
from vitpose_ros.train.samples import Samples
from vitpose_ros.train.score import Score, score

STATE = "state.pt"
SAVE_S = 300.0
"""Seconds between saves within an epoch."""

_BETAS = (0.9, 0.98)
_CLIP = 1.0
_EVALUATED = 64  # crops at a time


class Crops(torch.utils.data.Dataset):
    """The batches of a run; the batch of a step is always the same.

    Parameters
    ----------
    plan, samples, layout : of the run.
    """

    def __init__(self, plan: Plan, samples: Samples, layout: Layout) -> None:
        self._plan, self._count = plan, len(samples)
        self._maker = CropMaker(samples, layout)
        self.per_epoch = max(len(samples) // plan.batch, 1)

    def __len__(self) -> int:
        return self._plan.epochs * self.per_epoch

    def __getitem__(self, step: int) -> tuple[Any, Any, Any]:
        epoch, at = divmod(step, self.per_epoch)
        order = np.random.default_rng((self._plan.seed, 1, epoch)).permutation(self._count)
        rows = order[at * self._plan.batch : (at + 1) * self._plan.batch]
        batch = self._maker.training(rows, np.random.default_rng((self._plan.seed, 2, step)))
        (maps,) = self._maker.codec.encode(batch.xy)
        pixels, weight = torch.from_numpy(batch.pixels), torch.from_numpy(batch.weight)
        return pixels, torch.from_numpy(maps), weight


class Run:
    """A run and its state.

    Parameters
    ----------
    plan : the settings.
    model : the network, which is trained in place.
    averaged : a copy of it, whose weights become the average.
    steps : of the whole run.
    device : a torch device's name.
    teacher : a network for the same joints and input; None for none.
    """

    def __init__(
        self,
        plan: Plan,
        model: Any,
        averaged: Any,
        steps: int,
        device: str = "cpu",
        teacher: Any = None,
    ) -> None:
        self.plan, self.steps, self.device = plan, steps, device
        self.model, self.averaged = model.to(device), averaged.to(device).requires_grad_(False)
        self._teacher = None if teacher is None else teacher.to(device).eval()
        if plan.freeze:
            freeze_backbone(self.model)
        self._forward = make_forward(self.model)
        self._optimiser = torch.optim.AdamW(
            groups(self.model, plan.layer_decay, plan.weight_decay), lr=plan.rate, betas=_BETAS
        )
        self._kind = device.split(":")[0]
        self._scaler = torch.amp.GradScaler(self._kind, enabled=plan.amp == "fp16")
        self._type = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(plan.amp)
        self.step, self.seconds, self.loss = 0, 0.0, 0.0
        self.best: tuple[float, ...] | None = None
        self.history: list[dict[str, Any]] = []

    def train_step(self, pixels: Any, maps: Any, weight: Any) -> float:
        """Do one step; the loss.

        Raises
        ------
        TrainError : the loss or a gradient is not finite; the weights are those before the step.
        """
        self._train_mode()
        rate = self.plan.rate_at(self.step, self.steps)
        for group in self._optimiser.param_groups:
            group["lr"] = rate * group["scale"]
        pixels, maps, weight = (part.to(self.device) for part in (pixels, maps, weight))
        with torch.autocast(self._kind, self._type, enabled=self._type is not None):
            found = self._forward(pixels).float()
        loss = self._loss(found, pixels, maps, weight)
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimiser)
        trained = [w for group in self._optimiser.param_groups for w in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(trained, _CLIP)
        value = float(loss.detach())
        # Where gradients are scaled, an infinite one is answered by a smaller scale.
        if not math.isfinite(value) or not (self._scaler.is_enabled() or math.isfinite(norm)):
            raise _diverged(self.step, rate, self.plan)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self.loss = value if not self.loss else 0.98 * self.loss + 0.02 * value
        self._average()
        return value

    def _train_mode(self) -> None:
        self.model.train()
        if self.plan.freeze:
            self.model.backbone.eval()

    def _loss(self, found: Any, pixels: Any, maps: Any, weight: Any) -> Any:
        near = self.plan.near_at(self.step, self.steps)
        loss = (weight[:, :, None, None] * (1 + near * maps) * (found - maps) ** 2).mean()
        if self._teacher is not None:
            with torch.no_grad():
                taught = self._teacher(pixel_values=pixels).heatmaps.float()
            weights = 1 + near * taught.clamp(0, 1)
            other = (weights * (found - taught) ** 2).mean()
            loss = (1 - self.plan.taught) * loss + self.plan.taught * other
        return 100 * loss

    def _average(self) -> None:
        share = 1 - min(self.plan.average, self.step / (self.step + 10))
        with torch.no_grad():
            for kept, new in zip(parts(self.averaged), parts(self.model), strict=True):
                if kept.is_floating_point():
                    kept.lerp_(new, share)
                else:
                    kept.copy_(new)

    def save(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Save the state atomically.

        Parameters
        ----------
        about : what the run was started with, for `load`.
        """
        state = {
            "plan": asdict(self.plan),
            "about": dict(about),
            "step": self.step,
            "steps": self.steps,
            "seconds": self.seconds,
            "loss": self.loss,
            "best": self.best,
            "history": self.history,
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
        }
        part = folder / f".{STATE}.part"
        torch.save(state, part)
        put_in_place(part, folder / STATE)

    def load(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Go on from a saved state.

        Raises
        ------
        TrainError : it cannot be read, or belongs to a run with other settings or data.
        """
        path = folder / STATE
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")
        except Exception as error:  # torch raises many kinds
            raise TrainError(
                f"{path} cannot be read ({error}); start again with another --out"
            ) from error
        mine = {**asdict(self.plan), **about, "steps": self.steps}
        its = {**state["plan"], **state["about"], "steps": state["steps"]}
        if different := sorted(name for name in mine if mine[name] != its.get(name)):
            told = ", ".join(f"{name} {its.get(name)} (now {mine[name]})" for name in different[:4])
            raise TrainError(
                f"{folder} has a run with other settings or data: {told}. Give the same ones to "
                "resume it, or another --out"
            )
        for name in ("step", "seconds", "loss", "history"):
            setattr(self, name, state[name])
        self.best = None if state["best"] is None else tuple(state["best"])
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._scaler.load_state_dict(state["scaler"])


def _diverged(step: int, rate: float, plan: Plan) -> TrainError:
    amp = " or --amp off" if plan.amp != "off" else ""
    return TrainError(
        f"the loss is not finite at step {step} (learning rate {rate:.2g}). The best checkpoint so "
        f"far is kept. Train again with a lower --lr{amp} and another --out; --from may be that "
        "checkpoint"
    )


def run_steps(
    run: Run,
    crops: Crops,
    workers: int,
    folder: Path,
    about: Mapping[str, Any],
    ended: Callable[[int], None],
    tell: Callable[[], None],
    clock: Callable[[], float] = time.monotonic,
    save_s: float = SAVE_S,
) -> None:
    """Do the steps that are left.

    Parameters
    ----------
    run, crops : the run and its batches.
    workers : processes that prepare batches; 0 for none.
    folder, about : see `Run.save`.
    ended : called with the number of each finished epoch, before the state is saved.
    tell : called after each step.
    clock : steady time, s.
    save_s : seconds between saves within an epoch.
    """
    loader = torch.utils.data.DataLoader(
        crops,
        batch_size=None,
        sampler=range(run.step, len(crops)),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )
    began_s = clock() - run.seconds
    saved_s = clock()
    try:
        for tensors in loader:
            run.train_step(*tensors)
            run.seconds = clock() - began_s
            tell()
            if run.step % crops.per_epoch == 0:
                ended(run.step // crops.per_epoch)
            if run.step % crops.per_epoch == 0 or clock() - saved_s >= save_s:
                run.save(folder, about)
                saved_s = clock()
    except torch.cuda.OutOfMemoryError as error:
        raise _no_room(run) from error
    except RuntimeError as error:
        if "not enough memory" in str(error):  # of the CPU
            raise _no_room(run) from error
        if "DataLoader worker" in str(error):
            raise TrainError(
                f"a process that prepares crops ended ({' '.join(str(error).split())[:200]}). It "
                "may have run out of memory: go on with --resume and fewer --workers"
            ) from error
        raise


def _no_room(run: Run) -> TrainError:
    return TrainError(
        f"a batch of {run.plan.batch} crops does not fit into the memory of {run.device}. Train "
        f"with --batch {max(run.plan.batch // 2, 1)} (and another --out), or with --freeze backbone"
    )


def evaluate(
    model: Any, samples: Samples, layout: Layout, device: str = "cpu", seed: int = 0
) -> Score:
    """How good a network is on samples that it did not learn from.

    Parameters
    ----------
    model : gives `heatmaps` of `pixel_values`.
    samples, layout : the labels.
    seed : of the regions' errors; the same seed gives the same crops.
    """
    model.eval()

    def heatmaps(pixels: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            found = model(pixel_values=torch.from_numpy(pixels).to(device)).heatmaps
        return np.asarray(found.float().cpu().numpy())

    return evaluate_with(heatmaps, samples, layout, seed)


def evaluate_with(
    heatmaps: Callable[[np.ndarray], np.ndarray], samples: Samples, layout: Layout, seed: int = 0
) -> Score:
    """The same for anything that gives heatmaps (N, K, H, W) of crops (N, 3, height, width)."""
    maker, codec = CropMaker(samples, layout), make_codec(samples.size)
    rng = np.random.default_rng((seed, 3))
    rows: list[tuple[np.ndarray, ...]] = []
    for start in range(0, len(samples), _EVALUATED):
        batch = maker.held_out(np.arange(start, min(start + _EVALUATED, len(samples))), rng)
        decoded = codec.decode((heatmaps(batch.pixels),))
        rows.append((decoded.xy, decoded.score, batch.xy, batch.weight, batch.area))
    found, scores, true, weight, area = (np.concatenate(part) for part in zip(*rows, strict=True))
    return score(found, scores, true, weight, area, layout)
