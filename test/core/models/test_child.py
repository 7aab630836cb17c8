from __future__ import annotations

import subprocess
import sys

import pytest

from vitpose_ros.models import budget, child
from vitpose_ros.models.budget import Budget
from vitpose_ros.models.child import run_download
from vitpose_ros.models.errors import SourceError
from vitpose_ros.models.progress import Progress

WRITER = """
import sys, time
with open(sys.argv[1], "wb") as out:
    while True:
        out.write(bytes(1000))
        out.flush()
        time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def started(monkeypatch):
    """The processes that were started; they are looked at every 10 ms."""
    made, real = [], subprocess.Popen

    def start(*arguments, **options):
        made.append(real(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(child, "POLL_S", 0.01)
    monkeypatch.setattr(child.subprocess, "Popen", start)
    return made


class Sizes(Progress):
    def __init__(self):
        self.seen = []

    def advance(self, done):
        self.seen.append(done)


def run(tmp_path, size, progress=None):
    command = [sys.executable, "-c", WRITER, str(tmp_path / "file")]
    return run_download(command, tmp_path, progress or Progress(), Budget("it", size))


def test_a_program_that_writes_too_much_is_stopped(tmp_path, started):
    sizes = Sizes()
    with pytest.raises(SourceError, match="it is larger than 20000 bytes"):
        run(tmp_path, 20_000, sizes)
    assert sizes.seen == sorted(sizes.seen)
    assert started[0].poll() is not None


def test_a_program_that_is_too_slow_is_stopped(tmp_path, monkeypatch, started):
    monkeypatch.setattr(budget, "GRACE_S", 0.0)
    monkeypatch.setattr(budget, "SLOWEST", 1e9)
    with pytest.raises(SourceError, match="it is too slow"):
        run(tmp_path, None)
    assert started[0].poll() is not None


def test_an_interrupted_wait_ends_the_program(tmp_path, started):
    class Interrupting(Progress):
        def advance(self, done):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, None, Interrupting())
    assert started[0].poll() is not None


def test_output_and_exit_code_are_returned(tmp_path):
    words = "import sys; print('out'); sys.exit('wrong')"
    result = run_download([sys.executable, "-c", words], tmp_path, Progress(), Budget("it", None))
    assert (result.returncode, result.stdout, result.stderr) == (1, "out\n", "wrong\n")


@pytest.mark.parametrize(
    ("elapsed_s", "received", "accepted"),
    [
        (299.0, 0, True),
        (301.0, 1_000, False),
        (301.0, 20_000, True),
        (1300.0, 20_000_000, True),
        (1301.0, 20_000_000, False),
    ],
)
def test_a_download_has_five_minutes_and_a_second_for_every_20_kilobytes(
    elapsed_s, received, accepted
):
    now = [0.0]
    one = Budget("it", None, clock=lambda: now[0])
    now[0] = elapsed_s
    if accepted:
        one.check_time(received)
    else:
        with pytest.raises(
            SourceError, match=rf"it is too slow: {received} bytes in {elapsed_s:.0f}"
        ):
            one.check_time(received)
