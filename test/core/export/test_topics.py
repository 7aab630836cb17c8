"""A robot's state and commands beside the images."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.export.signals import held

from .conftest import FIRST_NS, PERIOD_NS, Take
from .test_lerobot import info, table

MS = 1_000_000
STATE, ACTION = "/arm/joint_states", "/gripper/command"


def joints(messages):
    return {STATE: ("sensor_msgs/msg/JointState", messages)}


def commands(messages):
    return {ACTION: ("std_msgs/msg/Float64", messages)}


def test_the_state_is_the_newest_message_that_is_not_newer_than_the_image(write, export):
    sent = [(FIRST_NS + i * 10 * MS - 5 * MS, ["a", "b"], [i, 100.5 - i]) for i in range(45)]
    write(Take(topics=joints(sent)))
    code, said, out = export("--state", STATE)
    assert code == 0, said
    data = table(out)
    assert info(out)["features"]["observation.state"]["names"] == [
        "arm.joint_states.a",
        "arm.joint_states.b",
    ]
    newest = [(i * PERIOD_NS + 5 * MS) // (10 * MS) for i in range(12)]
    expected = np.array([[n, 100.5 - n] for n in newest])
    np.testing.assert_array_equal(data["observation.state"], expected)
    assert data["valid.state"].all()


def test_publishers_that_share_a_topic_are_joined_by_joint_and_nan_is_no_value(write, export):
    sent = []
    for i in range(15):
        at = FIRST_NS - 50 * MS + i * PERIOD_NS
        sent.append((at, ["arm"], [i]))
        sent.append((at + MS, ["gripper", "broken"], [10 * i, np.nan if i > 3 else 0.5]))
    write(Take(topics=joints(sent)))
    code, said, out = export("--state", STATE)
    assert code == 0, said
    state = table(out)["observation.state"]
    np.testing.assert_array_equal(state[:, 1], 10 * state[:, 0])
    assert set(state[:, 2]) == {0.5}


def test_a_state_that_stops_is_held_and_not_valid_a_command_holds(write, export):
    stamps = [FIRST_NS + i * PERIOD_NS for i in range(60)]
    sent = [(stamps[i] - MS, ["a"], [i]) for i in range(20)]
    orders = [(stamps[10] - MS, None, 3.5)]
    from vitpose_ros.types import Side

    take = Take(
        stamps_ns=stamps, seen={Side.RIGHT: range(60)}, topics=joints(sent) | commands(orders)
    )
    write(take)
    code, said, out = export("--state", STATE, "--action", ACTION)
    assert code == 0, said
    data = table(out)
    assert data["observation.state"][-1] == 19
    assert np.flatnonzero(~data["valid.state"]).tolist() == list(range(34, 60))  # 0.5 s later
    assert set(data["action"]) == {3.5}  # no jump from 0 when the first command comes
    assert np.flatnonzero(~data["valid.action"]).tolist() == list(range(10))
    assert "/gripper/command: messages without stamps" in said
    assert "--action has the one element gripper.command.data" in said
    stats = info(out, "stats")["observation.state"]
    assert stats["count"] == [34]


@pytest.mark.parametrize(
    ("topics", "words", "said"),
    [
        ({}, ["--state", STATE], f"has no topic '{STATE}'; those that can be used are none"),
        (
            joints([(FIRST_NS, ["a"], [1.0])]),
            ["--action", "/other"],
            f"those that can be used are {STATE} (sensor_msgs/msg/JointState)",
        ),
        (
            {"/notes": ("std_msgs/msg/String", [(FIRST_NS, None, "hello")])},
            ["--state", "/notes"],
            "is of type std_msgs/msg/String; accepted are",
        ),
        (
            {
                "/plan": (
                    "trajectory_msgs/msg/JointTrajectory",
                    [(FIRST_NS, ["a"], [[1.0], [2.0]])],
                )
            },
            ["--action", "/plan"],
            "a JointTrajectory of 2 points",
        ),
        (
            joints([(FIRST_NS + 10**12, ["a"], [1.0])]),
            ["--state", STATE],
            "arm.joint_states.a has no value before its end",
        ),
    ],
    ids=["no topic", "another topic", "type", "trajectory", "too late"],
)
def test_a_topic_that_cannot_be_used_is_refused_with_what_can(write, export, topics, words, said):
    write(Take(topics=topics))
    code, text, out = export(*words)
    assert code == 1 and said in text and "--debug" not in text
    assert not out.exists()


def test_recordings_with_other_joints_do_not_mix(write, export):
    write(Take(topics=joints([(FIRST_NS, ["a", "b"], [1.0, 2.0])])), "a")
    later = [FIRST_NS + 10**12 + i * PERIOD_NS for i in range(12)]
    write(Take(stamps_ns=later, topics=joints([(later[0], ["b", "a"], [2.0, 1.0])])), "b")
    write(Take(stamps_ns=later, topics=joints([(later[0], ["a", "c"], [1.0, 2.0])])), "c")
    code, said, out = export("--state", STATE)
    assert code == 1 and "c: FAILED" in said
    assert "lacks arm.joint_states.b and the dataset lacks arm.joint_states.c" in said
    np.testing.assert_array_equal(table(out)["observation.state"], [[1.0, 2.0]] * 24)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([None, 2, None, 4, None], [2, 2, 2, 4, 4]),
        ([None, None], [9, 9]),
    ],
    ids=str,
)
def test_gaps_are_held(values, expected):
    column = np.array([np.nan if value is None else value for value in values], float)[:, None]
    assert held(column, 9.0).ravel().tolist() == expected
