"""Which episodes `vitpose_ros report` rejected."""

from __future__ import annotations

import hashlib
import json

from vitpose_ros.export.recordings import Recording
from vitpose_ros.offline.errors import UsageError
from vitpose_ros.offline.items import MANIFEST
from vitpose_ros.quality.document import QUALITY
from vitpose_ros.quality.thresholds import REJECT


def rejected(recording: Recording) -> dict[int, str]:
    """The rejected episodes of a recording by their number, from 0, with the reasons.

    Raises
    ------
    UsageError : there is no report of this annotation.
    """
    path = recording.folder / QUALITY
    remedy = "run `vitpose_ros report` on the annotated folder first, or leave out --skip-rejected"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = {
            number: "; ".join(episode["reasons"])
            for number, episode in enumerate(document["episodes"])
            if episode["verdict"] == REJECT
        }
        reported = document["annotation_sha256"]
    except FileNotFoundError:
        raise UsageError(f"{recording.folder} has no {QUALITY}: {remedy}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} cannot be used ({error!r}): {remedy}") from error
    content = (recording.folder / MANIFEST).read_bytes()
    if hashlib.sha256(content).hexdigest() != reported:
        raise UsageError(f"{path} is of an earlier annotation: {remedy}")
    return found
