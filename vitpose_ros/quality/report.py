"""The report of a folder: quality.json of every recording, and the page."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vitpose_ros.models.files import write_whole
from vitpose_ros.offline.errors import UsageError
from vitpose_ros.offline.items import BAG, MANIFEST, Item
from vitpose_ros.offline.meter import Meter
from vitpose_ros.quality.document import Annotated, Reported, Reporter
from vitpose_ros.quality.page import GENERATOR, Entry, Page
from vitpose_ros.quality.thresholds import VERDICTS, Thresholds

PAGE = "index.html"


@dataclass(frozen=True)
class Result:
    """What a run made.

    Attributes
    ----------
    page : its file; None if no recording could be reported.
    verdicts : number of episodes with each verdict.
    recordings, failed : number of recordings that were reported, and that were not.
    not_begun : number of recordings that the run did not come to.
    traces : tracebacks of errors that nobody expected.
    """

    page: Path | None
    verdicts: Mapping[str, int]
    recordings: int
    failed: int
    not_begun: int
    traces: tuple[str, ...]


def find_annotated(folder: Path) -> list[Annotated]:
    """The annotated recordings in a folder, by name.

    Raises
    ------
    UsageError : there are none.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give what `vitpose_ros annotate -o` wrote")
    folder = folder.resolve()
    if (folder / MANIFEST).is_file():
        return [Annotated(".", folder)]
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if MANIFEST in files:
            folders.clear()
            path = Path(place)
            found.append(Annotated(path.relative_to(folder).as_posix(), path))
    if not found:
        raise UsageError(
            f"{folder} has no annotated recording in it or below it ({MANIFEST}): run "
            f"`vitpose_ros annotate RECORDINGS -o {folder}` first"
        )
    return sorted(found, key=lambda one: one.name)


def check_output(out: Path) -> None:
    """Refuse an output folder whose page is not ours, or that cannot be written.

    Raises
    ------
    UsageError : the text says what to do.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        path = out / PAGE
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as stream:
                ours = f'content="{GENERATOR}"' in stream.read(1000)
            if not ours:
                raise UsageError(
                    f"{path} exists and is no report: move it away, or choose another folder (-o)"
                )
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written ({error.strerror}): choose another folder (-o)"
        ) from error


def report(
    found: Sequence[Annotated],
    out: Path,
    title: str,
    thresholds: Thresholds,
    recordings: Sequence[Item] | None,
    meter: Meter,
) -> Result:
    """Report annotated recordings.

    Parameters
    ----------
    found : the recordings.
    out : the output folder; see `check_output`.
    title : of the page.
    thresholds : what episodes are judged by.
    recordings : see `Reporter`.
    meter : shows how the run goes on.
    """
    reporter = Reporter(out, thresholds, recordings)
    page = Page(thresholds)
    failed: list[tuple[str, str]] = []
    traces: list[str] = []
    done = 0
    for one in found:
        item = as_item(one)
        reported = reporter(one, partial(meter.progress, item))
        meter.finished(item, _text(reported), failed=reported.document is None)
        traces += [reported.trace] if reported.trace else []
        if reported.document is None:
            failed.append((one.shown, reported.error))
            if reported.fatal:
                break
            continue
        done += 1
        for entry in _entries(one, out, reported.document):
            page.add(entry)
    path = None
    if len(page):
        path = out / PAGE
        write_whole(path, page.html(title, failed))
    return Result(
        path,
        page.verdicts(),
        done,
        len(failed),
        len(found) - done - len(failed),
        tuple(traces),
    )


def as_item(one: Annotated) -> Item:
    """A recording as those who watch a run know it."""
    return Item(one.folder, one.shown, BAG)


def _text(reported: Reported) -> str:
    """What became of a recording, in words; "" where its figures were known before."""
    document = reported.document
    if document is None or reported.kept:
        return reported.error
    episodes: Sequence[Mapping[str, Any]] = document["episodes"]
    counts = Counter(episode["verdict"] for episode in episodes)
    verdict = ", ".join(f"{counts[name]} {name}" for name in reversed(VERDICTS) if counts[name])
    if len(episodes) == 1:
        verdict = ": ".join([document["verdict"], *episodes[0]["reasons"][:1]])
    if document["no_images"]:
        verdict += f"; no pictures, blur and reprojection: {document['no_images']}"
    return verdict


def _entries(one: Annotated, out: Path, document: Mapping[str, Any]) -> Iterator[Entry]:
    episodes = document["episodes"]
    for episode in episodes:
        name = one.shown if len(episodes) == 1 else f"{one.shown} #{episode['index']}"
        yield Entry(name, episode, out / one.name, document["no_images"])
