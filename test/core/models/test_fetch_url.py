from __future__ import annotations

import io
import socket
import threading
import urllib.request

import pytest

from vitpose_ros.models import budget
from vitpose_ros.models import fetch_url as module
from vitpose_ros.models.errors import SourceError
from vitpose_ros.models.fetch_url import ATTEMPTS, fetch_url
from vitpose_ros.models.progress import Progress
from vitpose_ros.models.sources import UrlSource


class Steps(Progress):
    """Keeps what it is told."""

    def __init__(self):
        self.totals, self.steps, self.notes = [], [], []

    def note(self, text):
        self.notes.append(text)

    def start(self, label, total):
        self.totals.append(total)

    def advance(self, done):
        self.steps.append(done)


@pytest.fixture
def fetch(site, tmp_path, content):
    """Fetch /net.onnx to `fetch.target`; the folder's other files are `fetch.left()`."""
    site.files["/net.onnx"] = content
    target = tmp_path / "got" / "net.onnx"
    target.parent.mkdir()

    def call(progress=None, size=None):
        fetch_url(UrlSource(f"{site.url}/net.onnx"), target, progress or Progress(), size)
        return target.read_bytes()

    call.target = target
    call.left = lambda: sorted(path.name for path in target.parent.iterdir())
    return call


def test_a_file_arrives_whole_and_leaves_nothing_else(fetch, content):
    steps = Steps()
    assert fetch(steps) == content
    assert fetch.left() == ["net.onnx"]
    assert steps.totals == [len(content)]
    assert steps.steps == sorted(steps.steps)
    assert steps.steps[-1] == len(content)


def test_a_connection_that_breaks_midway_is_resumed_where_it_stopped(fetch, site, content):
    site.cuts = [100_000, 50_000]
    steps = Steps()
    assert fetch(steps) == content
    assert site.gets() == [None, "bytes=100000-", "bytes=150000-"]
    assert steps.totals == [len(content)] * 3
    assert steps.notes[0].endswith(
        f"the connection ended after 100000 of {len(content)} bytes; trying again"
    )


def test_what_an_earlier_pull_left_is_continued(fetch, site, content, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    site.cuts = [100_000]
    with pytest.raises(SourceError, match=r"run the same command again to resume"):
        fetch()
    assert not fetch.target.exists()
    assert fetch() == content
    assert site.gets() == [None, "bytes=100000-"]
    assert fetch.left() == ["net.onnx"]


def test_without_an_etag_the_time_of_change_is_the_proof(fetch, site, content):
    site.etag, site.modified = "", "Wed, 21 Oct 2015 07:28:00 GMT"
    site.cuts = [100_000]
    assert fetch() == content
    assert site.gets() == [None, "bytes=100000-"]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_validator_a_broken_download_starts_afresh(fetch, site, content, etag):
    site.etag = etag
    site.cuts = [100_000]
    assert fetch() == content
    assert site.gets() == [None, None]


def test_a_file_that_changed_meanwhile_is_never_mixed(fetch, site, content, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    site.cuts = [100_000]
    with pytest.raises(SourceError):
        fetch()
    site.files["/net.onnx"], site.etag = content[::-1], '"two"'
    assert fetch() == content[::-1]


def test_a_file_that_became_shorter_is_downloaded_afresh(fetch, site, content, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    site.cuts = [100_000]
    with pytest.raises(SourceError):
        fetch()
    site.files["/net.onnx"] = content[:1000]
    monkeypatch.setattr(module, "ATTEMPTS", 2)
    assert fetch() == content[:1000]
    assert site.gets() == [None, "bytes=100000-", None]


def test_what_was_kept_of_another_address_is_not_continued(fetch, site, content, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    site.cuts = [100_000]
    with pytest.raises(SourceError):
        fetch()
    site.files["/other"] = content[::-1]
    fetch_url(UrlSource(f"{site.url}/other"), fetch.target, Progress())
    assert fetch.target.read_bytes() == content[::-1]


def test_a_missing_file_is_said_at_once(fetch, site):
    site.files.clear()
    with pytest.raises(SourceError, match=r"/net\.onnx answers 404 Not Found; check the address"):
        fetch()
    assert len(site.asked) == 1


def test_a_busy_server_is_asked_again(fetch, site, content):
    site.statuses = [503, 429]
    assert fetch() == content
    assert len(site.asked) == 3


def test_a_server_that_stays_broken_is_given_up(fetch, site):
    site.statuses = [500] * (ATTEMPTS + 1)
    with pytest.raises(SourceError, match=r"500 Internal Server Error. Check the network"):
        fetch()
    assert len(site.asked) == ATTEMPTS


def test_a_download_that_advances_is_not_given_up(fetch, site, content):
    site.cuts = [30_000] * (ATTEMPTS + 2)
    assert fetch() == content


def test_a_closed_port_is_a_network_error(site, tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        source = UrlSource(f"http://127.0.0.1:{held.getsockname()[1]}/net.onnx")
        with pytest.raises(SourceError, match=r"refused.*Check the network"):
            fetch_url(source, tmp_path / "net.onnx", Progress())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("announced", [True, False])
def test_of_300_megabytes_for_an_entry_of_1000_bytes_at_most_1000_are_written(
    fetch, site, monkeypatch, announced
):
    site.files["/net.onnx"], site.length = bytes(300_000_000), announced
    written = []
    monkeypatch.setattr(module.Budget, "check_size", spy(written, fetch))
    with pytest.raises(SourceError, match=r"larger than 1000 bytes, its size in the catalogue"):
        fetch(size=1000)
    assert max(written) <= 1000
    assert site.sent < 30_000_000
    assert fetch.left() == []


def spy(written, fetch):
    """Budget.check_size, which also notes the bytes on the disk at each call."""
    check, part = module.Budget.check_size, fetch.target.with_name("net.onnx.download")

    def noting(budget, size):
        written.append(part.stat().st_size if part.exists() else 0)
        check(budget, size)

    return noting


def test_a_file_of_unknown_size_stops_at_the_stated_limit(fetch, site, monkeypatch, content):
    monkeypatch.setattr(budget, "LARGEST", len(content) - 1)
    with pytest.raises(SourceError, match=r"larger than 307203 bytes, the limit for a file whose"):
        fetch()
    assert fetch.left() == []
    monkeypatch.setattr(budget, "LARGEST", len(content))
    assert fetch() == content


def test_a_slow_drip_ends_although_every_read_is_in_time(fetch, site, content, monkeypatch):
    monkeypatch.setattr(budget, "GRACE_S", 0.2)
    site.pause_s = 0.05  # between single bytes: 20 bytes per second, the limit is 20,000
    with pytest.raises(SourceError, match=r"too slow: \d+ bytes in \d+ s"):
        fetch()
    site.pause_s = 0.0
    assert fetch() == content
    assert site.gets()[-1].startswith("bytes=")


def test_a_slow_drip_of_headers_ends(fetch, site, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_S", 0.1)
    monkeypatch.setattr(module, "ATTEMPTS", 2)
    site.header_gate = threading.Event()
    try:
        with pytest.raises(SourceError, match=r"no answer within"):
            fetch()
    finally:
        site.header_gate.set()


@pytest.mark.parametrize(
    ("first", "location", "followed"),
    [
        ("http", "http://a/net.onnx", True),
        ("http", "https://a/net.onnx", True),
        ("https", "https://a/net.onnx", True),
        ("https", "http://a/net.onnx", False),
        ("https", "ftp://a/net.onnx", False),
        ("http", "ftp://a/net.onnx", False),
    ],
)
def test_redirects_never_leave_https_and_never_lead_to_other_schemes(first, location, followed):
    request = urllib.request.Request(f"{first}://server/net.onnx")
    answer = (request, io.BytesIO(), 302, "Found", {}, location)
    if followed:
        assert module._Redirects().redirect_request(*answer).full_url == location
    else:
        with pytest.raises(SourceError, match=rf"redirects to {location}; accepted are redirects"):
            module._Redirects().redirect_request(*answer)


@pytest.mark.parametrize("location", ["ftp://127.0.0.1:9/net.onnx", "file:///etc/passwd"])
def test_a_redirect_by_a_server_to_ftp_or_a_file_is_refused(fetch, site, location):
    site.redirects["/net.onnx"] = location
    with pytest.raises(SourceError, match=f"{location}"):
        fetch()
    assert len(site.asked) == 1
    assert fetch.left() == []


def test_a_redirect_is_followed(fetch, site, content):
    site.redirects["/net.onnx"] = f"{site.url}/moved.onnx"
    site.files["/moved.onnx"] = content
    assert fetch() == content


def test_a_silent_server_is_given_up(site, tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)  # connects, and never answers
        source = UrlSource(f"http://127.0.0.1:{silent.getsockname()[1]}/net.onnx")
        with pytest.raises(SourceError, match=r"timed out"):
            fetch_url(source, tmp_path / "net.onnx", Progress(), timeout_s=0.02)
