"""One item, from its input to its finished folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vitpose_ros.engines.base import EngineError
from vitpose_ros.factory import load_networks
from vitpose_ros.models.catalogue import load_catalogue
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.files import sha256_of
from vitpose_ros.models.store import ModelStore
from vitpose_ros.offline.bag import Bag, ImageSettings
from vitpose_ros.offline.errors import OfflineError
from vitpose_ros.offline.items import BAG, FOLDER, MANIFEST, Item
from vitpose_ros.offline.opening import open_source
from vitpose_ros.offline.recording import Annotation, annotate
from vitpose_ros.offline.source import Source
from vitpose_ros.offline.write_bag import write_bag
from vitpose_ros.offline.write_tables import write_coco, write_parquet
from vitpose_ros.offline.write_video import write_video
from vitpose_ros.parameters.table import Parameters
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.version import version

OUTPUTS = ("bag", "parquet", "coco", "overlay")
"""What can be written."""

WORK = ".annotate"
"""Below the output folder: unfinished items, and the lock."""

DONE, SKIPPED, FAILED = "done", "skipped", "failed"

# Parameters of the live node that an annotation does not depend on.
_OF_THE_NODE = (
    *("autostart", "image_transport", "reliability", "marker_distance", "silence_timeout"),
    *("models_dir", "threads", "gpu"),
)

Tell = Callable[[int, "int | None"], None]
"""Called with the images done, and how many there are if that is known."""


@dataclass(frozen=True)
class Job:
    """What all items of a run have in common.

    Attributes
    ----------
    out : the output folder.
    parameters : those of the live node.
    store, catalogue : of the models; None for the defaults.
    outputs : of OUTPUTS.
    topic : of the images in bags; "" for the only one.
    with_input : bags hold the messages of the input, too.
    as_live : see `recording.annotate`.
    rate_hz, static : of folders of images; see `files.FolderSource`.
    overwrite : replace finished items that were made otherwise.
    """

    out: Path
    parameters: Parameters
    store: Path | None = None
    catalogue: Path | None = None
    outputs: tuple[str, ...] = ("bag", "parquet")
    topic: str = ""
    with_input: bool = False
    as_live: bool = False
    rate_hz: float | None = None
    static: bool = False
    overwrite: bool = False

    def settings(self) -> dict[str, Any]:
        """Everything that the result depends on, but the input and the networks."""
        values = asdict(self.parameters)
        kept = {name: value for name, value in values.items() if name not in _OF_THE_NODE}
        return {
            "version": version(),
            "parameters": kept,
            "outputs": sorted(self.outputs),
            "topic": self.topic,
            "with_input": self.with_input,
            "as_live": self.as_live,
            "rate_hz": self.rate_hz,
            "static": self.static,
        }


@dataclass(frozen=True)
class Outcome:
    """What became of an item.

    Attributes
    ----------
    name : of the item.
    status : DONE, SKIPPED or FAILED.
    images, skeletons : how many were processed and found.
    notes : sentences about what was lost; of a failed item the reason.
    fatal : no other item would fare better.
    trace : the traceback of an error that nobody expected.
    """

    name: str
    status: str
    images: int = 0
    skeletons: int = 0
    notes: tuple[str, ...] = ()
    fatal: bool = False
    trace: str = ""


class Annotator:
    """Annotates items with networks that are loaded once.

    Parameters
    ----------
    job : what the items have in common.
    say : called with a sentence for each network whose engine was chosen.

    Raises
    ------
    ModelError, EngineError : a network cannot be loaded.
    """

    def __init__(self, job: Job, say: Callable[[str], None] = lambda text: None) -> None:
        self.job, parameters = job, job.parameters
        folder = parameters.models_dir
        place = self.job.store or (Path(folder).expanduser() if folder else None)
        store = ModelStore(place, load_catalogue(self.job.catalogue))
        choice = parameters.choice()
        if choice.reason:
            say(choice.reason)
        self._networks = load_networks(
            store, choice.models, parameters.view, parameters.threads, choice.topdown, say
        )
        models = {name: sha256_of(store.get(name).path) for name in self._networks.names}
        self._settings = {
            **self.job.settings(),
            "models": models,
            "precision": choice.topdown.precision,  # the preset's, which depends on the machine
            "tiles": choice.tiles,
        }
        text = json.dumps(self._settings, sort_keys=True)
        self._key = hashlib.sha256(text.encode()).hexdigest()

    def __call__(self, item: Item, tell: Tell = lambda done, expected: None) -> Outcome:
        """Annotate an item, or find that it is finished. Errors are part of the outcome."""
        target = self.job.out / item.name
        try:
            if self._is_finished(item, target):
                return Outcome(item.name, SKIPPED)
            return self._make(item, target, tell)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            text = f"{error.strerror or error} ({error.filename or self.job.out})"
            if full:
                text = f"the disk is full ({self.job.out}): free some space, and run it again"
            return Outcome(item.name, FAILED, notes=(text,), fatal=full)
        except (OfflineError, EngineError, ModelError) as error:
            return Outcome(item.name, FAILED, notes=(str(error),))
        except Exception as error:  # noqa: BLE001 - the other items go on
            text = f"{type(error).__name__}: {error} (--debug shows where)"
            return Outcome(item.name, FAILED, notes=(text,), trace=traceback.format_exc())

    def _is_finished(self, item: Item, target: Path) -> bool:
        """Whether the item was made from the same input with the same settings.

        Raises
        ------
        OfflineError : something else is in its place.
        """
        if not target.exists() or self.job.overwrite:
            return False
        try:
            manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
            settings, before = manifest["settings_sha256"], manifest["input"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OfflineError(
                f"{target} exists, and no annotation is in it: move it away, or choose another "
                "output folder"
            ) from error
        if settings != self._key:
            raise OfflineError(
                f"{target} was made with other settings, models or another version: choose another "
                "output folder, or add --overwrite"
            )
        if before["files"] != item.look() and before["sha256"] != item.digest():
            raise OfflineError(
                f"{target} was made from another input: choose another output folder, or add "
                "--overwrite"
            )
        return True

    def _make(self, item: Item, target: Path, tell: Tell) -> Outcome:
        work = self.job.out / WORK
        work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=work, prefix="item-") as name:
            folder = Path(name)
            made = folder / "made"
            made.mkdir()
            manifest: dict[str, Any] = {
                "input": {"name": item.path.name, "files": item.look(), "sha256": item.digest()},
                "settings_sha256": self._key,
                "settings": self._settings,
                "engine": self._networks.engine,
            }
            with contextlib.ExitStack() as stack:
                source, bag = self._open(item, folder, stack)
                annotation = annotate(
                    source,
                    self._pipeline,
                    self.job.parameters,
                    as_live=self.job.as_live,
                    static=self.job.static and item.kind == FOLDER,
                    tell=lambda done: tell(done, source.expected),
                )
                notes = source.losses.sentences()
                if bag is not None and (marked := bag.episodes()):
                    manifest["episodes"] = [[one.start_ns, one.end_ns] for one in marked]
                self._write(made, annotation, source, bag, manifest)
            skeletons = sum(len(image.instances) for image in annotation.images)
            manifest |= {
                # Here only: tables do not depend on where the recording lies.
                "input": {**manifest["input"], "path": str(item.path)},
                "images": len(annotation.images),
                "skeletons": skeletons,
                "refused": dict(sorted(source.losses.refused.items())),
                "notes": notes,
            }
            text = json.dumps(manifest, indent=1, sort_keys=True)
            (made / MANIFEST).write_text(text + "\n", encoding="utf-8")
            _put(made, target, folder / "before")
        return Outcome(item.name, DONE, len(annotation.images), skeletons, tuple(notes))

    def _pipeline(self, settings: Settings) -> Pipeline:
        return Pipeline(self._networks, settings, self.job.parameters.view)

    def _open(
        self, item: Item, folder: Path, stack: contextlib.ExitStack
    ) -> tuple[Source, Bag | None]:
        if self.job.with_input and item.kind != BAG:
            raise OfflineError("--with-input needs a bag: it has no meaning for other inputs")
        parameters = self.job.parameters
        settings = ImageSettings(
            self.job.topic,
            parameters.depth_topic,
            parameters.max_megapixels,
            parameters.image_rectified,
            parameters.input_mirrored,
        )
        return open_source(item, settings, self.job.rate_hz, self.job.static, folder, stack)

    def _write(
        self,
        folder: Path,
        annotation: Annotation,
        source: Source,
        bag: Bag | None,
        about: dict[str, Any],
    ) -> None:
        if "bag" in self.job.outputs:
            write_bag(folder / "skeletons", annotation, bag if self.job.with_input else None)
        if "parquet" in self.job.outputs:
            write_parquet(folder / "skeletons.parquet", annotation, about)
        if "coco" in self.job.outputs:
            write_coco(folder / "coco.json", annotation)
        if "overlay" in self.job.outputs:
            write_video(folder / "overlay.mp4", annotation, source)


def _put(made: Path, target: Path, aside: Path) -> None:
    """Give a finished folder its name in one step, instead of what had it before."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        os.replace(target, aside)
    os.replace(made, target)
    shutil.rmtree(aside, ignore_errors=True)
