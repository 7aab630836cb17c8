"""Advice by cause: missing images, tracking that restarts, ages that cannot be."""

from __future__ import annotations

from collections import Counter

import pytest

from vitpose_ros.ros.advice import (
    Middleware,
    age_warning,
    loss_warning,
    restart_cause,
    restart_warning,
)
from vitpose_ros.ros.clock import SimClock

PLAIN = Middleware("rmw_fastrtps_cpp", "")
TUNED = Middleware("rmw_fastrtps_cpp", "/share/fastdds.xml")
CYCLONE = Middleware("rmw_cyclonedds_cpp", "")
DRIVER = Counter(received=75, lost=25, unpublished=25)
BUSY = Counter(received=75, lost=25, undelivered=25)
TRANSPORT = Counter({"received": 75, "lost": 25, "undelivered": 25, "reported lost": 25})
UNKNOWN = Counter(received=75, lost=25)

SET_PROFILE = "to the package's config/fastdds.xml"

# what was counted, by which middleware, what the warning must say, and what it must not
LOSSES = [
    ("driver", DRIVER, PLAIN, ["never published", "driver's log"], ["fastdds", "Fast DDS"]),
    ("busy machine", BUSY, PLAIN, ["too busy", "lower the camera's rate"], ["fastdds", "driver"]),
    ("transport", TRANSPORT, PLAIN, ["lost in transport", SET_PROFILE], ["busy", "published:"]),
    (
        "transport, profile set",
        TRANSPORT,
        TUNED,
        ["already uses the profile /share/fastdds.xml", "start the camera's driver with it, too"],
        [SET_PROFILE, "launch with"],
    ),
    ("transport, Cyclone", TRANSPORT, CYCLONE, ["kernel buffers"], ["fastdds", "shared-memory"]),
    ("unknown", UNKNOWN, PLAIN, ["either the driver", "ros2 topic hz /image", SET_PROFILE], []),
    ("unknown, profile set", UNKNOWN, TUNED, ["either the driver"], [SET_PROFILE]),
    (
        "mostly the driver",
        DRIVER + Counter({"lost": 5, "undelivered": 5, "reported lost": 5}),
        PLAIN,
        ["29 %", "never published"],
        [],
    ),
]


@pytest.mark.parametrize(
    ("counts", "middleware", "said", "unsaid"), [r[1:] for r in LOSSES], ids=[r[0] for r in LOSSES]
)
def test_missing_images_are_explained_by_their_cause(
    counts: Counter[str], middleware: Middleware, said: list[str], unsaid: list[str]
) -> None:
    text = loss_warning(counts, middleware, "/image")
    assert "% of the images are lost before they arrive" in text
    assert all(part in text for part in said), text
    assert not any(part in text for part in unsaid), text


@pytest.mark.parametrize(
    "counts",
    [
        Counter(),
        Counter(received=300),
        Counter(received=300, lost=15),
        Counter(received=5, lost=2),
    ],
)
def test_few_missing_images_are_no_warning(counts: Counter[str]) -> None:
    assert loss_warning(counts, PLAIN, "/image") == ""


def test_the_profile_counts_under_the_variable_that_the_distribution_reads() -> None:
    both = {"FASTRTPS_DEFAULT_PROFILES_FILE": "old", "FASTDDS_DEFAULT_PROFILES_FILE": "new"}
    assert Middleware.here({"ROS_DISTRO": "jazzy", **both}).profile == "old"
    assert Middleware.here({"ROS_DISTRO": "kilted", **both}).profile == "new"
    assert Middleware.here({"ROS_DISTRO": "jazzy"}).profile == ""


def restarts(number: int, cause: str, images: int = 116) -> Counter[str]:
    return Counter({"processed": images, "restarts": number, f"restarts: {cause}": number})


# counts, publishers on the topic, and what must be said
RESTARTS = [
    (restarts(114, "size"), 2, "restarted 114 times in 116 images, because the image size changes"),
    (restarts(114, "size"), 2, "separate the publishers"),
    (restarts(114, "back"), 1, "stamps jump back: several cameras, or a bag and a camera"),
    (restarts(10, "gap", 10), 1, "more than 0.5 s apart"),
    (restarts(20, "asked"), 1, "parameters"),
    (restarts(9, "size") + restarts(8, "gap"), 1, "the image size changes"),
]


@pytest.mark.parametrize(("counts", "publishers", "said"), RESTARTS)
def test_frequent_restarts_are_explained(
    counts: Counter[str], publishers: int, said: str
) -> None:
    assert said in restart_warning(counts, publishers, losses=False)


@pytest.mark.parametrize("number", [0, 2, 5])
def test_a_looping_bag_is_no_warning(number: int) -> None:
    assert restart_warning(restarts(number, "back", 300), 1, losses=False) == ""


def test_gaps_that_lost_images_explain_are_left_to_the_warning_about_them() -> None:
    gaps = restarts(20, "gap")
    assert restart_warning(gaps, 1, losses=True) == ""
    assert "restarted 30 times" in restart_warning(gaps + restarts(30, "size"), 1, losses=True)


SIZE = (640, 480)


@pytest.mark.parametrize(
    ("before", "now", "cause"),
    [
        ((1000, SIZE), (2000, (320, 240)), "size"),
        ((2000, SIZE), (1000, SIZE), "back"),
        ((0, SIZE), (600_000_000, SIZE), "gap"),
        ((0, SIZE), (33_000_000, SIZE), "asked"),
        (None, (33_000_000, SIZE), "asked"),
    ],
)
def test_the_cause_of_a_restart_follows_from_two_images(before, now, cause) -> None:
    assert restart_cause(before, now) == cause


# age in s, simulated time, what must be said, and what must not
AGES = [
    (0.05, False, "", "?"),
    (1.5, False, "1.5 s old when published", "bag"),
    (-0.25, False, "0.250 s in the future", "bag"),
    (95_592_552.0, False, "95592552 s old", "PTP"),
    (95_592_552.0, False, "`ros2 bag play --clock BAG` and set use_sim_time:=true", "PTP"),
    (95_592_552.0, True, "play their bag with `ros2 bag play --clock BAG`", "use_sim_time:=true"),
    (-1.7e9, True, "1700000000 s in the future by /clock", "PTP"),
    (-1.7e9, True, "set use_sim_time:=false for a live camera", "PTP"),
]


@pytest.mark.parametrize(("age_s", "sim_time", "said", "unsaid"), AGES)
def test_an_age_is_explained_by_its_size(
    age_s: float, sim_time: bool, said: str, unsaid: str
) -> None:
    text = age_warning(age_s, sim_time)
    assert said in text
    assert bool(text) == bool(said)
    assert unsaid not in text


def told(readings: list[tuple[bool, int, float]]) -> list[str]:
    clock = SimClock()
    return [clock.problem(*reading) for reading in readings]


def test_a_silent_clock_is_reported_after_three_seconds() -> None:
    early, late = told([(True, 0, 100.0), (True, 0, 103.0)])
    assert early == ""
    assert "nothing comes on /clock" in late
    assert "ros2 bag play --clock" in late


def test_a_stopped_clock_is_reported_until_it_goes_on() -> None:
    runs, stands, stopped, goes_on = told(
        [(True, 5, 100.0), (True, 5, 102.0), (True, 5, 103.5), (True, 6, 104.0)]
    )
    assert runs == stands == goes_on == ""
    assert "/clock has stopped" in stopped
    assert "ros2 bag play --clock" in stopped


def test_without_simulated_time_no_clock_is_reported() -> None:
    assert told([(False, 5, 100.0), (False, 5, 200.0)]) == ["", ""]
