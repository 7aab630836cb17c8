"""LeRobot itself loads our datasets. It has an environment of its own: make test-lerobot."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from vitpose_ros.types import Side

from .conftest import FIRST_NS, PERIOD_NS, Take, hand_m, number_of

PYTHON = os.environ.get("VITPOSE_ROS_TEST_LEROBOT", "")

pytestmark = [
    pytest.mark.lerobot,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PYTHON, reason="needs LeRobot: make test-lerobot"),
]

STAMPS = [FIRST_NS + i * PERIOD_NS + (i % 4) * 2_000_003 for i in range(40)]
SEEN = [*range(4, 12), *range(16, 40)]
MARKS = [(STAMPS[2], STAMPS[17]), (STAMPS[20], None)]
SHOWN = [*range(2, 18), *range(20, 40), *range(20)]  # images by frame, those appended last
SPANS = [(0, 16), (16, 36), (36, 56)]


@pytest.fixture
def dataset(write, export):
    """Two episodes with gaps in the right hand, and a third one, appended, of the left hand."""
    state = [(FIRST_NS - 50_000_000 + i * 10_000_000, ["a", "b"], [i, -i]) for i in range(200)]
    orders = [(FIRST_NS + i * 100_000_000, ["a", "b"], [0.1 * i, 1 - i]) for i in range(-1, 20)]

    def topics(later_ns):
        kind = "sensor_msgs/msg/JointState"
        later = ([(at + later_ns, n, v) for at, n, v in sent] for sent in (state, orders))
        return {
            name: (kind, sent) for name, sent in zip(("/state", "/command"), later, strict=True)
        }

    words = ["--state", "/state", "--action", "/command"]
    take = Take(stamps_ns=STAMPS, seen={Side.RIGHT: SEEN}, marks=MARKS, topics=topics(0))
    write(take)
    code, said, out = export(*words)
    assert code == 0, said
    later = 10**12
    stamps = [FIRST_NS + later + i * PERIOD_NS for i in range(20)]
    write(Take(stamps_ns=stamps, seen={Side.LEFT: range(20)}, topics=topics(later)), "take2")
    code, said, _ = export(*words, "--append", "--task", "point")
    assert code == 0, said
    return out


@pytest.fixture
def judge(tmp_path):
    """``judge(what, dataset)``: LeRobot's findings, by name."""

    def run(what: str, dataset: Path) -> dict[str, np.ndarray]:
        result = tmp_path / f"{what}.npz"
        kept = ("PATH", "HOME", "TMPDIR", "LANG")
        env = {name: os.environ[name] for name in kept if name in os.environ}
        env |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
        script = Path(__file__).with_name("judge.py")
        command = [PYTHON, str(script), what, str(dataset), str(result)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return dict(np.load(result))

    return run


def expected_right(number):
    """The right hand of an image: held over gaps within its episode, the first one before it."""
    first, last = (2, 17) if number < 18 else (20, 39)
    known = [n for n in SEEN if first <= n <= last]
    before = [n for n in known if n <= number]
    return hand_m(before[-1] if before else known[0], Side.RIGHT).ravel()


def test_values_frames_and_windows_are_exact_at_every_item(dataset, judge):
    found = judge("items", dataset)
    assert found["episodes"] == 3 and len(found["index"]) == 56
    stamps = [STAMPS[n] for n in SHOWN[:36]] + [
        FIRST_NS + 10**12 + i * PERIOD_NS for i in range(20)
    ]
    seen = np.stack([hand_m(n, Side.RIGHT).ravel() for n in SHOWN[:36] if n in SEEN])
    mean = seen.astype(float).mean(axis=0).astype(np.float32)
    right = [expected_right(n) for n in SHOWN[:36]] + [mean] * 20
    for begin, end in SPANS:
        for i in range(begin, end):
            window = [min(max(i + step, begin), end - 1) for step in (-1, 0, 1)]
            hands = found["observation.hand_right"][i]
            expected = [right[n] for n in window]
            np.testing.assert_allclose(hands, expected, rtol=0 if i < 36 else 1e-6)
            padded = found["observation.hand_right_is_pad"][i]
            assert padded.tolist() == [i == begin, False, i == end - 1]
            images = [
                number_of(image.transpose(1, 2, 0))
                for image in found["observation.images.camera"][i]
            ]
            assert images == [SHOWN[n] for n in window[:2]]
            ahead = min(i + 2, end - 1)
            assert found["stamp_ns"][i].ravel().tolist() == [stamps[i], stamps[ahead]]
    np.testing.assert_array_equal(
        found["observation.hand_left"][36:], [hand_m(i, Side.LEFT).ravel() for i in range(20)]
    )
    valid = [n in SEEN for n in SHOWN[:36]] + [False] * 20
    np.testing.assert_array_equal(
        found["valid.hand_right"], np.repeat(np.array(valid)[:, None], 21, 1)
    )
    assert found["valid.hand_right"].dtype == bool and found["stamp_ns"].dtype == np.int64
    assert [str(task) for task in found["task"]] == ["wave"] * 36 + ["point"] * 20


def test_the_robots_values_are_those_of_the_bag(dataset, judge):
    found = judge("items", dataset)
    relative = [STAMPS[n] - FIRST_NS for n in SHOWN[:36]] + [i * PERIOD_NS for i in range(20)]
    state = [(ns + 50_000_000) // 10_000_000 for ns in relative]
    np.testing.assert_array_equal(found["observation.state"], [[n, -n] for n in state])
    orders = [ns // 100_000_000 for ns in relative]
    np.testing.assert_array_equal(
        found["action"], np.array([[0.1 * n, 1 - n] for n in orders], np.float32)
    )
    assert found["valid.state"].all() and found["valid.action"].all()


def test_an_episode_by_itself_a_batch_and_the_statistics(dataset, judge):
    found = judge("items", dataset)
    assert found["episode1/stamp_ns"].tolist() == STAMPS[20:]
    images = [number_of(i.transpose(1, 2, 0)) for i in found["episode1/observation.images.camera"]]
    assert images == list(range(20, 40))
    assert found["batch/stamp_ns"].tolist() == STAMPS[2:7]
    stats = {name: value for name, value in found.items() if name.startswith("stats/")}
    assert {name.split("/")[1] for name in stats} == set(found["features"])
    assert all(np.isfinite(value).all() for value in stats.values())
    assert found["stats/observation.images.camera/mean"].shape == (3, 1, 1)
    seen = np.stack([hand_m(n, Side.RIGHT).ravel() for n in SHOWN[:36] if n in SEEN])
    mean = found["stats/observation.hand_right/mean"]
    np.testing.assert_allclose(mean, seen.astype(float).mean(axis=0), rtol=1e-6)


def test_lerobots_own_tools_merge_it_cut_it_and_record_on(dataset, judge):
    found = judge("tools", dataset)
    assert found["grown"].tolist() == [59, 4]
    assert len(found["merged"]) == 112 and found["kept"][0] == STAMPS[20]
    assert np.isfinite(found["merged/stats"]).all() and np.isfinite(found["kept/stats"]).all()


def test_a_policy_of_lerobot_trains_on_it(dataset, judge):
    found = judge("training", dataset)
    assert np.isfinite(found["loss"])
    assert found["inputs"].max() < 1e4  # normalized, and nothing was divided by a spread of 0
    names = set(found["names"])
    assert "observation.hand_right" in names and "observation.state" in names
    assert not any(name.startswith(("valid", "stamp", "z_source")) for name in names)
