"""A local HTTP server with bad days, and stores with catalogues made for one test."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from vitpose_ros.models import fetch_url
from vitpose_ros.models.catalogue import read_catalogue
from vitpose_ros.models.store import ModelStore


class Site:
    """What the server serves and how it behaves; `asked`: (method, path, Range) of each request.

    Attributes
    ----------
    files : content by path.
    etag, modified : validators sent with every file; "" for none.
    statuses : error codes that the next requests get instead of an answer.
    cuts : the next answers end after so many bytes of their body (negative: they are whole).
    half, gate : when `gate` is set to an Event, a body stops in the middle, sets `half`, and goes
        on once the gate opens.
    header_gate : when set to an Event, headers stop in the middle until the gate opens.
    pause_s : when positive, bodies are sent byte by byte with this pause.
    length : whether bodies are announced with their length.
    redirects : addresses to redirect to, by path.
    sent : bytes of bodies that were sent.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.etag, self.modified = '"one"', ""
        self.statuses: list[int] = []
        self.cuts: list[int] = []
        self.asked: list[tuple[str, str, str | None]] = []
        self.half = threading.Event()
        self.gate: threading.Event | None = None
        self.header_gate: threading.Event | None = None
        self.pause_s, self.length, self.sent = 0.0, True, 0
        self.redirects: dict[str, str] = {}
        self.url = ""

    def gets(self) -> list[str | None]:
        """The Range of every GET so far."""
        return [span for method, _, span in self.asked if method == "GET"]


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        site, span = self.site, self.headers.get("Range")
        site.asked.append((self.command, self.path, span))
        if site.statuses:
            self.send_error(site.statuses.pop(0))
            return
        if self.path in site.redirects:
            self.send_response(302)
            self.send_header("Location", site.redirects[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = site.files.get(self.path)
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        fresh = self.headers.get("If-Range") in (None, site.etag or site.modified)
        if span and fresh:
            start = int(span.removeprefix("bytes=").split("-")[0])
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if site.etag:
            self.send_header("ETag", site.etag)
        if site.modified:
            self.send_header("Last-Modified", site.modified)
        self.send_header("X-Repo-Commit", "0" * 40)
        if site.length:
            self.send_header("Content-Length", str(len(content) - start))
        if site.header_gate is not None:
            self.flush_headers()
            site.header_gate.wait(30)
        self.end_headers()
        if body:
            self._send(content[start:])

    def _send(self, content: bytes) -> None:
        cut = self.site.cuts.pop(0) if self.site.cuts else -1
        if self.site.gate is not None:
            middle = len(content) // 2
            self.wfile.write(content[:middle])
            self.wfile.flush()
            self.site.half.set()
            self.site.gate.wait(30)
            content = content[middle:]
        content = content if cut < 0 else content[:cut]
        step = 1 if self.site.pause_s else 1 << 16
        with contextlib.suppress(ConnectionError):  # the client may stop reading
            for start in range(0, len(content), step):
                self.wfile.write(content[start : start + step])
                self.site.sent += len(content[start : start + step])
                if self.site.pause_s:
                    time.sleep(self.site.pause_s)
        self.close_connection = True

    def log_message(self, *arguments: Any) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server on 127.0.0.1; retries do not wait."""
    monkeypatch.setattr(fetch_url, "BACKOFF_S", 0.0)
    made = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": made}))
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    if made.gate is not None:
        made.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's store, catalogue, mirror, proxy and hub out of the tests."""
    for name in ("CATALOGUE", "MIRROR", "MODELS"):
        monkeypatch.delenv(f"VITPOSE_ROS_{name}", raising=False)
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def onnx_of(size: int) -> bytes:
    """The frame of an ONNX model, in `size` bytes: the IR version, and a graph of noise."""
    body = (
        size - 6
    )  # one byte for the first tag, its value and the second tag, three for the length
    length = bytes([body & 0x7F | 0x80, body >> 7 & 0x7F | 0x80, body >> 14])
    return b"\x08\x08\x3a" + length + (bytes(range(256)) * (body // 256 + 1))[:body]


@pytest.fixture
def content() -> bytes:
    """A model's file of 300 kB; its format passes for ONNX."""
    return onnx_of(307_204)


@pytest.fixture
def quick_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lets huggingface_hub, which runs in its own process, read in small pieces and never sleep."""
    (tmp_path / "quick").mkdir()
    (tmp_path / "quick" / "sitecustomize.py").write_text(
        "import time\n"
        "time.sleep = lambda seconds: None\n"
        "try:\n"
        "    from huggingface_hub import constants\n"
        "    constants.DOWNLOAD_CHUNK_SIZE = 1000\n"
        "except ImportError:\n"
        "    pass\n"
    )
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "quick"), before]))


@pytest.fixture
def make_entry(content: bytes) -> Callable[..., dict[str, Any]]:
    """A valid entry of one file, net.onnx; keywords replace fields, `file` those of the file."""

    def make(
        source: Any = None, file: dict[str, Any] | None = None, **fields: Any
    ) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "task": "hand_keypoints",
            "architecture": "mediapipe",
            "layout": "hand21",
            "input": {"width": 224, "height": 224},
            "licence": {"name": "MIT", "url": "https://example.org/licence"},
            "origin": "https://example.org/",
            "accuracy": [],
            "verified_here": False,
            "files": [
                {
                    "name": "net.onnx",
                    "size": len(content),
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "source": source or {"url": "https://example.org/net.onnx"},
                }
                | (file or {})
            ],
        } | fields
        for part in [entry, *(item for item in entry["files"] if isinstance(item, dict))]:
            for name in [name for name, value in part.items() if value == "absent"]:
                del part[name]
        return entry

    return make


@pytest.fixture
def make_catalogue(tmp_path: Path) -> Callable[..., Path]:
    """A catalogue file with these entries by name."""

    def make(models: Any, name: str = "own.yaml") -> Path:
        path = tmp_path / name
        path.write_text(yaml.safe_dump({"format": 1, "models": models}, sort_keys=False))
        return path

    return make


@pytest.fixture
def make_store(tmp_path: Path, make_catalogue: Callable[..., Path]) -> Callable[..., ModelStore]:
    """A store with a catalogue of these entries by name."""

    def make(models: Any, root: str = "store") -> ModelStore:
        return ModelStore(tmp_path / root, read_catalogue([make_catalogue(models)]))

    return make
