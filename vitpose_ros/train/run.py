"""`vitpose_ros train`: from labels to a model in the store. Needs torch."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from vitpose_ros.bench.errors import BenchError
from vitpose_ros.keypoints.warp import Size
from vitpose_ros.layouts import Layout
from vitpose_ros.models.convert.libraries import NEEDED, versions
from vitpose_ros.models.convert.neck import KEY, add_neck
from vitpose_ros.models.files import write_whole
from vitpose_ros.models.manifest import Manifest, read_manifest
from vitpose_ros.models.store import ModelStore
from vitpose_ros.train.errors import TrainError
from vitpose_ros.train.labels import Labels, read_labels
from vitpose_ros.train.loop import STATE, Crops, Run, evaluate, run_steps
from vitpose_ros.train.network import SCRATCH, Start, open_start, save_checkpoint
from vitpose_ros.train.plan import Plan
from vitpose_ros.train.plot import plot
from vitpose_ros.train.result import install
from vitpose_ros.train.samples import Samples, cut_samples
from vitpose_ros.train.score import size_name, text
from vitpose_ros.train.split import split

LOG, PICTURE, CHECKPOINT = "training.json", "training.png", "checkpoint"
"""In the folder of a run: its log, the picture of its curve, and the best network so far."""

FORMAT = 1
"""The version of the log's format."""


class Report(Protocol):
    """Whoever shows a run to people."""

    def say(self, text: str) -> None:
        """A sentence."""

    def cut(self, done: int, of: int) -> None:
        """Images that samples were cut from."""

    def step(self, step: int, steps: int, per_epoch: int, loss: float, seconds: float) -> None:
        """A step was done; the seconds are those of all steps so far."""


@dataclass(frozen=True)
class Job:
    """What a run is given, and where its results go.

    Attributes
    ----------
    data, validation : annotation files and folders; no `validation` divides `data`.
    images : the folder of the images of `data`, and of `validation`; None for beside the files.
    start : see `network.open_start`.
    out : the run's folder.
    name : the model's name in the store.
    layout : see `labels.read_labels`.
    size, input_size : of a network from scratch.
    least_score : see `labels.read_labels`.
    licence : of the result; "" takes that of the start.
    device : a torch device's name.
    workers : processes that prepare batches.
    resume : go on with the run in `out`.
    """

    data: tuple[Path, ...]
    out: Path
    name: str
    start: str
    validation: tuple[Path, ...] = ()
    images: Path | None = None
    layout: str | None = None
    size: str | None = None
    input_size: Size | None = None
    least_score: float = 0.5
    licence: str = ""
    device: str = "cpu"
    workers: int = 1
    resume: bool = False


def train(job: Job, plan: Plan, store: ModelStore, report: Report) -> Manifest:
    """Train a network, convert it, compare it, and put it into the store.

    Returns
    -------
    The model's manifest.

    Raises
    ------
    TrainError, ModelError, EngineError : the data, the start or a setting cannot be used, the run
        failed, or the result must not be used. Nothing half-written has a final name.
    """
    if job.name in store.catalogue.names() and not _is_own(store, job.name):
        raise TrainError(
            f"the catalogue already has a model '{job.name}'; give yours another name with --name"
        )
    labels, held = _labels(job, plan, report)
    torch.manual_seed(plan.seed)  # for new weights
    start = open_start(store, job.start, labels.layout, job.size, job.input_size)
    teacher = _teacher(store, plan, start, labels.layout)
    about = _about(job, plan, start, labels, held)
    run_id = hashlib.sha256(json.dumps([asdict(plan), about], sort_keys=True).encode()).hexdigest()
    _check_free(store, job.name, run_id)
    _prepare(job)
    with _disk(job.out):
        samples = _samples(job, plan, labels, start.size, "train", report)
        unseen = _samples(job, plan, held, start.size, "validation", report)
        for note in start.notes:
            report.say(note)
        run, crops, log = _run(job, plan, start, teacher, samples, unseen, labels.layout, about)
        _train(job, run, crops, log, about, unseen, labels.layout, report)
        try:
            manifest = install(
                job.out / CHECKPOINT,
                store.root / job.name,
                log,
                run_id,
                job.licence or start.licence,
                unseen,
                labels.layout,
                report.say,
            )
        finally:
            _write_log(job.out, log)
    report.say(f"in the package: {text(log['result'], size_name(labels.layout))}")
    return manifest


# --- the data -----------------------------------------------------------------------------------


def _labels(job: Job, plan: Plan, report: Report) -> tuple[Labels, Labels]:
    """The labels to learn from, and those to be judged by."""
    labels = read_labels(job.data, job.layout, job.least_score)
    found = "found by a network" if labels.found else "labelled"
    dropped = "".join(f", {count} {reason}" for reason, count in labels.dropped.items())
    report.say(
        f"layout {labels.layout.name}: {len(labels.labels)} objects {found} in "
        f"{len(labels.images)} images" + (f"; not used:{dropped[1:]}" if dropped else "")
    )
    if job.validation:
        held = read_labels(job.validation, labels.layout.name, job.least_score)
        both = {file.sha256 for file in labels.files} & {file.sha256 for file in held.files}
        if both:
            raise TrainError(
                "--val: a file is also in --data; a network cannot be judged by what it learned "
                "from. Omit --val, and a part of the data is held out"
            )
        by = "given"
    else:
        divided = split(labels, plan.seed)
        labels, held, by = divided.train, divided.validation, divided.by
    report.say(
        f"{len(labels.labels)} to learn from, {len(held.labels)} for validation (by {by})"
        if by != "given"
        else f"{len(labels.labels)} to learn from, {len(held.labels)} for validation"
    )
    if by == "images":
        report.say(
            "images were divided one by one; if they are frames of a video, give other recordings "
            "with --val, or put each recording's images into its own folder"
        )
    return labels, held


def _samples(
    job: Job, plan: Plan, labels: Labels, size: Size, part: str, report: Report
) -> Samples:
    folder = job.out / "samples" / part
    return cut_samples(folder, labels, job.images, size, plan.empty, plan.seed, report.cut)


def _about(job: Job, plan: Plan, start: Start, labels: Labels, held: Labels) -> dict[str, Any]:
    """What a run was started with, besides its plan."""
    return {
        "layout": labels.layout.name,
        "input": list(start.size),
        "start": start.name,
        "start_sha256": start.sha256,
        "data_sha256": labels.digest,
        "validation_sha256": held.digest,
        "least_score": job.least_score,
    }


# --- the run ------------------------------------------------------------------------------------


def _teacher(store: ModelStore, plan: Plan, start: Start, layout: Layout) -> Any:
    if not plan.distill:
        return None
    teacher = open_start(store, plan.distill, layout)
    if not teacher.knows:
        raise TrainError(
            f"--distill: '{plan.distill}' has other joints than the layout '{layout.name}'; choose "
            "a network for the same joints, or train one for them first"
        )
    if teacher.size != start.size:
        raise TrainError(
            f"--distill: '{plan.distill}' has an input of {teacher.size[0]}x{teacher.size[1]} px, "
            f"the network that learns from it {start.size[0]}x{start.size[1]}; both need the same "
            f"(--from {SCRATCH} --input {teacher.size[0]}x{teacher.size[1]})"
        )
    return teacher.model.requires_grad_(False)


def _run(
    job: Job,
    plan: Plan,
    start: Start,
    teacher: Any,
    samples: Samples,
    unseen: Samples,
    layout: Layout,
    about: Mapping[str, Any],
) -> tuple[Run, Crops, dict[str, Any]]:
    """The run, new or as it was left, and its log."""
    if plan.fpn:
        if getattr(start.model.config, KEY, None):
            raise TrainError(f"--fpn: '{start.name}' already has a feature pyramid; omit it")
        add_neck(start.model)
    crops = Crops(plan, samples, layout)
    averaged = copy.deepcopy(start.model)
    run = Run(plan, start.model, averaged, len(crops), job.device, teacher)
    if job.resume:
        run.load(job.out, about)
        return run, crops, json.loads((job.out / LOG).read_text(encoding="utf-8"))
    baseline = evaluate(run.averaged, unseen, layout, job.device, plan.seed)
    log: dict[str, Any] = {
        "format": FORMAT,
        "name": job.name,
        **about,
        "start_knows_joints": start.knows,
        "plan": asdict(plan),
        "objects": {"train": _count(samples), "validation": _count(unseen)},
        "parameters": sum(weight.numel() for weight in run.averaged.parameters()),
        "error_unit": f"% of the {size_name(layout)}",
        "baseline": baseline.plain(),
        "versions": versions(*NEEDED),
    }
    return run, crops, log


def _count(samples: Samples) -> dict[str, int]:
    return {"objects": int((~samples.empty).sum()), "empty": int(samples.empty.sum())}


def _train(
    job: Job,
    run: Run,
    crops: Crops,
    log: dict[str, Any],
    about: Mapping[str, Any],
    unseen: Samples,
    layout: Layout,
    report: Report,
) -> None:
    unit = size_name(layout)
    report.say(f"before training: {text(log['baseline'], unit)}")

    def ended(epoch: int) -> None:
        found = evaluate(run.averaged, unseen, layout, job.device, run.plan.seed)
        better = run.best is None or found.rank > run.best
        if better:
            save_checkpoint(run.averaged, job.out / CHECKPOINT)
            run.best = found.rank
        run.history.append(
            {
                "epoch": epoch,
                "step": run.step,
                "loss": round(run.loss, 5),
                "seconds": round(run.seconds, 1),
                "best": better,
                **found.plain(),
            }
        )
        log["seconds"], log["history"] = round(run.seconds, 1), run.history
        _write_log(job.out, log)
        mark = ", the best so far" if better else ""
        report.say(f"epoch {epoch} of {run.plan.epochs}: loss {run.loss:.3f}, "
                   f"{text(run.history[-1], unit)}{mark}")  # fmt: skip

    def tell() -> None:
        report.step(run.step, run.steps, crops.per_epoch, run.loss, run.seconds)

    if not job.resume:
        _write_log(job.out, log)
        run.save(job.out, about)
    run_steps(run, crops, job.workers, job.out, about, ended, tell)
    try:
        best = max(entry["epoch"] for entry in run.history if entry["best"])
        plot(run.history, log["baseline"], best, unit, job.out / PICTURE)
    except BenchError as error:
        report.say(f"no picture of the curve: {error}")


def _write_log(out: Path, log: Mapping[str, Any]) -> None:
    write_whole(out / LOG, json.dumps(log, indent=1, allow_nan=False) + "\n")


# --- folders ------------------------------------------------------------------------------------


def _is_own(store: ModelStore, name: str) -> bool:
    return store.is_own(store.catalogue.get(name))


def _check_free(store: ModelStore, name: str, run_id: str) -> None:
    """TrainError if the store has another model of that name."""
    found = read_manifest(store.root / name)
    if found is not None and found.training.get("run") != run_id:
        raise TrainError(
            f"the store {store.root} already has another model '{name}'; give this one another "
            "name with --name, or remove that folder"
        )


def _prepare(job: Job) -> None:
    """Make the run's folder, or check that it has the run that is to be resumed."""
    state = job.out / STATE
    if job.resume and not state.is_file():
        raise TrainError(f"{job.out} has no run to resume ({STATE} is missing); omit --resume")
    if not job.resume and state.is_file():
        raise TrainError(
            f"{job.out} already has a run. Add --resume to go on with it, or give another --out"
        )
    try:
        job.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainError(f"--out: {job.out} cannot be made: {error.strerror}") from error


@contextlib.contextmanager
def _disk(out: Path) -> Iterator[None]:
    """Turn errors of the disk into sentences."""
    try:
        yield
    except OSError as error:
        raise TrainError(
            f"{error.filename or out}: {error.strerror or error}. If the disk is full, free some "
            "space and go on with --resume"
        ) from error
