"""Downloads a file over HTTP or HTTPS, resuming interrupted downloads and retrying a bounded number
of times.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from vitpose_ros.models.budget import Budget, TooLargeError
from vitpose_ros.models.errors import SourceError
from vitpose_ros.models.progress import Progress
from vitpose_ros.models.sources import UrlSource

TIMEOUT_S = 30.0
"""A connection that delivers nothing for this long is dropped and tried again."""

ANSWER_S = 60.0
"""Time for a connection, its redirects and the answer's headers."""

ATTEMPTS = 5
"""Consecutive attempts without new bytes before giving up."""

BACKOFF_S = 0.5
"""The wait before the second attempt is twice this; it doubles up to sixteen times this."""

_CHUNK = 1 << 16
_RETRY_STATUS = (408, 425, 429, 500, 502, 503, 504)


class _BrokenError(OSError):
    """The download failed in a way that another attempt may repair."""


_NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    TimeoutError,
    ConnectionError,
    ssl.SSLError,
    _BrokenError,
)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to HTTPS; to plain HTTP only from plain HTTP, and to nothing else."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        scheme = urlsplit(newurl).scheme
        if scheme != "https" and not (scheme == req.type == "http"):
            raise SourceError(
                f"{req.full_url} redirects to {newurl}; accepted are redirects to https. "
                "Check the address."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch_url(
    source: UrlSource,
    target: Path,
    progress: Progress,
    size: int | None = None,
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Write the file to `target`, resuming an earlier download of the same address.

    The incomplete file is <target>.download. It is resumed only if the server sent an ETag or a
    Last-Modified header and confirms (If-Range) that the file has not changed; otherwise the
    download starts again.

    Parameters
    ----------
    size : the file's size in bytes if known; otherwise at most `budget.LARGEST` are accepted.

    Raises
    ------
    SourceError : the server refuses or stays unreachable, redirects away from https, or sends too
        many bytes or sends them too slowly. An incomplete file is kept for the next pull, one that
        is too large is not.
    """
    download = _Download(source, target, progress, Budget(source.url, size), timeout_s)
    failures = 0
    while True:
        before = download.kept()[0]
        try:
            download.attempt()
            os.replace(download.part, target)
            download.note.unlink(missing_ok=True)
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
        failures = 1 if download.kept()[0] > before else failures + 1
        if failures >= ATTEMPTS:
            raise SourceError(
                f"{source.url} cannot be downloaded: {reason}. Check the network, then run the "
                "same command again to resume."
            )
        progress.note(f"{source.url}: {reason}; trying again")
        time.sleep(min(BACKOFF_S * 2**failures, 16 * BACKOFF_S))


class _Download:
    """One file's download over all its attempts."""

    def __init__(
        self, source: UrlSource, target: Path, progress: Progress, budget: Budget, timeout_s: float
    ) -> None:
        self._url, self._progress = source.url, progress
        self._budget, self._timeout_s = budget, timeout_s
        self._opener = urllib.request.build_opener(_Redirects)
        self._received = 0
        self.part = target.with_name(f"{target.name}.download")
        self.note = target.with_name(f"{target.name}.download.json")

    def kept(self) -> tuple[int, str]:
        """Bytes that an earlier attempt left and the validator that they depend on; (0, "") when
        they cannot be resumed.
        """
        try:
            noted = json.loads(self.note.read_text(encoding="utf-8"))
            if noted["url"] == self._url and noted["validator"]:
                return self.part.stat().st_size, str(noted["validator"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return 0, ""

    def attempt(self) -> None:
        """Download what is missing. Raises one of _NETWORK_ERRORS when that is worth repeating."""
        self._budget.check_time(self._received)
        start, validator = self.kept()
        headers = {"User-Agent": "vitpose_ros", "Accept-Encoding": "identity"}
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": validator}
        try:
            response = self._answer(urllib.request.Request(self._url, headers=headers))
        except urllib.error.HTTPError as error:
            if error.code != 416 or not start:
                raise
            self.part.unlink(missing_ok=True)
            raise _BrokenError("the server's file is shorter than the part kept here") from error
        with response:
            resumed = response.status == 206 and response.headers.get(
                "Content-Range", ""
            ).startswith(f"bytes {start}-")
            if response.status == 206 and not resumed:
                self.part.unlink(missing_ok=True)
                raise _BrokenError("the server sent a different range than requested")
            if not resumed:
                self.part.unlink(missing_ok=True)
                note = {"url": self._url, "validator": _validator(response)}
                self.note.write_text(json.dumps(note), encoding="utf-8")
            self._receive(response, start if resumed else 0)

    def _answer(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """The answer up to its headers. The socket's time-out is per read, so that slow headers
        could take for ever; hence the thread with its own time limit.
        """
        answers: list[Any] = []

        def ask() -> None:
            try:
                answers.append(self._opener.open(request, timeout=self._timeout_s))
            except BaseException as error:  # noqa: BLE001  (raised again below)
                answers.append(error)

        thread = threading.Thread(target=ask, name="download-answer", daemon=True)
        thread.start()
        thread.join(ANSWER_S)
        if not answers:
            raise _BrokenError(f"no answer within {ANSWER_S:.0f} s")
        if isinstance(answers[0], BaseException):
            raise answers[0]
        response: http.client.HTTPResponse = answers[0]
        return response

    def _receive(self, response: http.client.HTTPResponse, done: int) -> None:
        """Append the answer's body to the `done` bytes that are there."""
        length = response.headers.get("Content-Length")
        total = done + int(length) if length and length.isdigit() else None
        try:
            self._budget.check_size(total or done)
            self._progress.start(os.path.basename(self._url) or self._url, total)
            with self.part.open("ab") as out:
                while chunk := response.read1(_CHUNK):  # read() would wait for a full chunk
                    self._received += len(chunk)
                    self._budget.check_size(done + len(chunk))
                    self._budget.check_time(self._received)
                    out.write(chunk)
                    done += len(chunk)
                    self._progress.advance(done)
        except TooLargeError:
            self.part.unlink(missing_ok=True)
            self.note.unlink(missing_ok=True)
            raise
        if total is not None and done != total:
            raise _BrokenError(f"the connection ended after {done} of {total} bytes")


def _validator(response: http.client.HTTPResponse) -> str:
    """The header that later proves the file unchanged: a strong ETag, else Last-Modified."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
