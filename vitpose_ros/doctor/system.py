"""Python, and the packages that the node needs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vitpose_ros.doctor.findings import Finding, Level
from vitpose_ros.doctor.host import Host

SECTION = "System"

OLDEST_PYTHON = (3, 10)

NEEDED = {
    "numpy": ((1, 21), "numpy"),
    "cv2": ((4, 5), "opencv-python-headless"),
    "openvino": ((2024, 3), "openvino"),
    "scipy": ((1, 8), "scipy"),
    "simplejpeg": ((1, 8), "simplejpeg"),
    "yaml": ((5, 4), "pyyaml"),
    "rich": ((11, 2), "rich"),
}
"""Modules that the core imports: the oldest supported version, and pip's name."""

OPENCV = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)


def check_system(host: Host) -> Iterator[Finding]:
    """Check Python and the packages of requirements/core.txt."""
    yield Finding(SECTION, "machine", Level.NOTE, f"{host.system}, {host.cores} cores")
    version = ".".join(map(str, host.python))
    if host.python[:2] < OLDEST_PYTHON:
        yield Finding(
            SECTION,
            "Python",
            Level.PROBLEM,
            f"{version} ({host.interpreter})",
            "Python 3.10 or later is required; Ubuntu 22.04 has it",
        )
    else:
        yield Finding(SECTION, "Python", Level.OK, f"{version} ({host.interpreter})")
    for module, (oldest, package) in NEEDED.items():
        yield _module(host, module, oldest, package)
    installed = [name for name in OPENCV if host.package(name)]
    if len(installed) > 1:
        yield Finding(
            SECTION,
            "OpenCV's packages",
            Level.WARNING,
            f"{' and '.join(installed)} are installed in the same folder and overwrite each "
            "other's files",
            f"keep one: {_pip(host)} uninstall {' '.join(installed[1:])}, then reinstall "
            f"{installed[0]}",
        )


def _module(host: Host, module: str, oldest: tuple[int, int], package: str) -> Finding:
    name = {"cv2": "OpenCV", "numpy": "NumPy", "openvino": "OpenVINO", "scipy": "SciPy"}.get(
        module, module
    )
    answer = host.python_says(
        f"import {module} as m, importlib.metadata as d\n"
        f"print(getattr(m, '__version__', '') or d.version('{package}'))"
    )
    wanted = f"{oldest[0]}.{oldest[1]}"
    install = f"{_pip(host)} install '{package}>={wanted}'"
    if not answer.good and "home directory" in answer.text:
        return Finding(
            SECTION,
            name,
            Level.PROBLEM,
            f"cannot be imported: this user has no home folder ({answer.text})",
            "set HOME to a folder that this user may write, such as HOME=/tmp",
        )
    if not answer.good:
        return Finding(
            SECTION,
            name,
            Level.PROBLEM,
            f"cannot be imported: {answer.text}",
            f"{install} (on Ubuntu 24.04 and later, in a virtual environment with "
            "--system-site-packages, see the README)",
        )
    if version_of(answer.text) < oldest:
        return Finding(
            SECTION, name, Level.PROBLEM, f"{answer.text}; {wanted} or later is required", install
        )
    return Finding(SECTION, name, Level.OK, answer.text)


def version_of(text: str) -> tuple[int, ...]:
    """The first two numbers of a version, e.g. (2024, 3); (0, 0) where it has none."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _pip(host: Host) -> str:
    return f"{host.interpreter} -m pip"
