"""Videos as they are: variable frame rates, damaged frames, rotation, and devices that stop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from vitpose_ros import video
from vitpose_ros.video import VideoDevice, VideoError, VideoFile

MS = 1_000_000
STEPS_MS = [33, 100, 33] * 20


def times_ns(file: VideoFile) -> list[int]:
    return list(iter(file.grab, None))


def test_frames_have_the_times_of_the_file_where_its_rate_varies(
    make_video: Callable[..., Path], tmp_path: Path
) -> None:
    found = times_ns(VideoFile(str(make_video(tmp_path / "a.mp4", STEPS_MS))))
    assert found == [sum(STEPS_MS[:number]) * MS for number in range(len(STEPS_MS))]


DAMAGED = [[2], [2, 3], [2, 40], [5, 6, 7, 8, 9, 10, 50]]


@pytest.mark.parametrize("damaged", DAMAGED, ids=str)
def test_a_damaged_frame_is_counted_and_the_others_keep_their_times(
    make_video: Callable[..., Path], tmp_path: Path, damaged: list[int]
) -> None:
    file = VideoFile(str(make_video(tmp_path / "a.mp4", STEPS_MS, damaged)))
    good = [number for number in range(len(STEPS_MS)) if number not in damaged]
    assert times_ns(file) == [sum(STEPS_MS[:number]) * MS for number in good]
    assert file.damaged == len(damaged)


def test_a_frame_is_turned_as_the_file_asks(
    make_video: Callable[..., Path], tmp_path: Path
) -> None:
    file = VideoFile(str(make_video(tmp_path / "a.mp4", [33] * 5, turned=True)))
    assert file.grab() == 0
    image = file.decode()
    assert image is not None and image.shape == (320, 240, 3)
    # The band at the left is at the top after a quarter turn clockwise.
    assert image[:30].mean() > 200 > 100 > image[-30:].mean()


def test_frames_without_times_follow_at_the_nominal_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class NoTimes:
        left = 5

        def __init__(self, path: str) -> None:
            pass

        def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
            return True

        def get(self, what: int) -> float:
            return 25.0 if what == cv2.CAP_PROP_FPS else 0.0

        def grab(self) -> bool:
            self.left -= 1
            return self.left >= 0

    monkeypatch.setattr(cv2, "VideoCapture", NoTimes)
    assert times_ns(VideoFile("a")) == [number * 40 * MS for number in range(5)]


def test_what_is_no_video_is_refused_with_what_is_accepted(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no video")
    with pytest.raises(VideoError, match=rf"OpenCV cannot open '{text}'.*ffmpeg -i IN"):
        VideoFile(str(text))


class FakeDevice:
    """In the place of cv2.VideoCapture: the readings of all openings, in order."""

    readings: list[bool]
    opened = 0

    def __init__(self, path: str) -> None:
        type(self).opened += 1

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def read(self) -> tuple[bool, np.ndarray | None]:
        good = self.readings.pop(0) if self.readings else False
        return good, np.zeros((4, 6, 3), np.uint8) if good else None

    def release(self) -> None:
        pass


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[VideoDevice, list[str]]]:
    """``device(readings)``: a device whose waits take no time but are counted on its clock."""

    def make(readings: list[bool]) -> tuple[VideoDevice, list[str]]:
        monkeypatch.setattr(cv2, "VideoCapture", FakeDevice)
        FakeDevice.readings, FakeDevice.opened = readings, 0
        now_s = [0.0]

        def wait(duration_s: float) -> bool:
            now_s[0] += duration_s
            return False

        monkeypatch.setattr(video.time, "monotonic", lambda: now_s[0])
        told: list[str] = []
        return VideoDevice("/dev/video7", wait, told.append), told

    return make


def test_a_device_that_misses_a_read_is_opened_again_and_goes_on(
    device: Callable[..., tuple[VideoDevice, list[str]]],
) -> None:
    made, told = device([True, False, False, False, True, True])
    assert all(made.read() is not None for _ in range(3))
    assert FakeDevice.opened == 4
    assert len(told) == 2
    assert "'/dev/video7' delivers no image; trying again for 5 s" in told[0]
    assert "again, after 0.6 s" in told[1]


def test_a_device_that_stays_away_fails_after_five_seconds_with_what_to_check(
    device: Callable[..., tuple[VideoDevice, list[str]]],
) -> None:
    made, _ = device([True])
    made.read()
    with pytest.raises(VideoError, match=r"no image for 5 s: check its cable"):
        made.read()
    assert FakeDevice.opened == 1 + 25


def test_whoever_ends_the_program_does_not_wait_for_a_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeDevice)
    FakeDevice.readings = []
    made = VideoDevice("/dev/video7", wait=lambda duration_s: True, tell=lambda text: None)
    assert made.read() is None
