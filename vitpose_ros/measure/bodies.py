"""Measures bodies: in the crops of tracks, and where the person detector finds new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from vitpose_ros.geometry import iou, unrotated_box
from vitpose_ros.measure.networks import BodyFinder, Networks
from vitpose_ros.measure.rereading import with_disagreements
from vitpose_ros.measure.usage import Usage
from vitpose_ros.measurements import BodyMeasurement, CropSource, FramePlan
from vitpose_ros.oks import oks_nms, pair_oks
from vitpose_ros.types import Crop, Frame, Region

SAME_PERSON_IOU = 0.5
"""A detected person whose region overlaps a measured body's by more than this is that body."""

SAME_BODY_OKS = 0.7
"""Two bodies more similar than this are one body, measured twice."""

HIDDEN_BODY_OKS = 0.4
"""A body from a lost track's crop is dropped if another body is more similar to it than this."""

JOINT_SCORE = 0.3
"""Joints with a lower score are ignored when bodies are compared."""

Bodies = list[BodyMeasurement]


def measure_bodies(
    networks: Networks, frames: Sequence[Frame], plans: Sequence[FramePlan], usage: Usage
) -> tuple[list[Bodies | None], set[int]]:
    """The bodies in each image, and the indices of the images that the person detector searched.

    Bodies are None for an image whose plan asks for none.
    """
    planned = [i for i, plan in enumerate(plans) if plan.persons_below is not None]
    if networks.body_finder is not None:
        found = {i: _find(networks.body_finder, i, frames[i], plans[i], usage) for i in planned}
        searched = set(planned)
    else:
        found, searched = _detect_and_read(networks, frames, plans, planned, usage)
    measured: list[Bodies | None] = [None] * len(frames)
    for i in planned:
        kept = _distinct(found[i])[: plans[i].persons.max_persons]
        kept = _checked(networks, i, frames[i], plans[i], kept, usage)
        mirrored = plans[i].hands.input_mirrored
        measured[i] = [body.mirrored() for body in kept] if mirrored else kept
    return measured, searched


def _checked(
    networks: Networks, i: int, frame: Frame, plan: FramePlan, bodies: Bodies, usage: Usage
) -> Bodies:
    """Bodies of image number `i` with the disagreement of those that are to be checked: all if the
    plan asks for it, otherwise those that the person detector has just found. Animals have no hands
    whose side they would tell, and are not checked.
    """
    if networks.bodies is not None and networks.bodies.layout.kind == "animal":
        return bodies
    two_stages = networks.body_finder is None
    due = [
        plan.check_persons or (two_stages and body.source is CropSource.DETECTION)
        for body in bodies
    ]
    chosen = [body for body, check in zip(bodies, due, strict=True) if check]
    checked = iter(with_disagreements(networks, i, frame, chosen, usage))
    return [next(checked) if check else body for body, check in zip(bodies, due, strict=True)]


def _find(finder: BodyFinder, i: int, frame: Frame, plan: FramePlan, usage: Usage) -> Bodies:
    """The bodies of one image, in one stage. Tracks do not guide it."""
    with usage.stage("keypoints", finder.name, [i]):
        return finder(frame.image, plan.persons.person_threshold)


def _detect_and_read(
    networks: Networks,
    frames: Sequence[Frame],
    plans: Sequence[FramePlan],
    planned: Sequence[int],
    usage: Usage,
) -> tuple[dict[int, Bodies], set[int]]:
    """The bodies of each planned image, in two stages, and the images that were searched."""
    bodies = _read(networks, frames, plans, {i: plans[i].body_crops for i in planned}, usage)
    searched = {i for i in planned if len(bodies[i]) < (plans[i].persons_below or 0)}
    detected = {i: _detect(networks, i, frames[i], plans[i], bodies[i], usage) for i in searched}
    fresh = _read(networks, frames, plans, detected, usage)
    return {i: [*bodies[i], *fresh.get(i, ())] for i in planned}, searched


def _detect(
    networks: Networks, i: int, frame: Frame, plan: FramePlan, known: Bodies, usage: Usage
) -> list[Region]:
    """Regions of persons that are not measured yet."""
    detector, reader, settings = networks.person_detector, networks.body_reader, plan.persons
    assert detector is not None and reader is not None
    with usage.stage("detect", detector.name, [i]):
        regions = reader.regions(detector, frame.image, settings.person_threshold)
    new = [
        region
        for region in regions
        if all(
            iou(unrotated_box(region), unrotated_box(body.region)) <= SAME_PERSON_IOU
            for body in known
            if body.region is not None
        )
    ]
    return new[: settings.max_persons - len(known)]


def _read(
    networks: Networks,
    frames: Sequence[Frame],
    plans: Sequence[FramePlan],
    regions: Mapping[int, Sequence[Region]],
    usage: Usage,
) -> dict[int, Bodies]:
    """The bodies in the regions of each image, by the image's index; all in one batch."""
    reader, jobs = networks.body_reader, [(i, r) for i, rs in regions.items() for r in rs]
    found: dict[int, Bodies] = {i: [] for i in regions}
    if not jobs or reader is None:
        return found
    with usage.stage("keypoints", reader.name, {i for i, _ in jobs}):
        bodies = reader([Crop(frames[i].image, region) for i, region in jobs])
    for (i, region), body in zip(jobs, bodies, strict=True):
        threshold = plans[i].persons.body_threshold
        if body is not None and body.region is not None and body.score >= threshold:
            source = plans[i].source(region, CropSource.DETECTION)
            found[i].append(replace(body, source=source))
    return found


def _distinct(found: Bodies) -> Bodies:
    """Each body once, in the given order. Of duplicates, keep the tracked one, otherwise the one
    with the higher score. A body from a lost track's crop is dropped if another body stands there.
    """
    joints = [body.keypoints for body in found]
    areas = [body.region.width * body.region.height if body.region else 1.0 for body in found]
    kept = oks_nms(
        joints,
        [body.score + (body.source is CropSource.TRACK) for body in found],
        areas,
        limit=SAME_BODY_OKS,
        threshold=JOINT_SCORE,
    )

    def hidden(i: int) -> bool:
        return found[i].source is CropSource.LOST_TRACK and any(
            pair_oks(joints[i], joints[k], (areas[i], areas[k]), JOINT_SCORE) > HIDDEN_BODY_OKS
            for k in kept
            if found[k].source is not CropSource.LOST_TRACK
        )

    return [found[i] for i in sorted(kept) if not hidden(i)]
