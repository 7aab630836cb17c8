"""dex_retargeting behind its watchdog: with a stand-in for the process, and the library itself
where it is installed (make test-dex).
"""

from __future__ import annotations

import os
import signal
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from vitpose_ros.retarget.dex import HUNG_S, WAIT_S, DexRetargeter
from vitpose_ros.retarget.robot import RobotError, load_robot

from . import five_fingers

ALL = np.ones(21, bool)
DT_S = 1 / 30

STAND_IN = """
    import json, os, sys, time
    names = [f"{f}_j{n}" for f in ("thumb", "index", "middle", "ring", "pinky") for n in range(4)]
    names.reverse()
    hello = {"names": names, "limits": [[-1.0, 1.0]] * 20}
    %s
    os.write(1, json.dumps(hello).encode() + b"\\n")
    import struct
    while True:
        data = b""
        while len(data) < 504:
            part = os.read(0, 504 - len(data))
            if not part:
                sys.exit()
            data += part
        hand = struct.unpack("63d", data)
        if hand[0] != hand[0]:
            os.read(0, 160)
            continue
        if hand[62] == 7.0:
            time.sleep(60)
        if hand[62] == 8.0:
            sys.exit(1)
        value = float("nan") if hand[62] == 9.0 else hand[62]
        os.write(1, struct.pack("20d", *[value if n == "index_j2" else 0.25 for n in names]))
"""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., DexRetargeter]]:
    """``make(extra="")``: with the stand-in, which runs `extra` before it greets."""
    made = []

    def go(extra: str = "") -> DexRetargeter:
        worker = tmp_path / "worker.py"
        worker.write_text(textwrap.dedent(STAND_IN % extra))
        made.append(DexRetargeter(load_robot(five_fingers.write(tmp_path, "right")), worker))
        return made[-1]

    yield go
    for one in made:
        one.close()


def hand(last: float) -> np.ndarray:
    points = np.full((21, 3), 0.1)
    points[20, 2] = last
    return points


def answer(retarget: DexRetargeter, last: float, seconds: float = 20.0):
    """Calls until there is an answer."""
    end_s = time.monotonic() + seconds
    while not (result := retarget(hand(last), ALL, DT_S)).valid.all():
        assert time.monotonic() < end_s, result.remark
        time.sleep(0.005)
    return result


def test_joints_come_in_the_robots_order_whatever_the_librarys_is(make):
    retarget = make()
    answer(retarget, 0.5)
    joints = answer(retarget, 0.5).joints
    assert joints[retarget.joint_names.index("index_j2")] == 0.5
    assert (np.delete(joints, retarget.joint_names.index("index_j2")) == 0.25).all()
    np.testing.assert_array_equal(retarget.lower, -np.ones(20))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_hand_that_is_not_finite_or_not_complete_never_reaches_the_library(make, bad):
    retarget = make()
    before = answer(retarget, 0.5).joints
    points, valid = hand(0.1), ALL.copy()
    points[8, 1] = bad
    valid[8] = False
    for one, known in ((points, ALL), (hand(0.1), valid)):
        result = retarget(one, known, DT_S)
        assert not result.valid.any() and "needs every joint" in result.remark
        np.testing.assert_array_equal(result.joints, before)


def test_a_call_that_hangs_is_ended_within_0_2_s_and_the_next_process_answers(make):
    retarget = make()
    answer(retarget, 0.5)
    hung = retarget.pid
    begin_s = time.monotonic()
    longest_s = 0.0
    while retarget.pid == hung:
        call_s = time.monotonic()
        assert not retarget(hand(7.0), ALL, DT_S).valid.any()
        longest_s = max(longest_s, time.monotonic() - call_s)
        retarget.watch()
        time.sleep(0.005)
        assert time.monotonic() - begin_s < 5.0
    took_s = time.monotonic() - begin_s
    assert HUNG_S < took_s < HUNG_S + 3 * WAIT_S + 0.1
    with pytest.raises(ProcessLookupError):
        os.kill(hung, 0)
    assert longest_s < 0.1
    assert answer(retarget, 0.5).valid.all()


@pytest.mark.parametrize("what", [8.0, 9.0], ids=["it crashes", "it answers NaN"])
def test_a_process_that_crashes_or_answers_nan_is_started_again(make, what):
    retarget = make()
    first = retarget.pid
    answer(retarget, 0.5)
    end_s = time.monotonic() + 10
    while retarget.pid == first:
        assert np.isfinite(retarget(hand(what), ALL, DT_S).joints).all()
        time.sleep(0.005)
        assert time.monotonic() < end_s
    assert answer(retarget, 0.5).valid.all()


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (
            "hello = {'error': 'ModuleNotFoundError: No module named torch'}",
            "No module named torch",
        ),
        ("sys.exit(3)", "its process ended at once"),
        ("names[0] = 'other'", "dex_retargeting has no joint 'pinky_j3'; it has other, "),
    ],
)
def test_what_cannot_start_is_refused_with_the_reason(make, extra, words):
    with pytest.raises(RobotError, match=words):
        make(extra)


def test_an_interpreter_that_does_not_exist_is_named(tmp_path):
    path = five_fingers.write(tmp_path, "right")
    path.write_text(path.read_text() + "dex_python: /nowhere/bin/python\n")
    with pytest.raises(RobotError, match="there is no program '/nowhere/bin/python'"):
        DexRetargeter(load_robot(path))


# --- the library itself


@pytest.mark.dex
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["vector", "position", "dexpilot"])
def test_dex_retargeting_accepts_both_hands_and_mirrored_hands_give_mirrored_tips(
    tmp_path, grasp, kind
):
    kinematics = pytest.importorskip("vitpose_ros.retarget.kinematics")
    pytest.importorskip("dex_retargeting")
    tips, errors = {}, {}
    for side, sign in (("right", 1.0), ("left", -1.0)):
        folder = tmp_path / side
        folder.mkdir()
        path = five_fingers.write(folder, side, kind)
        retarget = DexRetargeter(load_robot(path))
        robot = load_robot(_as_least_squares(path, side))
        model = kinematics.HandKinematics(robot)
        try:
            retarget.reset((retarget.lower + retarget.upper) / 2)
            for points in grasp[::10]:
                mirrored = points * (1.0, sign, 1.0)
                for _ in range(10):
                    result = answer_for(retarget, mirrored)
                model.set(result.joints)
                tips.setdefault(side, []).append(model.positions())
                gap = model.positions() - mirrored[list(five_fingers.TIPS)]
                errors.setdefault(side, []).append(np.linalg.norm(gap, axis=1))
        finally:
            retarget.close()
    assert np.mean(errors["right"]) < 0.02
    mirrored = np.array(tips["left"]) * (1.0, -1.0, 1.0)
    assert np.linalg.norm(np.array(tips["right"]) - mirrored, axis=-1).mean() < 0.003


@pytest.mark.dex
@pytest.mark.timeout(120)
def test_a_hung_process_of_dex_retargeting_is_ended_and_works_again(tmp_path, grasp):
    pytest.importorskip("dex_retargeting")
    retarget = DexRetargeter(load_robot(five_fingers.write(tmp_path, "right")))
    try:
        answer_for(retarget, grasp[0])
        hung = retarget.pid
        os.kill(hung, signal.SIGSTOP)
        begin_s = time.monotonic()
        while retarget.pid == hung:
            retarget(grasp[1], ALL, DT_S)
            time.sleep(0.005)
        assert time.monotonic() - begin_s < HUNG_S + 0.2
        answer_for(retarget, grasp[0])
    finally:
        retarget.close()


def answer_for(retarget: DexRetargeter, points: np.ndarray):
    end_s = time.monotonic() + 60
    while not (result := retarget(points, ALL, DT_S)).valid.all():
        assert time.monotonic() < end_s, result.remark
        time.sleep(0.01)
    return result


def _as_least_squares(path: Path, side: str) -> Path:
    """The same robot, for its kinematics."""
    names = ", ".join(f"{name}_tip: {name}_tip" for name in five_fingers.FINGERS)
    text = path.read_text().replace("dex_retargeting", "least_squares")
    text = text.replace("dex_config: dex.yaml", f"description: {{path: {side}.urdf}}")
    text += "palm: palm\noperator_axes: {x: [1, 0, 0], y: [0, 1, 0], z: [0, 0, 1]}\n"
    text += f"points: {{{names}}}\n"
    own = path.with_name("kinematics.yaml")
    own.write_text(text)
    return own
