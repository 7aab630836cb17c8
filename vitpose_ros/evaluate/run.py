"""A whole evaluation: two files in, the figures of every part out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vitpose_ros.evaluate.coco import CocoFile, read_coco
from vitpose_ros.evaluate.compare import Pictures, Rows, compare, match_pictures
from vitpose_ros.evaluate.figures import Figure, figures
from vitpose_ros.evaluate.precision import average_precision
from vitpose_ros.evaluate.skeletons import Part, Run, lacking, of_recording, parts_of
from vitpose_ros.offline.errors import OfflineError
from vitpose_ros.offline.read_skeletons import read_skeletons
from vitpose_ros.types import JointState


@dataclass(frozen=True)
class Section:
    """The figures of a part.

    Attributes
    ----------
    part : what was evaluated.
    figures : in the order in which they are shown.
    rows : what they are made from.
    notes : sentences for people.
    """

    part: Part
    figures: tuple[Figure, ...]
    rows: Rows
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """The result.

    Attributes
    ----------
    truth, found : the files, for people.
    difference : neither is the truth.
    images, common, extra : images of the truth, of both, and of the found side alone.
    by : how images were recognised.
    sections : one per part.
    notes : sentences for people.
    """

    truth: str
    found: str
    difference: bool
    images: int
    common: int
    extra: int
    by: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...]


def evaluate(
    found: str, truth: str, difference: bool = False, raw: bool = False, box_area: bool = False
) -> Evaluation:
    """Compare two files.

    Parameters
    ----------
    found, truth : a COCO file, a bag, a folder that annotate wrote, or its table; a topic of a bag
        follows after a colon.
    difference : neither is the truth: joints count in every state, and there is no AP.
    raw : measured joints instead of smoothed ones.
    box_area : see `average_precision`.

    Raises
    ------
    OfflineError : a file cannot be read, or nothing in them can be compared.
    """
    true_run, true_coco = _load(truth, None, raw)
    found_run, _ = _load(found, true_coco, raw)
    pictures = match_pictures(true_run, found_run)
    sections: list[Section] = []
    notes = [*true_run.notes, *found_run.notes]
    for layout in true_run.layouts:
        if not any(one.layout is layout for p in true_run.pictures for one in p.skeletons):
            continue
        for part in parts_of(layout):
            missing = lacking(part, found_run.layouts)
            if missing is None or (missing and part.first is not None):
                having = ", ".join(sorted(one.name for one in found_run.layouts)) or "no layout"
                notes.append(
                    f"{part.name}: not compared, since {found_run.label} ({having}) does not have "
                    "its joints"
                )
                continue
            made = _section(pictures, true_run, found_run, part, missing, difference, box_area)
            if made is None:
                notes.append(f"{part.name}: {true_run.label} has no joint of it")
            else:
                sections.append(made)
    if not sections:
        raise OfflineError(_nothing(true_run, found_run, difference))
    return Evaluation(
        true_run.label,
        found_run.label,
        difference,
        len(pictures.pairs),
        pictures.common,
        pictures.extra,
        pictures.by,
        tuple(sections),
        tuple(notes),
    )


def _load(given: str, truth: CocoFile | None, raw: bool) -> tuple[Run, CocoFile | None]:
    path, topic = Path(given), ""
    if not path.exists() and ":/" in given:
        name, _, topic = given.partition(":/")
        path, topic = Path(name), f"/{topic}"
    if path.suffix == ".json" and path.is_file():
        if raw:
            raise OfflineError(f"--raw: {path} has no measured joints beside the smoothed ones")
        coco = read_coco(path, truth)
        return coco.run, coco
    return of_recording(read_skeletons(path, topic), raw), None


def _section(
    pictures: Pictures,
    truth: Run,
    found: Run,
    part: Part,
    missing: Sequence[str],
    difference: bool,
    box_area: bool,
) -> Section | None:
    """The figures of a part; None if the truth has none of its joints."""
    least = JointState.PREDICTED if difference else JointState.OCCLUDED
    rows = compare(pictures, truth, found, part, least)
    if not len(rows.seen):
        return None
    made: list[Figure] = []
    notes = []
    if missing:
        notes.append(f"joints that {found.label} does not have: {', '.join(missing)}")
    if truth.is_coco and found.is_coco and not difference:
        made += average_precision(pictures, truth, found, part, box_area)
    made += figures(rows, difference)
    if any(a != b for a, b in rows.frames) and any("mm" in one.name for one in made):
        pairs = ", ".join(f"'{a}' and '{b}'" for a, b in sorted(rows.frames) if a != b)
        notes.append(f"metres are in different frames ({pairs}): only PA- figures compare them")
    return Section(part, tuple(made), rows, tuple(notes))


def _nothing(truth: Run, found: Run, difference: bool) -> str:
    mine = ", ".join(sorted(one.name for one in truth.layouts)) or "none"
    its = ", ".join(sorted(one.name for one in found.layouts)) or "none"
    if not any(picture.skeletons for picture in truth.pictures):
        what = "no skeleton" if difference else "no annotated skeleton"
        return f"{truth.label} has {what} in {len(truth.pictures)} images: nothing to compare with"
    return (
        f"the layouts have no joint in common: {truth.label} has {mine}, {found.label} has {its}. "
        "Annotate with a model of the same kind (body, hand)"
    )
