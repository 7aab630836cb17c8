"""`vitpose_ros train`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from vitpose_ros.cli.options import add_action, add_store, open_store
from vitpose_ros.layouts import LAYOUTS

_TEXT = """Train a ViTPose on your own COCO keypoints, then convert it, compare it, and put it into
the store under --name, where the node finds it.

  vitpose_ros train --data annotated/ --images recordings/ --from vitpose-s --out my_hands/
  ros2 launch vitpose_ros pose.launch.py hand_model:=my_hands

--data is an annotation file, or a folder that `vitpose_ros annotate --write coco` wrote; --images
is what it was made from. --from is a model of the catalogue whose checkpoint was pulled, a folder
with config.json and model.safetensors, or scratch. A head for other joints is replaced.

OUT gets checkpoint/ (the best network so far), training.json, training.png, state.pt (for
--resume) and samples/ (what was cut out of the images; may be deleted afterwards).
"""

_EXIT = """exit codes:
  0  the model is in the store
  1  the data or the start cannot be used, the run failed, or its result must not be used
  2  usage error: an unknown option or model, or a value out of range"""


def register(subparsers: Any, epilog: str) -> None:
    """Add `train` to the tool's parser."""
    from vitpose_ros.train.plan import BATCH, SIZES

    action = add_action(subparsers, "train", "fine-tune a ViTPose on your own data", _EXIT)
    action.description = _TEXT
    data = action.add_argument_group("data")
    data.add_argument(
        "--data", nargs="+", type=Path, required=True, metavar="PATH", help="annotations"
    )
    data.add_argument("--images", type=Path, metavar="DIR", help="default: beside the annotations")
    data.add_argument(
        "--val",
        nargs="+",
        type=Path,
        default=[],
        metavar="PATH",
        help="annotations for validation (default: a part of --data, whole recordings if possible)",
    )
    data.add_argument(
        "--layout", choices=tuple(LAYOUTS), help="of the joints, if the data has several"
    )
    data.add_argument(
        "--min-score",
        type=float,
        default=0.5,
        metavar="NUMBER",
        help="of joints that a network found (default: 0.5)",
    )
    data.add_argument(
        "--empty",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="of crops without an object, so that scores there are low (default: 0.1); 0 where "
        "many objects are not labelled",
    )
    network = action.add_argument_group("network")
    network.add_argument(
        "--from", dest="start", required=True, metavar="START", help="model, folder or scratch"
    )
    network.add_argument("--size", choices=tuple(SIZES), help="from scratch (default: tiny)")
    network.add_argument(
        "--input",
        type=_size,
        metavar="WIDTHxHEIGHT",
        help="from scratch, px (default: 192x256, tiny 128x128)",
    )
    network.add_argument("--freeze", choices=("backbone",), default="", help="do not train it")
    network.add_argument("--fpn", action="store_true", help="add a feature pyramid before the head")
    network.add_argument(
        "--distill", default="", metavar="START", help="also learn a larger network's heatmaps"
    )
    run = action.add_argument_group("run")
    run.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="of the run")
    run.add_argument("--name", help="of the model (default: OUT's name)")
    run.add_argument("--epochs", type=int, default=20, metavar="N", help="default: 20")
    run.add_argument("--batch", type=int, default=BATCH, metavar="N", help=f"default: {BATCH}")
    run.add_argument(
        "--lr",
        type=float,
        metavar="RATE",
        help="default: 1.5e-3 from scratch, 2.5e-4 otherwise, for a batch of 48",
    )
    run.add_argument(
        "--amp",
        choices=("auto", "off", "bf16", "fp16"),
        default="auto",
        help="16-bit matrix products (default: where the processor has them)",
    )
    run.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1")
    run.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    run.add_argument("--workers", type=int, metavar="N", help="processes that prepare crops")
    run.add_argument("--threads", type=int, metavar="N", help="of torch (default: the other cores)")
    run.add_argument("--resume", action="store_true", help="go on with the run in OUT")
    run.add_argument("--licence", default="", help="of the result (default: that of the start)")
    action.add_argument("--quiet", action="store_true", help="show no progress")
    add_store(action, _train)


def _train(options: argparse.Namespace) -> int:
    # Late: only this command needs torch.
    from vitpose_ros.models.catalogue import NAME
    from vitpose_ros.models.convert.libraries import torch as import_torch
    from vitpose_ros.offline.errors import UsageError
    from vitpose_ros.train.errors import TrainError
    from vitpose_ros.train.plan import make_plan

    name = options.name or options.out.resolve().name
    if not NAME.fullmatch(name):
        raise UsageError(
            f"the name '{name}' is not valid: a name consists of lower-case letters, digits, '.', "
            "'_' and '-', and starts with a letter or digit; give one with --name"
        )
    for option, value in (("--workers", options.workers), ("--threads", options.threads)):
        if value is not None and not 0 <= value <= 256:
            raise UsageError(f"{option}: expected 0 to 256, got {value}")
    torch = import_torch()
    from vitpose_ros.train.device import choose_amp, choose_device
    from vitpose_ros.train.run import Job, train

    try:
        device = choose_device(options.device)
        plan = make_plan(
            options.start == "scratch",
            rate=options.lr,
            batch=options.batch,
            seed=options.seed,
            epochs=options.epochs,
            freeze=options.freeze,
            fpn=options.fpn,
            distill=options.distill,
            amp=choose_amp(options.amp, device),
            empty=options.empty,
        )
    except TrainError as error:
        raise UsageError(str(error)) from error
    cores = len(os.sched_getaffinity(0))
    workers = min(max(cores // 2, 1), 8) if options.workers is None else options.workers
    # Threads that wait for a core which a worker has lose more than they gain.
    torch.set_num_threads(options.threads or max(cores - workers, 1))
    job = Job(
        data=tuple(options.data),
        out=options.out,
        name=name,
        start=options.start,
        validation=tuple(options.val),
        images=options.images,
        layout=options.layout,
        size=options.size,
        input_size=options.input,
        least_score=options.min_score,
        licence=options.licence,
        device=device,
        workers=workers,
        resume=options.resume,
    )
    shown = Shown(sys.stderr, options.quiet)
    shown.say(f"on {device}, {plan.amp if plan.amp != 'off' else 'float32'} matrix products")
    manifest = train(job, plan, open_store(options), shown)
    parameter = "hand_model" if manifest.task == "hand_keypoints" else "body_model"
    print(f"{name}: ready; use it with {parameter}:={name}")
    return 0


class Shown:
    """Shows a run: sentences, and a line of progress that is rewritten on a terminal.

    Parameters
    ----------
    stream : where.
    quiet : show nothing.
    clock : steady time, s.
    """

    def __init__(
        self, stream: TextIO, quiet: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._quiet, self._clock = stream, quiet, clock
        self._live = stream.isatty()
        self._shown_s = clock()
        self._first: tuple[int, float] | None = None

    def say(self, text: str) -> None:
        """Show a sentence."""
        self._write(text, last=True)

    def cut(self, done: int, of: int) -> None:
        """Images that samples were cut from."""
        if self._due():
            self._write(f"cutting samples: image {done} of {of}")

    def step(self, step: int, steps: int, per_epoch: int, loss: float, seconds: float) -> None:
        """Epoch, step, loss and time left."""
        if self._first is None:
            self._first = step, seconds
        first, began_s = self._first
        if step > first and self._due():
            left_s = (seconds - began_s) / (step - first) * (steps - step)
            minutes, rest = divmod(round(left_s), 60)
            hours, minutes = divmod(minutes, 60)
            left = f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
            epoch, at = divmod(step - 1, per_epoch)
            self._write(
                f"epoch {epoch + 1}, step {at + 1} of {per_epoch}: loss {loss:.3f}, {left} left"
            )

    def _due(self) -> bool:
        now_s = self._clock()
        if now_s - self._shown_s < (0.2 if self._live else 10.0):
            return False
        self._shown_s = now_s
        return True

    def _write(self, text: str, last: bool = False) -> None:
        if self._quiet:
            return
        if self._live:
            self._stream.write(f"\r\x1b[K{text}" + ("\n" if last else ""))
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT such as 192x256, got '{text}'")
    return int(width), int(height)
