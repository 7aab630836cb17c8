"""Downloads a file of a Hugging Face repository with huggingface_hub, which is imported only when
it is needed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

from vitpose_ros.models.errors import SourceError
from vitpose_ros.models.progress import Progress, watched
from vitpose_ros.models.sources import HubSource


def fetch_hub(
    source: HubSource, target: Path, progress: Progress, scratch: Path, size: int | None = None
) -> str | None:
    """Write the file to `target`; the commit that it came from, None where the library does not
    say.

    HF_ENDPOINT, HF_TOKEN and the library's other variables hold. Its partial files stay under
    `scratch` when a download breaks: the next pull goes on with them, or afresh where the library
    (its version, the server) cannot.

    Raises
    ------
    SourceError : the library is missing, or it could not get the file.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils import disable_progress_bars
    except ImportError as error:
        raise SourceError(
            f"{source.repo} lies on the Hugging Face hub, which needs the Python package "
            f"huggingface_hub (python3 -m pip install huggingface_hub): {error}."
        ) from error
    disable_progress_bars()  # the pull shows its own
    folder = scratch / hashlib.sha256(repr(source).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    progress.start(f"{source.repo}/{source.member}", size)
    try:
        with watched(folder, progress):
            path = hf_hub_download(
                source.repo,
                source.member,
                revision=source.revision,
                local_dir=folder,
                endpoint=os.environ.get("HF_ENDPOINT") or None,
            )
    except OSError as error:
        if error.errno is not None and error.filename is not None:
            raise  # the disk, not the hub
        raise _failed(source, error) from error
    except Exception as error:  # its errors share no class across versions and HTTP clients
        raise _failed(source, error) from error
    finally:
        progress.finish()
    commit = _commit(folder, source)
    if os.path.islink(path):  # old versions of the library link large files into their cache
        shutil.copyfile(path, target)
    else:
        os.replace(path, target)
    shutil.rmtree(folder, ignore_errors=True)
    return commit


def _commit(folder: Path, source: HubSource) -> str | None:
    """The commit that the library noted beside the file: a branch's name does not say which file
    it was.
    """
    note = folder / ".cache" / "huggingface" / "download" / f"{source.member}.metadata"
    try:
        first = note.read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except (OSError, UnicodeDecodeError):
        return None
    return first if re.fullmatch(r"[0-9a-f]{40}", first) else None


def _failed(source: HubSource, error: Exception) -> SourceError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return SourceError(
        f"the hub did not give {source.repo}/{source.member} at revision {source.revision}: "
        f"{reason if len(reason) < 400 else reason[:400] + ' ...'} "
        "Check the network and the catalogue's entry, and give the same command again."
    )
