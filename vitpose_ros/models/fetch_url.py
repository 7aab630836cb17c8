"""Downloads a file by http or https: resumes what a broken connection left, retries with limits,
never waits for ever.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path

from vitpose_ros.models.errors import SourceError
from vitpose_ros.models.progress import Progress
from vitpose_ros.models.sources import UrlSource

TIMEOUT_S = 30.0
"""A server silent for this long is given up and asked again."""

ATTEMPTS = 5
"""Attempts in a row that bring nothing new before giving up."""

BACKOFF_S = 0.5
"""The wait before the second attempt is twice this; it doubles with each up to sixteen times."""

_CHUNK = 1 << 16
_RETRY_STATUS = (408, 425, 429, 500, 502, 503, 504)


class _BrokenError(OSError):
    """The connection ended before the file did."""


_NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    TimeoutError,
    ConnectionError,
    ssl.SSLError,
    _BrokenError,
)


def fetch_url(
    source: UrlSource,
    target: Path,
    progress: Progress,
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Write the file to `target`, continuing what an earlier pull of the same address left.

    What is incomplete lies beside `target`, as <target>.download. It is continued only when the
    server's ETag or Last-Modified was noted, and the server confirms (If-Range) that it still
    holds; otherwise the download starts afresh.

    Raises
    ------
    SourceError : the server refuses, or does not answer after several attempts; the incomplete file
        stays for the next pull.
    """
    part = target.with_name(f"{target.name}.download")
    note = target.with_name(f"{target.name}.download.json")
    failures = 0
    while True:
        before = _kept(source, part, note)[0]
        try:
            _attempt(source, part, note, progress, timeout_s)
            os.replace(part, target)
            note.unlink(missing_ok=True)
            return
        except urllib.error.HTTPError as error:
            if error.code not in _RETRY_STATUS:
                raise SourceError(
                    f"{source.url} answers {error.code} {error.reason}; check the address."
                ) from error
            reason = f"{error.code} {error.reason}"
        except _NETWORK_ERRORS as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        finally:
            progress.finish()
        failures = 1 if _kept(source, part, note)[0] > before else failures + 1
        if failures >= ATTEMPTS:
            raise SourceError(
                f"{source.url} cannot be downloaded: {reason}. Check the network and give the same "
                "command again: it goes on where it stopped."
            )
        progress.note(f"{source.url}: {reason}; trying again")
        time.sleep(min(BACKOFF_S * 2**failures, 16 * BACKOFF_S))


def _kept(source: UrlSource, target: Path, note: Path) -> tuple[int, str]:
    """Bytes that an earlier attempt left and the validator under which they hold; (0, "") when they
    cannot be continued.
    """
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
        if noted["url"] == source.url and noted["validator"]:
            return target.stat().st_size, str(noted["validator"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, ""


def _attempt(
    source: UrlSource, target: Path, note: Path, progress: Progress, timeout_s: float
) -> None:
    start, validator = _kept(source, target, note)
    headers = {"User-Agent": "vitpose_ros", "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    request = urllib.request.Request(source.url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not start:
            raise
        target.unlink(missing_ok=True)  # what is kept reaches beyond the file's end: begin afresh
        raise _BrokenError("the server's file is shorter than what was kept") from error
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(
            f"bytes {start}-"
        )
        if response.status == 206 and not resumed:
            target.unlink(missing_ok=True)
            raise _BrokenError("the server sent another part than the one asked for")
        done = start if resumed else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length and length.isdigit() else None
        if not resumed:
            target.unlink(missing_ok=True)
            note.write_text(
                json.dumps({"url": source.url, "validator": _validator(response)}), encoding="utf-8"
            )
        progress.start(os.path.basename(source.url) or source.url, total)
        with target.open("ab") as out:
            while chunk := response.read(_CHUNK):
                out.write(chunk)
                done += len(chunk)
                progress.advance(done)
    if total is not None and done != total:
        raise _BrokenError(f"the connection ended after {done} of {total} bytes")


def _validator(response: http.client.HTTPResponse) -> str:
    """What proves later that the file is still the same: a strong ETag, else the time of its last
    change.
    """
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
