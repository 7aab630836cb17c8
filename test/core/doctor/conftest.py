from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from vitpose_ros.doctor.host import Answer

GIB = 2**30


@dataclass
class FakeHost:
    """A machine on which all is well, for tests to break one thing at a time."""

    environ: dict[str, str] = field(
        default_factory=lambda: {
            "ROS_DISTRO": "jazzy",
            "HOME": "/home/user",
            "FASTRTPS_DEFAULT_PROFILES_FILE": "/share/fastdds.xml",
        }
    )
    python: tuple[int, int, int] = (3, 12, 3)
    files: dict[str, str] = field(
        default_factory=lambda: {
            "/share/fastdds.xml": "<dds><segment_size>16777216</segment_size></dds>",
            "/proc/sys/net/core/rmem_max": "2147483647\n",
            "/proc/sys/net/ipv4/ipfrag_high_thresh": "134217728\n",
        }
    )
    packages: dict[str, str] = field(default_factory=dict)
    shm: tuple[int, int] | None = (8 * GIB, 8 * GIB)
    smi: Answer | None = None
    read_only: tuple[str, ...] = ()
    leftovers: dict[str, int] = field(default_factory=dict)
    modules: dict[str, Answer] = field(default_factory=dict)
    system: str = "Ubuntu 24.04, x86_64"
    cores: int = 8
    interpreter: str = "/usr/bin/python3"

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def space(self, path: str) -> tuple[int, int] | None:
        assert path == "/dev/shm"
        return self.shm

    def writable(self, path: str) -> bool:
        return not path.startswith(self.read_only) if self.read_only else True

    def leftover_segments(self) -> dict[str, int]:
        return self.leftovers

    def package(self, name: str) -> str | None:
        return self.packages.get(name)

    def run(self, command: Sequence[str]) -> Answer | None:
        assert command[0] == "nvidia-smi"
        return self.smi

    def python_says(self, code: str) -> Answer:
        module = code.split()[1].rstrip(";")
        absent = Answer(False, f"No module named '{module}'")
        good = Answer(True, _GOOD[module]) if module in _GOOD else absent
        return self.modules.get(module, good)


_GOOD = {
    "numpy": "1.26.4",
    "cv2": "4.6.0",
    "openvino": "2026.4.1-22982-e213",
    "scipy": "1.11.4",
    "yaml": "6.0.1",
    "rich": "13.7.1",
    "simplejpeg": "1.9.0",
    "rclpy": "found",
    "vitpose_ros.msg": "found",
    "torch": "2.8.0 12.8 True",
    "tensorrt": "10.13.0",
}


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()
