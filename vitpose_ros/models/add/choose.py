"""Decides between the kinds and layouts that a file fits, or asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vitpose_ros.models.add.kinds import Fit, Watched
from vitpose_ros.models.add.metadata import Metadata
from vitpose_ros.models.add.readings import read_crops
from vitpose_ros.models.add.samples import Sample
from vitpose_ros.models.add.trial import Trial, run_trial
from vitpose_ros.models.errors import ModelError

Samples = Callable[[str], Sample]
"""The image for a task."""

_MIN_AGREEING = 0.7
"""The share of the joints that agree with the mirrored image under the right layout; under another
one, less than this share of that share does."""

_SHOWN = 9


class UnknownKindError(ModelError):
    """A file is no known kind of network; the message has one line for each kind."""


class NeedsOptionError(ModelError):
    """Something must be given by option.

    Attributes
    ----------
    questions : the options, with a sentence for each.
    tiles : captions and trials of the candidates.
    """

    def __init__(
        self, questions: Mapping[str, str], tiles: Sequence[tuple[str, Trial]] = ()
    ) -> None:
        options = " and ".join(f"--{option}" for option in questions)
        super().__init__(f"Nothing was added yet: give {options}. " + ". ".join(questions.values()))
        self.questions, self.tiles = dict(questions), list(tiles)


def choose(
    engine: Watched,
    found: Sequence[Fit],
    metadata: Metadata,
    sample: Samples,
    tell: Callable[[str], None],
) -> Fit:
    """The one kind and layout that a file is.

    Raises
    ------
    NeedsOptionError : it may be several.
    """
    left = _credible(_by_classes(found, metadata, tell), metadata)
    kinds = list(dict.fromkeys(fit.kind for fit in left))
    if len(kinds) > 1:
        tasks = {kind.task for kind in kinds}
        options = [name for name, several in (("task", len(tasks) > 1),) if several]
        if len({kind.architecture for kind in kinds}) > 1:
            options.append("architecture")
        listed = "; ".join(f"{kind.title}: {kind.option}" for kind in kinds)
        firsts = [next(fit for fit in left if fit.kind is kind) for kind in kinds]
        text = f"Its inputs and outputs fit {len(kinds)} kinds: {listed}"
        raise NeedsOptionError(
            dict.fromkeys(options, "") | {options[0]: text}, _tiles(firsts, sample)
        )
    if len(left) == 1:
        return left[0]
    layouts = ", ".join(fit.entry.layout.name for fit in left if fit.entry.layout)
    if left[0].kind.architecture in ("heatmap", "rtmpose"):
        shares = {fit: read_crops(engine, fit, sample(fit.entry.task)).agreement for fit in left}
        best, *others = sorted(shares.values(), reverse=True)
        if best >= _MIN_AGREEING and all(other < _MIN_AGREEING * best for other in others):
            fit = next(fit for fit, share in shares.items() if share == best)
            assert fit.entry.layout is not None
            tell(
                f"layout {fit.entry.layout.name}: of {layouts}, only with its left and right does "
                f"the mirrored image give the same joints ({best:.0%} of them, with the next "
                f"layout {max(others, default=0.0):.0%}); measured on one image"
            )
            return fit
    text = f"Its number of joints fits {layouts}; --layout says which, as the model's authors do"
    raise NeedsOptionError({"layout": text}, _tiles(left, sample))


def _by_classes(found: Sequence[Fit], metadata: Metadata, tell: Callable[[str], None]) -> list[Fit]:
    """Without detectors of persons or hands that the names of the classes speak against."""
    names = [name.lower() for name in metadata.classes.values()]
    hands, persons = (any(word in name for name in names) for word in ("hand", "person"))
    if hands == persons:
        return list(found)
    task = "hand_detector" if hands else "person_detector"
    left = [fit for fit in found if fit.entry.task in (task, "body_keypoints", "hand_keypoints")]
    if left and len(left) < len(found):
        tell(f"task {task}: its classes are {', '.join(names[:5])}")
    return left or list(found)


def _credible(found: Sequence[Fit], metadata: Metadata) -> list[Fit]:
    """Without one-stage networks of several classes, if there is anything else: any output of a
    detector can be read as YOLO's with some number of classes and joints. And without detectors
    that would leave the joints of a one-stage network unread.
    """
    one_stage = any(fit.entry.architecture == "onestage" for fit in found)
    found = [fit for fit in found if not (one_stage and fit.entry.architecture == "detr")]
    left = [
        fit
        for fit in found
        if getattr(fit.model, "classes", None) in (None, 1, len(metadata.classes))
        or fit.entry.architecture != "onestage"
    ]
    return left or list(found)


def _tiles(fits: Sequence[Fit], sample: Samples) -> list[tuple[str, Trial]]:
    tiles = []
    for fit in fits[:_SHOWN]:
        layout = f" --layout {fit.entry.layout.name}" if fit.entry.layout else ""
        trial = run_trial(fit, sample(fit.entry.task))
        tiles.append((f"{fit.kind.option}{layout}\n{trial.text}", trial))
    return tiles
