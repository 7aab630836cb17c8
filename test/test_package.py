"""The package form: what colcon and pip make of the checkout, built for real into a new folder."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXECUTABLES = sorted(path.name for path in (ROOT / "scripts").iterdir())


def run(command: list[str | Path], cwd: Path, **variables: str) -> str:
    """Run a program in the environment of the tests, and return its output."""
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-4000:]
    return result.stdout


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch):
    """tools/workspace.py, whose build command is the one that `make` uses."""
    if importlib.util.find_spec("colcon_core") is None:
        pytest.skip("colcon is not installed for this Python: make test brings it")
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import workspace as module

    made = module.Workspace(ROOT)
    made.python = Path(sys.executable)
    return made


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("options", [(), ("--symlink-install",)], ids=["copied", "symlinked"])
def test_colcon_builds_one_package_that_holds_messages_and_python(workspace, tmp_path, options):
    source, install = workspace.stage(tmp_path / "src"), tmp_path / "install"
    run(workspace.colcon_build(source, tmp_path / "build", install, *options), tmp_path)

    (package,) = {path.parent for path in install.glob("**/*-packages/vitpose_ros/layouts.py")}
    assert (package / "layouts.py").is_symlink() == bool(options)
    script = (
        "import vitpose_ros.layouts, vitpose_ros.msg, vitpose_ros.ros\n"
        "print(vitpose_ros.__file__, vitpose_ros.msg.__file__, vitpose_ros.msg.SkeletonArray())"
    )
    paths = f"{package.parent}:{os.environ.get('PYTHONPATH', '')}"
    libraries = f"{install / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    out = run([sys.executable, "-c", script], tmp_path, PYTHONPATH=paths, LD_LIBRARY_PATH=libraries)
    assert out.count(str(package)) == 2  # both halves are those that were built here
    for name in EXECUTABLES:
        assert os.access(install / "lib" / "vitpose_ros" / name, os.X_OK)
    assert os.access(install / "bin" / "vitpose_ros", os.X_OK)
    share = install / "share" / "vitpose_ros"
    for folder in ("config", "launch", "msg"):
        assert any((share / folder).iterdir())
    assert (package / "config" / "models.yaml").read_text() == (
        ROOT / "config" / "models.yaml"
    ).read_text()


ON_TORCH = {
    *("vitpose_ros.engines.onnx_ops", "vitpose_ros.engines.onnx_torch"),
    *(f"vitpose_ros.keypoints.torch_{name}" for name in ("backend", "decode", "warp")),
    "vitpose_ros.models.convert.neck",
    *(f"vitpose_ros.train.{name}" for name in ("device", "loop", "network", "result", "run")),
}
"""Modules that begin with torch; the others import them late."""

IMPORT_ALL_WITHOUT_ROS = """
import importlib, importlib.abc, pkgutil, sys

ROS, TORCH = ("rclpy", "launch", "ament_index_python"), ("torch", "tensorrt", "transformers")

class Lacking(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ROS or "_msgs" in name:
            raise ImportError("the core imported " + name)
        if name.split(".")[0] in TORCH:
            raise ModuleNotFoundError("no " + name, name=name)

sys.meta_path.insert(0, Lacking())
import vitpose_ros
names = [m.name for m in pkgutil.walk_packages(vitpose_ros.__path__, "vitpose_ros.")]
on_torch = []
for name in names:
    try:
        if not name.endswith("__main__"):
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in TORCH:
            raise
        on_torch.append(name)
print(vitpose_ros.__file__, len(on_torch), *on_torch, *names)
"""


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_pip_installs_a_core_that_imports_without_ros(workspace, tmp_path):
    source, site = workspace.stage(tmp_path / "src"), tmp_path / "site"
    (source / "requirements").mkdir()
    for path in [ROOT / "setup.py", ROOT / "pyproject.toml", *ROOT.glob("requirements/*.txt")]:
        (source / path.relative_to(ROOT)).write_text(path.read_text())
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation"]
    run([*pip, "--target", site, source], tmp_path)

    out = run([sys.executable, "-c", IMPORT_ALL_WITHOUT_ROS], tmp_path, PYTHONPATH=str(site))
    place, count, *names = out.split()
    assert place.startswith(str(site))
    assert set(names[: int(count)]) == ON_TORCH
    assert "vitpose_ros.layouts" in names
    assert not [name for name in names if name.startswith(("vitpose_ros.ros", "vitpose_ros.msg"))]
    assert (site / "vitpose_ros" / "config" / "models.yaml").is_file()
    assert (site / "vitpose_ros" / "msg" / "Skeleton.msg").is_file()
    assert "models" in run([site / "bin" / "vitpose_ros", "--help"], tmp_path, PYTHONPATH=str(site))


def test_every_place_names_the_same_version():
    xml = ET.parse(ROOT / "package.xml").findtext("version")
    assert f'version="{xml}"' in (ROOT / "setup.py").read_text()


def test_cmake_generates_every_message():
    listed = re.findall(r'"msg/(\w+\.msg)"', (ROOT / "CMakeLists.txt").read_text())
    assert sorted(listed) == sorted(path.name for path in (ROOT / "msg").glob("*.msg"))


def test_cmake_installs_every_script():
    listed = set(re.findall(r"scripts/(\w+)", (ROOT / "CMakeLists.txt").read_text()))
    assert listed == {path.name for path in (ROOT / "scripts").iterdir()}


def test_the_message_packages_that_the_code_imports_are_dependencies():
    files = [*(ROOT / "vitpose_ros" / "ros").rglob("*.py"), *(ROOT / "launch").glob("*.py")]
    text = "\n".join(path.read_text() for path in files)
    used = set(
        re.findall(r"^\s*(?:from|import) (\w+_msgs|\w+_interfaces|rclpy|launch\w*)", text, re.M)
    )
    declared = {tag.text for tag in ET.parse(ROOT / "package.xml").getroot() if "depend" in tag.tag}
    assert used - {"builtin_interfaces"} <= declared


def test_fast_dds_takes_the_shipped_profile(tmp_path):
    script = (
        "import rclpy; rclpy.init(); node = rclpy.create_node('profile_test')\n"
        "print(rclpy.get_rmw_implementation_identifier())\n"
        "print(open('/proc/self/maps').read())"
    )
    profile = str(ROOT / "config" / "fastdds.xml")
    out = run(
        [sys.executable, "-c", script],
        tmp_path,
        FASTRTPS_DEFAULT_PROFILES_FILE=profile,
        FASTDDS_DEFAULT_PROFILES_FILE=profile,
    )
    if "rmw_fastrtps" not in out.splitlines()[0]:
        pytest.skip(f"the profile is for Fast DDS, and this is {out.splitlines()[0]}")
    segment = int(re.search(r"<segment_size>(\d+)", Path(profile).read_text())[1])
    mapped = re.findall(r"^(\w+)-(\w+) .*/fastrtps_(?!port)\w+$", out, re.MULTILINE)
    assert any(int(end, 16) - int(start, 16) >= segment for start, end in mapped)
