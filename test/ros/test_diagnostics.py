"""The node's status: each level with the sentence that says what is wrong, and the values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from vitpose_ros.ros.diagnostics import node_status
from vitpose_ros.ros.flow import FlowReport

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
FINE = FlowReport(
    rate_in=30.0,
    rate_out=29.5,
    age_s=(0.020, 0.035),
    inference_s=(0.012, 0.018),
    overhead_s=(0.001, 0.002),
    new=Counter(received=30, processed=29, skipped=1),
    total=Counter({"received": 300, "processed": 290, "skipped": 10, "rejected: data": 4}),
)


def status(
    flow: FlowReport = FINE,
    state: str = "active",
    reason: str = "",
    failure: str = "",
    warnings: Sequence[str] = (),
    silent: bool = False,
) -> DiagnosticStatus:
    details = {"model": "a-model", "engine": "an engine"}
    return node_status(
        "/pose_node", "/camera/image_raw", state, reason, failure, warnings, flow, details, silent
    )


def counted(**counts: int) -> FlowReport:
    return replace(FINE, new=FINE.new + Counter(counts))


# the status, its level, and what its message must match
LEVELS = [
    ("well", status(), OK, "29.5 of 30.0 images per second"),
    ("waiting", status(state="inactive"), WARN, "inactive"),
    ("refused", status(state="unconfigured", reason="no file"), ERROR, "unconfigured: no file"),
    ("worker gone", status(failure="no thread", silent=True), ERROR, "no thread"),
    (
        "worker restarted",
        status(counted(**{"worker failures": 1})),
        ERROR,
        "the worker thread ended and was restarted: see the log",
    ),
    ("silent", status(silent=True), ERROR, "no images on /camera/image_raw"),
    ("failed", status(counted(failed=2)), ERROR, "2 images failed: see the log"),
    (
        "rejected",
        status(counted(**{"rejected: size": 1, "rejected: data": 3})),
        WARN,
        "unusable images: rejected: data 3, rejected: size 1",
    ),
    (
        "rejected by the mixture of two cameras",
        status(counted(**{"rejected: stamp": 2}), warnings=["2 publishers", "more"]),
        WARN,
        "unusable images: rejected: stamp 2; 2 publishers",
    ),
    ("impaired", status(warnings=["first"]), WARN, "first"),
    (
        "impaired twice",
        status(warnings=["first", "second"]),
        WARN,
        re.escape("first (and 1 more: see the values)"),
    ),
    (
        "silent by the clock",
        status(silent=True, warnings=["no clock"]),
        ERROR,
        "no images on /camera/image_raw; no clock",
    ),
    ("inactive twice", status(state="inactive", warnings=["two"]), WARN, "inactive; two"),
]


@pytest.mark.parametrize(
    ("given", "level", "message"), [row[1:] for row in LEVELS], ids=[row[0] for row in LEVELS]
)
def test_the_level_and_the_sentence_say_how_it_is(
    given: DiagnosticStatus, level: bytes, message: str
) -> None:
    assert given.level == level
    assert re.fullmatch(message, given.message), given.message


def test_every_warning_is_among_the_values() -> None:
    values = {item.key: item.value for item in status(warnings=["first", "second"]).values}
    assert (values["warning 1"], values["warning 2"]) == ("first", "second")


def test_what_is_worse_is_said_first() -> None:
    everything = counted(failed=1, **{"rejected: size": 1})
    assert status(everything, state="inactive").message == "inactive"
    assert "failed" in status(everything, warnings=["slow"]).message


def test_problems_of_earlier_spans_are_not_said_again() -> None:
    assert FINE.total["rejected: data"] == 4
    assert status().level == OK


def test_rates_ages_counts_model_and_engine_are_among_the_values() -> None:
    values = {item.key: item.value for item in status().values}
    assert values == {
        "state": "active",
        "model": "a-model",
        "engine": "an engine",
        "rate in (1/s)": "30.00",
        "rate out (1/s)": "29.50",
        "image age (ms) median": "20.00",
        "image age (ms) p95": "35.00",
        "inference (ms) median": "12.00",
        "inference (ms) p95": "18.00",
        "overhead (ms) median": "1.00",
        "overhead (ms) p95": "2.00",
        "received": "300",
        "processed": "290",
        "skipped for newer": "10",
        "lost before arrival": "0",
        "lost: not published": "0",
        "lost: published, not received": "0",
        "tracking restarts": "0",
        "failed": "0",
        "worker failures": "0",
        "rejected: data": "4",
    }


def test_a_time_that_nobody_measured_is_said_to_be_missing() -> None:
    before = replace(FINE, age_s=None, inference_s=None, overhead_s=None)
    values = {item.key: item.value for item in status(before).values}
    assert {value for key, value in values.items() if "(ms)" in key} == {"none yet"}


def test_the_status_names_node_and_topic() -> None:
    assert status().name == "/pose_node: images to skeletons"
    assert status().hardware_id == "/camera/image_raw"
