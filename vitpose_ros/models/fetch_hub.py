"""Downloads a file of a Hugging Face repository with huggingface_hub.

The library runs in a process of its own, because it offers no limit on the bytes or the time of a
download.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path

from vitpose_ros.models.budget import Budget, TooLargeError
from vitpose_ros.models.child import run_download
from vitpose_ros.models.errors import SourceError
from vitpose_ros.models.progress import Progress
from vitpose_ros.models.sources import HubSource

_SCRIPT = """
import os, sys
try:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import disable_progress_bars
    disable_progress_bars()
    repo, member, revision, folder = sys.argv[1:]
    endpoint = os.environ.get("HF_ENDPOINT") or None
    path = hf_hub_download(repo, member, revision=revision, local_dir=folder, endpoint=endpoint)
except Exception as error:
    sys.exit(f"ERROR: {type(error).__name__}: {error}")
print(path)
"""


def fetch_hub(
    source: HubSource, target: Path, progress: Progress, scratch: Path, size: int | None = None
) -> str | None:
    """Write the file to `target` and return the commit it came from, None if the library does not
    say.

    HF_ENDPOINT, HF_TOKEN and the library's other variables apply. An interrupted download leaves
    its partial files in `scratch`; the next pull resumes them if the library and the server can.

    Raises
    ------
    SourceError : the library is missing, could not get the file, or took too many bytes or too
        much time.
    """
    name = f"{source.repo}/{source.member}"
    if importlib.util.find_spec("huggingface_hub") is None:
        raise SourceError(
            f"{name} is on the Hugging Face hub, which needs the Python package huggingface_hub: "
            "python3 -m pip install huggingface_hub."
        )
    folder = scratch / hashlib.sha256(repr(source).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", _SCRIPT]
    command += [source.repo, source.member, source.revision, str(folder)]
    budget = Budget(f"{name} on the Hugging Face hub", size)
    progress.start(name, size)
    try:
        result = run_download(command, folder, progress, budget)
    except TooLargeError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        progress.finish()
    if result.returncode != 0:
        reason = " ".join(result.stderr.rpartition("ERROR: ")[2].split()) or "it gave no reason"
        raise SourceError(
            f"the Hugging Face hub did not deliver {name} at revision {source.revision}: "
            f"{reason if len(reason) < 400 else reason[:400] + ' ...'} "
            "Check the network and the catalogue entry, then run the same command again."
        )
    path = result.stdout.strip().splitlines()[-1]
    commit = _commit(folder, source)
    if os.path.islink(path):  # old versions of the library link large files into their cache
        shutil.copyfile(path, target)
    else:
        os.replace(path, target)
    shutil.rmtree(folder, ignore_errors=True)
    return commit


def _commit(folder: Path, source: HubSource) -> str | None:
    """The commit that the library noted beside the file: a branch name does not identify it."""
    note = folder / ".cache" / "huggingface" / "download" / f"{source.member}.metadata"
    try:
        first = note.read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except (OSError, UnicodeDecodeError):
        return None
    return first if re.fullmatch(r"[0-9a-f]{40}", first) else None
