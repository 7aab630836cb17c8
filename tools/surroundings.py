"""The shell that a command runs in, and the environment of the workspace's programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from steps import say

PACKAGE = "vitpose_ros"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
# Variables of other Python environments, and of pip, that would misdirect the workspace's Python.
FOREIGN = (
    *("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV"),
    *("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "WORKSPACE_PYTHON_CHOSEN"),
)


def find_sourced_ros(environ: Mapping[str, str], workspace: Path) -> str | None:
    """The distribution that is sourced in this shell, if this Python can use it."""
    distro, prefixes = environ.get("ROS_DISTRO"), environ.get("AMENT_PREFIX_PATH", "")
    if not distro or not prefixes or str(workspace) in prefixes:
        return None
    probe = subprocess.run(
        [sys.executable, "-c", "import rclpy"],
        env=dict(environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if probe.returncode == 0:
        return distro
    reason = (probe.stderr.strip().splitlines() or ["no reason given"])[-1]
    say(
        f"ROS {distro} is sourced, but {sys.executable} cannot import rclpy ({reason}); using the "
        "Jazzy wheels instead. To use the sourced ROS, leave conda and virtual environments, or "
        "name its Python: make PYTHON=/usr/bin/python3 ..."
    )
    return None


def for_installing(environ: Mapping[str, str], sourced_ros: str | None) -> dict[str, str]:
    """The environment for creating the virtual environment: pip writes only into it."""
    kept = {k: v for k, v in environ.items() if sourced_ros or k not in FOREIGN}
    return {
        **{k: v for k, v in kept.items() if k not in FOREIGN[4:]},
        "PIP_USER": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1",
    }


def for_running(
    environ: Mapping[str, str], sourced_ros: str | None, root: Path, workspace: Path
) -> dict[str, str]:
    """The environment for running in the workspace: the shell's, with this package in front."""
    env = {name: value for name, value in environ.items() if name not in FOREIGN}
    install, venv = workspace / "install", workspace / "venv"
    lib, venv_site = install / "lib", venv / "lib" / PYTHON / "site-packages"
    libraries, prefixes, modules = [lib], [install], [lib / PYTHON / "site-packages"]
    ros: Mapping[str, str] = {}
    if sourced_ros:
        # Debian's Python has its own folders, so look up where the package was installed.
        for pattern in ("lib/python*/*-packages", "local/lib/python*/*-packages"):
            modules += [found.parent for found in install.glob(f"{pattern}/{PACKAGE}")]
        modules.append(venv_site)
        ros = environ
    else:
        libraries += [venv / "lib", *sorted(venv_site.glob("ros_*.libs"))]
        prefixes.append(venv)
        # LD_LIBRARY_PATH is set here, so the wheels need not start each interpreter twice.
        env.update(ROS_DISTRO="jazzy", ROS_VERSION="2", PYTHONNOUSERSITE="1")
        env["_ROS_WHEELS_BOOTSTRAP_COMPLETE"] = "1"
        env.pop("RMW_IMPLEMENTATION", None)  # only Fast DDS is among the wheels
    env["PATH"] = _join([install / "bin", lib / PACKAGE, venv / "bin"], environ.get("PATH"))
    env["LD_LIBRARY_PATH"] = _join(libraries, environ.get("LD_LIBRARY_PATH"))
    env["PYTHONPATH"] = _join(modules, ros.get("PYTHONPATH"))
    env["AMENT_PREFIX_PATH"] = _join(prefixes, ros.get("AMENT_PREFIX_PATH"))
    env["CMAKE_PREFIX_PATH"] = _join(prefixes, ros.get("CMAKE_PREFIX_PATH"))
    env.setdefault("VITPOSE_ROS_MODELS", str(workspace / "models"))
    # This host only, unless the user wants more: the robots of a network must neither see nor
    # disturb a demo. Humble has only the older variable, which Jazzy and later refuse beside the
    # newer one. ROS_DOMAIN_ID stays the user's, so that tools in another terminal see the same
    # graph.
    if env.get("ROS_DISTRO") == "humble":
        env.setdefault("ROS_LOCALHOST_ONLY", "1")
    elif "ROS_LOCALHOST_ONLY" not in env:
        env.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    if not any(env.get(name) for name in PROFILE_VARIABLES):
        env.update(dict.fromkeys(PROFILE_VARIABLES, str(root / "config" / "fastdds.xml")))
    return env


def _join(first: Iterable[Path], rest: str | None) -> str:
    parts = [*map(str, first), *(part for part in (rest or "").split(os.pathsep) if part)]
    return os.pathsep.join(dict.fromkeys(parts))
