"""The workspace's own rules: stamps, the lock, and the environment that programs get."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys_path_of_tools = str(ROOT / "tools")


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(sys_path_of_tools)


def environment(workspace: Path, sourced: str | None = None, **variables: str) -> dict[str, str]:
    from surroundings import for_running

    return for_running({"PATH": "/usr/bin", **variables}, sourced, ROOT, workspace)


def test_a_hash_changes_with_content_name_and_mode(tmp_path):
    from steps import digest

    file, seen = tmp_path / "a", set()
    file.write_text("1")
    seen.add(digest(files=[file]))
    file.write_text("2")
    seen.add(digest(files=[file]))
    file.chmod(0o755)
    seen.add(digest(files=[file]))
    seen.add(digest(files=[file.rename(tmp_path / "b")]))
    assert len(seen) == 4


def test_a_step_counts_as_done_only_with_the_same_inputs(tmp_path):
    from steps import Stamps

    stamps = Stamps(tmp_path / "stamps")
    assert stamps.read("build") is None
    stamps.write("build", "inputs")
    assert stamps.read("build") == "inputs"
    stamps.clear("build")
    assert stamps.read("build") is None


def test_a_failed_program_shows_the_end_of_its_log_and_what_to_do(tmp_path):
    from steps import Lock, Runner, WorkspaceError

    runner = Runner(tmp_path, Lock(tmp_path / "lock"))
    with (
        pytest.raises(WorkspaceError, match=r"(?s)status 3.*the reason.*Do this"),
        runner.step("s", "a step", "Do this.") as run,
    ):
        run([sys.executable, "-c", "print('the reason'); raise SystemExit(3)"], dict(os.environ))


HOLDER = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from steps import Lock
lock = Lock(Path(sys.argv[2]))
with lock.held():
    child = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    subprocess.Popen(child, stdin=sys.stdin, pass_fds=lock.descriptors)
    print("held", flush=True)
    signal = __import__("signal").pause()
"""


def test_a_killed_command_leaves_the_lock_with_its_child_until_that_ends(tmp_path):
    import fcntl

    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, sys_path_of_tools, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with path.open("r+") as file:
            with pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            holder.stdin.close()  # the child ends
            fcntl.flock(file, fcntl.LOCK_EX)


def test_other_python_environments_do_not_leak_in(tmp_path):
    env = environment(tmp_path, PYTHONPATH="/elsewhere", VIRTUAL_ENV="/v", PYTHONHOME="/h")
    assert "/elsewhere" not in env["PYTHONPATH"]
    assert not {"VIRTUAL_ENV", "PYTHONHOME"} & set(env)


def test_a_sourced_ros_keeps_its_paths_behind_the_workspace(tmp_path):
    env = environment(
        tmp_path,
        "humble",
        PYTHONPATH="/opt/ros/p",
        AMENT_PREFIX_PATH="/opt/ros",
        ROS_DISTRO="humble",
    )
    assert env["PYTHONPATH"].startswith(str(tmp_path))
    assert env["PYTHONPATH"].endswith("/opt/ros/p")
    assert env["AMENT_PREFIX_PATH"] == f"{tmp_path / 'install'}:/opt/ros"
    assert env["ROS_DISTRO"] == "humble"


def test_on_humble_graphs_stay_on_this_host_by_the_variable_that_it_knows(tmp_path):
    env = environment(tmp_path, "humble", ROS_DISTRO="humble")
    assert env["ROS_LOCALHOST_ONLY"] == "1"
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE" not in env


@pytest.mark.parametrize(
    "name", ["FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"]
)
def test_the_users_dds_profile_is_kept(tmp_path, name):
    env = environment(tmp_path, **{name: "/mine.xml"})
    assert env[name] == "/mine.xml"
    assert str(ROOT / "config" / "fastdds.xml") not in env.values()


def test_the_shipped_dds_profile_is_used_otherwise(tmp_path):
    env = environment(tmp_path)
    assert env["FASTRTPS_DEFAULT_PROFILES_FILE"] == str(ROOT / "config" / "fastdds.xml")


def test_graphs_stay_on_this_host_unless_the_user_says_otherwise(tmp_path):
    name = "ROS_AUTOMATIC_DISCOVERY_RANGE"
    assert environment(tmp_path)[name] == "LOCALHOST"
    assert environment(tmp_path, **{name: "SUBNET"})[name] == "SUBNET"
    assert "ROS_DOMAIN_ID" not in environment(tmp_path)


def test_clean_keeps_the_models_unless_all_is_asked_for(tmp_path):
    from workspace import Workspace

    made = Workspace(tmp_path, {"PATH": "/usr/bin"})
    for name in ("venv", "models"):
        (made.folder / name).mkdir(parents=True)
    (made.folder / "venv.unfinished").touch()
    made.clean(everything=False)
    assert [path.name for path in made.folder.iterdir()] == ["models"]
    made.clean(everything=True)
    assert not list(made.folder.iterdir())


def test_the_stage_holds_what_a_build_reads_and_nothing_compiled(tmp_path):
    from workspace import SOURCES, Workspace

    staged = Workspace(ROOT).stage(tmp_path / "src")
    assert {path.name for path in staged.iterdir()} == set(SOURCES)
    assert not list(staged.rglob("__pycache__"))


def workspace_beside(tmp_path: Path, text: str):
    """A workspace of which only the requirements of one other environment exist."""
    from workspace import Workspace

    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "other.txt").write_text(text)
    return Workspace(tmp_path, {"PATH": os.environ["PATH"]})


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_environment_beside_it_is_made_once_and_again_when_its_requirements_change(tmp_path):
    import beside

    pytest.importorskip("ensurepip", reason="this Python cannot make environments")
    workspace = workspace_beside(tmp_path, "# nothing\n")
    python = beside.prepare(workspace, "other")
    assert python == tmp_path / ".workspace" / "beside" / "other" / "bin" / "python"
    mark = python.parent / "mark"
    mark.touch()
    assert beside.prepare(workspace, "other") == python and mark.exists()
    (tmp_path / "requirements" / "other.txt").write_text("# nothing else\n")
    assert beside.prepare(workspace, "other") == python and not mark.exists()
    assert beside.variable("test-other") == "VITPOSE_ROS_TEST_OTHER"


def test_a_python_that_is_too_old_for_an_environment_is_refused_with_the_remedy(
    tmp_path, monkeypatch
):
    import beside
    from steps import WorkspaceError

    workspace = workspace_beside(tmp_path, "# Python >= 3.99\n")
    monkeypatch.setenv("BESIDE_PYTHON", sys.executable)
    with pytest.raises(WorkspaceError, match=r"needs Python 3\.99 or later.*BESIDE_PYTHON="):
        beside.prepare(workspace, "other")
