from __future__ import annotations

import json
import pwd

import pytest

from vitpose_ros.cli import doctor
from vitpose_ros.cli.main import main
from vitpose_ros.doctor.findings import Finding, Level


@pytest.fixture(autouse=True)
def this_machine(host, monkeypatch):
    """The doctor looks at a machine on which all is well."""
    monkeypatch.setattr(doctor, "Host", lambda: host)


def test_without_a_problem_the_exit_code_is_0_and_every_section_is_shown(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line and line[0] != " "] == [
        "System", "ROS", "GPU", "Models", "Everything is in order.",
    ]  # fmt: skip


def test_a_problem_gives_exit_code_1_and_its_remedy_below_it(capsys, host):
    host.python = (3, 8, 0)
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    (at,) = [i for i, line in enumerate(lines) if "FAIL" in line]
    assert lines[at + 1].lstrip().startswith("-> Python 3.10 or later")
    assert lines[-1] == "1 problem, no warnings."


def test_a_warning_alone_leaves_the_exit_code_at_0(capsys, host):
    host.shm = None
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "no problems, 1 warning."


def test_json_has_every_finding_and_nothing_else(capsys, host):
    host.shm = None
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    (memory,) = [item for item in findings if item["name"] == "shared memory"]
    assert set(memory) == {"section", "name", "level", "value", "remedy"}
    assert memory["level"] == "warning"


def test_a_camera_without_ros_is_a_problem_that_says_what_to_source(capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rclpy", None)
    monkeypatch.delitem(__import__("sys").modules, "vitpose_ros.ros.watch", raising=False)
    assert main(["doctor", "--camera", "/camera/image_raw"]) == 1
    assert "install/setup.bash" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["0", "-1", "nan", "soon"])
def test_a_time_that_is_none_is_refused(capsys, text):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--camera", "/c", "--seconds", text])
    assert ended.value.code == 2
    assert "0.5 to 600" in capsys.readouterr().err


def test_a_check_that_fails_is_a_problem_and_the_other_sections_follow(capsys, monkeypatch):
    def broken(host):
        yield Finding("ROS", "distribution", Level.OK, "jazzy")
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(doctor, "check_ros", broken)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "could not be checked: RuntimeError: Could not determine home directory." in out
    assert [line for line in out.splitlines() if line and line[0] != " "] == [
        "System", "ROS", "GPU", "Models", "1 problem, no warnings.",
    ]  # fmt: skip


def test_with_debug_the_error_of_a_check_keeps_its_traceback(monkeypatch):
    def broken(host):
        raise RuntimeError("broken")

    monkeypatch.setattr(doctor, "check_ros", broken)
    with pytest.raises(RuntimeError, match="broken"):
        main(["doctor", "--debug"])


def test_without_a_home_the_variable_of_the_models_is_named(capsys, monkeypatch):
    def no_home(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", no_home)
    for name in ("HOME", "VITPOSE_ROS_MODELS", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "Set VITPOSE_ROS_MODELS" in out
    assert "Traceback" not in out and "could not be checked" not in out
