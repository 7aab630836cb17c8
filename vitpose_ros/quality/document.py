"""quality.json of one recording: measured once, judged each time."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitpose_ros.models.files import write_whole
from vitpose_ros.offline.errors import OfflineError
from vitpose_ros.offline.files import IMAGE_SUFFIXES
from vitpose_ros.offline.items import MANIFEST, Item
from vitpose_ros.offline.read_skeletons import RecordedImage, read_skeletons
from vitpose_ros.quality.episode import Episode, arrays
from vitpose_ros.quality.hands import Hands
from vitpose_ros.quality.judge import judge
from vitpose_ros.quality.measure import Looked
from vitpose_ros.quality.recording import find_recording, look, opened
from vitpose_ros.quality.thresholds import VERDICTS, Thresholds
from vitpose_ros.types import Frame

SCHEMA = "vitpose_ros quality 1"
"""The number rises when a figure changes its meaning."""

QUALITY, PICTURES = "quality.json", "quality"
"""In the folder of each recording: the figures, and a folder of pictures."""

Tell = Callable[[int, "int | None"], None]


@dataclass(frozen=True)
class Annotated:
    """A finished item of annotate.

    Attributes
    ----------
    name : its folder below the one that is reported; "." if that is the item itself.
    folder : where it is.
    """

    name: str
    folder: Path

    @property
    def shown(self) -> str:
        """Its name for people."""
        return self.folder.name if self.name == "." else self.name


@dataclass(frozen=True)
class Reported:
    """What became of a recording.

    Attributes
    ----------
    document : as in quality.json; None if it failed.
    kept : its figures are those of an earlier run.
    error : why it failed.
    fatal : no other recording would fare better.
    trace : the traceback of an error that nobody expected.
    """

    document: dict[str, Any] | None
    kept: bool = False
    error: str = ""
    fatal: bool = False
    trace: str = ""


class Reporter:
    """Measures annotated recordings, or takes the figures of an earlier run, and judges them.

    Parameters
    ----------
    out : below it, each recording has its folder.
    thresholds : what episodes are judged by.
    recordings : those that are no longer where they were annotated. None: read no images at all.
    """

    def __init__(
        self, out: Path, thresholds: Thresholds, recordings: Sequence[Item] | None = ()
    ) -> None:
        self._out, self._thresholds, self._recordings = out, thresholds, recordings

    def __call__(self, one: Annotated, tell: Tell = lambda done, expected: None) -> Reported:
        """Write quality.json of a recording. Errors are part of the outcome."""
        try:
            return self._report(one, tell)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            text = f"{error.strerror or error} ({error.filename or self._out})"
            if full:
                text = f"the disk is full ({self._out}): free some space, and run it again"
            return Reported(None, error=text, fatal=full)
        except OfflineError as error:
            return Reported(None, error=str(error))
        except Exception as error:  # noqa: BLE001 - the others go on
            text = f"{type(error).__name__}: {error} (--debug shows where)"
            return Reported(None, error=text, trace=traceback.format_exc())

    def _report(self, one: Annotated, tell: Tell) -> Reported:
        target = self._out / one.name
        content = (one.folder / MANIFEST).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        document = self._kept(target / QUALITY, digest)
        kept = document is not None
        if document is None:
            # A verdict must not outlive what it is about.
            (target / QUALITY).unlink(missing_ok=True)
            shutil.rmtree(target / PICTURES, ignore_errors=True)
            target.mkdir(parents=True, exist_ok=True)
            document = self._measure(one, _manifest(one.folder, content), target, tell)
            document["annotation_sha256"] = digest
        document["thresholds"] = self._thresholds.as_dict()
        for episode in document["episodes"]:
            episode |= judge(episode, self._thresholds)
        verdicts = [VERDICTS.index(episode["verdict"]) for episode in document["episodes"]]
        document["verdict"] = VERDICTS[max(verdicts)]
        text = json.dumps(document, indent=1, allow_nan=False, sort_keys=True)
        write_whole(target / QUALITY, text + "\n")
        return Reported(document, kept)

    def _kept(self, path: Path, digest: str) -> dict[str, Any] | None:
        """The figures of an earlier run, if they are those of this annotation. Figures without
        images are not kept where images may be read.

        Raises
        ------
        OfflineError : the file is none of ours.
        """
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            schema = str(before["schema"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise OfflineError(
                f"{path} exists and is none of ours: move it away, or choose another folder (-o)"
            ) from error
        if schema != SCHEMA or before["annotation_sha256"] != digest:
            return None
        if before["no_images"] and self._recordings is not None:
            return None
        return dict(before)

    def _measure(
        self, one: Annotated, manifest: Mapping[str, Any], target: Path, tell: Tell
    ) -> dict[str, Any]:
        recorded = read_skeletons(one.folder)
        images, hands = arrays(recorded.images)
        marks = manifest.get("episodes") or [None]
        episodes = [
            Episode(number, None if mark is None else (mark[0], mark[1]), images, hands)
            for number, mark in enumerate(marks)
        ]
        looked, no_images = None, "not asked for (--no-images)"
        with tempfile.TemporaryDirectory(dir=target, prefix=".quality-") as name:
            work = Path(name)
            if self._recordings is not None:
                try:
                    looked = self._look(
                        one, manifest, recorded.images, hands, episodes, work, tell
                    )
                    no_images = ""
                except OfflineError as error:
                    no_images = str(error)
            folder = work / PICTURES
            folder.mkdir()
            figures = []
            for episode in episodes:
                pictures = [] if looked is None else episode.pictures(recorded.images, folder)
                figures.append({**episode.figures(looked), "pictures": pictures})
            if any(one["pictures"] for one in figures):
                os.replace(folder, target / PICTURES)
        return {
            "schema": SCHEMA,
            "name": one.shown,
            "no_images": no_images,
            "notes": [*recorded.notes, *manifest["notes"]],
            "episodes": figures,
        }

    def _look(
        self,
        one: Annotated,
        manifest: Mapping[str, Any],
        images: Sequence[RecordedImage],
        hands: Hands,
        episodes: Sequence[Episode],
        work: Path,
        tell: Tell,
    ) -> Looked:
        item = find_recording(manifest, one.folder, self._recordings or (), one.shown)
        needed = np.zeros(len(images), bool)
        for episode in episodes:
            needed |= episode.inside

        def visit(index: int, frame: Frame, blur: float) -> None:
            for episode in episodes:
                episode.visit(index, frame, images[index], blur)
            tell(index + 1, len(images))

        with opened(item, manifest["settings"], work) as source:
            return Looked(*look(source, images, hands, needed, visit))


def _manifest(folder: Path, content: bytes) -> dict[str, Any]:
    """annotation.json of an item.

    Raises
    ------
    OfflineError : it is damaged, or the item is no sequence.
    """
    try:
        manifest = dict(json.loads(content))
        files = [Path(name) for name, *_ in manifest["input"]["files"]]
        images = any(path.suffix.lower() in IMAGE_SUFFIXES for path in files)
        static = manifest["settings"]["static"] and images
        list(manifest["notes"])
    except (ValueError, KeyError, TypeError) as error:
        raise OfflineError(
            f"{folder / MANIFEST} is damaged, or of another version: annotate the recording again"
        ) from error
    if static:
        raise OfflineError("it holds photographs (--static): only sequences are reported")
    return manifest
