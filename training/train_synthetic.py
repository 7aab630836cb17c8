"""Trains a tiny ViTPose on rendered hands: reproducibly, on a CPU, in less than an hour.

    python training/train_synthetic.py --out OUT --cache CACHE

OUT gets a Hugging Face checkpoint and training_log.json; CACHE gets the rendered samples (about
4 GB). After an interruption, run the same command to continue from the last save.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from hand_crops import BACKGROUNDS, Batch, CropMaker, make_backgrounds
from held_out import figures
from sample_cache import HELD_OUT_SEED, SHARD, Recipe, Samples, samples_of
from tiny_vitpose import SIDE_PX, TrainingForward, make_codec, make_model, save_model

from vitpose_ros.keypoints.heatmap import HeatmapCodec

STATE, LOG = "training_state.pt", "training_log.json"

_log = logging.getLogger("training")


@dataclass(frozen=True)
class Plan:
    """All settings of a run.

    Attributes
    ----------
    seed : for the weights, the samples and their order.
    steps, batch : number of steps, and crops per step.
    calibrate : number of further steps that make the height of heatmaps honest, with crops that
        show no hand and equal weights for all pixels.
    calibrate_rate : AdamW's learning rate at the first of them; it falls to 0.
    empty : share of crops without a hand among those.
    rate : AdamW's learning rate, reached after `warm_up` steps and kept until `decay` steps before
        the end, when it falls to 0. Two runs that differ only in `steps` are therefore equal until
        the shorter one decays.
    weight_decay : AdamW's, on matrices.
    average : share of the averaged weights, which are the result, that remains at each step.
    side_px, width, layers, heads : of the network.
    free_shards, scene_shards : of the samples; see `sample_cache.Recipe`.
    bf16 : whether matrix products use bfloat16; weights are float32.
    """

    seed: int = 0
    steps: int = 8000
    calibrate: int = 1000
    calibrate_rate: float = 5e-4
    empty: float = 0.15
    batch: int = 48
    rate: float = 1.5e-3
    warm_up: int = 400
    decay: int = 2000
    weight_decay: float = 0.03
    average: float = 0.998
    side_px: int = SIDE_PX
    width: int = 96
    layers: int = 6
    heads: int = 4
    free_shards: int = 66
    scene_shards: int = 34
    bf16: bool = True

    @property
    def all_steps(self) -> int:
        """The total number of steps."""
        return self.steps + self.calibrate

    def rate_at(self, step: int) -> float:
        """The learning rate at a step."""
        if step >= self.steps:
            return self.calibrate_rate * (self.all_steps - step) / self.calibrate
        rising = (step + 1) / self.warm_up
        falling = (self.steps - step) / max(self.decay, 1)
        return self.rate * min(1.0, rising, falling)


class Crops(torch.utils.data.Dataset):
    """The batches of a plan; the batch of a step is always the same."""

    def __init__(self, plan: Plan, samples: Samples) -> None:
        self._plan, self._codec = plan, make_codec(plan.side_px)
        self._maker = CropMaker(samples, self._codec, make_backgrounds(plan.seed, BACKGROUNDS))

    def __len__(self) -> int:
        return self._plan.all_steps

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng((self._plan.seed, 1, step))
        empty = self._plan.empty if step >= self._plan.steps else 0.0
        batch = self._maker.training(self._plan.batch, rng, empty)
        (maps,) = self._codec.encode(batch.xy)
        pixels, weight = torch.from_numpy(batch.pixels), torch.from_numpy(batch.weight)
        return pixels, torch.from_numpy(maps), weight


class Run:
    """A training run and its state.

    Parameters
    ----------
    plan : the settings.
    out : the folder for the result; if it has the state of a run of this plan, the run continues.
    """

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self._out = plan, out
        torch.manual_seed(plan.seed)
        self.model = make_model(plan.side_px, plan.width, plan.layers, plan.heads)
        self.averaged = make_model(plan.side_px, plan.width, plan.layers, plan.heads)
        self.averaged.load_state_dict(self.model.state_dict())
        self._forward = TrainingForward(self.model)
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        self._optimiser = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": plan.weight_decay},
             {"params": others, "weight_decay": 0.0}],
            lr=plan.rate, betas=(0.9, 0.98),
        )  # fmt: skip
        self.step, self.seconds = 0, 0.0
        self.history: list[dict[str, float]] = []
        self._load()

    def train_step(self, pixels: torch.Tensor, maps: torch.Tensor, weight: torch.Tensor) -> float:
        """Do one step; returns the loss."""
        self.model.train()
        for group in self._optimiser.param_groups:
            group["lr"] = self.plan.rate_at(self.step)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.plan.bf16):
            found = self._forward(pixels)
        # In a map, about 25 of a thousand pixels belong to the joint. Weighting those more at first
        # speeds up learning, but makes peaks higher than the network's certainty.
        nearness = 1 + 4 * maps if self.step < self.plan.steps else 1.0
        loss = (weight[:, :, None, None] * nearness * (found.float() - maps) ** 2).mean() * 100
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self.step += 1
        share = 1 - min(self.plan.average, self.step / (self.step + 10))
        with torch.no_grad():
            for kept, new in zip(self.averaged.parameters(), self.model.parameters(), strict=True):
                kept.lerp_(new, share)
            for kept, new in zip(self.averaged.buffers(), self.model.buffers(), strict=True):
                kept.copy_(new)
        return float(loss.detach())

    def save(self) -> None:
        """Save the state atomically."""
        state = {
            "plan": asdict(self.plan),
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        part = self._out / (STATE + ".part")
        torch.save(state, part)
        os.replace(part, self._out / STATE)

    def _load(self) -> None:
        path = self._out / STATE
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        mine, its = asdict(self.plan), state["plan"]
        if {**mine, "steps": 0} != {**its, "steps": 0}:
            different = [name for name in mine if mine[name] != its[name]]
            raise ValueError(
                f"{path} belongs to a run with other {', '.join(different)}; give another --out, "
                "or delete that file to start again"
            )
        began = min(its["steps"], self.plan.steps) - self.plan.decay
        if its["steps"] != self.plan.steps and state["step"] > began:
            raise ValueError(
                f"{path} is at step {state['step']}, which is past step {began}, where runs of "
                f"{its['steps']} and of {self.plan.steps} steps begin to differ; give another "
                "--steps, or another --out"
            )
        self.step, self.seconds = state["step"], state["seconds"]
        self.history = state["history"]
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimiser.load_state_dict(state["optimiser"])


def errors_of(model: Any, batch: Batch, codec: HeatmapCodec) -> np.ndarray:
    """(N, 21) distances from the true joints, in palm lengths."""
    model.eval()
    with torch.no_grad():
        parts = [
            model(part).heatmaps.float().numpy()
            for part in torch.from_numpy(batch.pixels).split(64)
        ]
    found = codec.decode((np.concatenate(parts),)).xy
    distance = np.linalg.norm(found - batch.xy, axis=2) / batch.palm_px()[:, None]
    return np.where(np.isfinite(distance), distance, np.inf)


def train(
    plan: Plan, out: Path, cache: Path, workers: int = 1, every: int = 250, shard: int = SHARD
) -> dict[str, Any]:
    """Do a run, or continue one.

    Parameters
    ----------
    plan : the settings.
    out : the folder for the result.
    cache : the folder for rendered samples; missing ones are rendered.
    workers : number of processes that prepare crops; 0 for none.
    every : steps between saves, at which the held-out error is measured.
    shard : samples per shard.

    Returns
    -------
    The content of training_log.json.

    Raises
    ------
    ValueError : a folder has files of another plan.
    """
    out.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(plan.seed, plan.free_shards, plan.scene_shards, shard)
    samples = samples_of(cache / "train", recipe, max(workers, 1))
    unseen = samples_of(cache / "held_out", Recipe(HELD_OUT_SEED, 2, 2, shard), max(workers, 1))
    codec = make_codec(plan.side_px)
    maker = CropMaker(unseen, codec, make_backgrounds(HELD_OUT_SEED, 32))
    held_out = maker.held_out(np.arange(len(unseen)), np.random.default_rng(HELD_OUT_SEED))
    run = Run(plan, out)
    crops = Crops(plan, samples)
    loader = torch.utils.data.DataLoader(
        crops,
        batch_size=None,
        sampler=range(run.step, plan.all_steps),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )
    began, mean = time.monotonic() - run.seconds, 0.0
    for tensors in loader:
        loss = run.train_step(*tensors)
        mean = loss if not mean else 0.98 * mean + 0.02 * loss
        run.seconds = time.monotonic() - began
        if run.step % every == 0 or run.step == plan.all_steps:
            errors = errors_of(run.averaged, held_out, codec)
            now = figures(errors, held_out.visible)
            run.history.append({"step": run.step, "loss": round(mean, 4), **now})
            run.save()
            _log.info(
                "step %d of %d, %.0f s: loss %.3f, held-out median %.1f %%, p95 %.1f %% of the "
                "palm (visible joints), %.1f %% (all)",
                run.step, plan.all_steps, run.seconds, mean, now["visible_median_percent"],
                now["visible_p95_percent"], now["all_median_percent"],
            )  # fmt: skip
    save_model(run.averaged, out)
    log = {
        "plan": asdict(plan),
        "training_seconds": round(run.seconds),
        "parameters": sum(p.numel() for p in run.averaged.parameters()),
        "samples": recipe.count,
        "held_out_samples": len(unseen),
        "history": run.history,
        "versions": _versions(),
    }
    (out / LOG).write_text(json.dumps(log, indent=1) + "\n")
    return log


def _versions() -> dict[str, str]:
    import transformers

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "threads": str(torch.get_num_threads()),
    }


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the result")
    parser.add_argument("--cache", type=Path, required=True, help="folder of rendered samples")
    parser.add_argument("--workers", type=int, default=1, help="processes that prepare crops")
    parser.add_argument("--threads", type=int, default=2, help="of the training itself")
    parser.add_argument("--every", type=int, default=250, help="steps between two saves")
    for name, value in asdict(Plan()).items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            parser.add_argument(option, action=argparse.BooleanOptionalAction, default=value)
        else:
            parser.add_argument(option, type=type(value), default=value)
    given = vars(parser.parse_args(arguments))
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    cv2.setNumThreads(1)
    torch.set_num_threads(given.pop("threads"))
    rest = {name: given.pop(name) for name in ("out", "cache", "workers", "every")}
    try:
        train(Plan(**given), **rest)
    except ValueError as error:
        _log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
