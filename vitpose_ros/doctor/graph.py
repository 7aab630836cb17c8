"""Checks of ROS, its middleware, and the memory and kernel buffers that images need."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from vitpose_ros.doctor.findings import Finding, Level
from vitpose_ros.doctor.folders import check_leftovers, check_log_folder
from vitpose_ros.doctor.host import Host

SECTION = "ROS"

DISTRIBUTIONS = ("humble", "jazzy", "kilted", "lyrical", "rolling")
"""Distributions that the package supports; the README says which were tested."""

FAST_DDS_2 = ("humble", "iron", "jazzy")
"""Distributions whose Fast DDS reads FASTRTPS_DEFAULT_PROFILES_FILE; later ones read FASTDDS_..."""

DEFAULT_RMW = "rmw_fastrtps_cpp"

IMAGE_BYTES = 1920 * 1080 * 3
IMAGES_IN_SEGMENT = 2
"""A shared-memory segment must hold the images in flight: two of 1920x1080, as measured for
config/fastdds.xml.
"""

PARTICIPANTS = 3
"""Camera, node and one more subscriber: each takes a whole segment of /dev/shm."""

RECEIVE_BUFFER = 8 * 2**20
"""Bytes of net.core.rmem_max below which large images over UDP get lost. The ROS documentation
recommends the largest possible value.
"""

FRAGMENTS = 128 * 2**20
"""Bytes of net.ipv4.ipfrag_high_thresh that the ROS documentation on DDS tuning recommends."""


def check_ros(host: Host) -> Iterator[Finding]:
    """Distribution, rclpy, this package's messages, middleware, profile and discovery."""
    distro = host.environ.get("ROS_DISTRO", "")
    if not distro:
        yield Finding(
            SECTION,
            "distribution",
            Level.WARNING,
            "no distribution is sourced: the node and the camera check cannot run in this shell",
            "source /opt/ros/<distribution>/setup.bash and the workspace's install/setup.bash",
        )
        return
    if distro in DISTRIBUTIONS:
        yield Finding(SECTION, "distribution", Level.OK, distro)
    else:
        yield Finding(
            SECTION,
            "distribution",
            Level.WARNING,
            f"{distro} is not supported by this package",
            f"use one of {', '.join(DISTRIBUTIONS)}",
        )
    yield _imports(
        host,
        "rclpy",
        "import rclpy; print('found')",
        f"use the Python that ROS {distro} was built for: deactivate conda and virtual "
        "environments, or create them with --system-site-packages",
    )
    yield _imports(
        host,
        "messages of this package",
        "import vitpose_ros.msg; print('found')",
        "build the package (colcon build --packages-select vitpose_ros) and source "
        "install/setup.bash in this shell",
    )
    rmw = host.environ.get("RMW_IMPLEMENTATION") or DEFAULT_RMW
    yield from _middleware(host, distro, rmw)
    yield from _discovery(host, distro)
    yield from check_log_folder(host)
    yield from _memory(host, _segment_bytes(host, distro) or 0 if "fastrtps" in rmw else 0)
    if "fastrtps" in rmw:
        yield from check_leftovers(host)
    yield from _kernel(host, rmw)


def _imports(host: Host, name: str, code: str, remedy: str) -> Finding:
    answer = host.python_says(code)
    if answer.good:
        return Finding(SECTION, name, Level.OK, answer.text)
    return Finding(SECTION, name, Level.PROBLEM, f"cannot be imported: {answer.text}", remedy)


def profile_variable(distro: str) -> str:
    """The variable in which a distribution's Fast DDS looks for its profiles."""
    if distro in FAST_DDS_2:
        return "FASTRTPS_DEFAULT_PROFILES_FILE"
    return "FASTDDS_DEFAULT_PROFILES_FILE"


def _middleware(host: Host, distro: str, rmw: str) -> Iterator[Finding]:
    if "cyclonedds" in rmw:
        yield Finding(
            SECTION,
            "middleware",
            Level.NOTE,
            f"{rmw}: images use UDP on this host, too, so the kernel buffers below matter",
        )
        return
    if "fastrtps" not in rmw:
        yield Finding(
            SECTION,
            "middleware",
            Level.NOTE,
            f"{rmw}: not tested with this package; Zenoh uses shared memory only if configured",
        )
        return
    yield Finding(SECTION, "middleware", Level.OK, rmw)
    variable = profile_variable(distro)
    path = host.environ.get(variable, "")
    advice = (
        f"export {variable}=$(ros2 pkg prefix --share vitpose_ros)/config/fastdds.xml in the "
        "shells of the camera and of the node (pose.launch.py does it for the node)"
    )
    name = "Fast DDS profile"
    if not path:
        yield Finding(
            SECTION,
            name,
            Level.WARNING,
            f"{variable} is not set: Fast DDS loses most images with its default transports",
            advice,
        )
        return
    segment = _segment_bytes(host, distro)
    if segment is None:
        yield Finding(
            SECTION,
            name,
            Level.PROBLEM,
            f"{path} cannot be read as XML: Fast DDS ignores it, or fails",
            advice,
        )
    elif segment == 0:
        yield Finding(
            SECTION,
            name,
            Level.WARNING,
            f"{path} sets no segment_size, and so no shared-memory transport for images",
            advice,
        )
    elif segment < IMAGES_IN_SEGMENT * IMAGE_BYTES:
        yield Finding(
            SECTION,
            name,
            Level.WARNING,
            f"{path}: a segment of {_mb(segment)} holds less than two images of 1920x1080",
            "raise segment_size to three times the size of an image in bytes, or: " + advice,
        )
    else:
        yield Finding(SECTION, name, Level.OK, f"{path}, segment {_mb(segment)}")


def _segment_bytes(host: Host, distro: str) -> int | None:
    """The largest shared-memory segment of the profile in use; 0 for none, None for no XML."""
    path = host.environ.get(profile_variable(distro), "")
    if not path:
        return 0
    text = host.read(path)
    try:
        root = ET.fromstring(text or "")
    except ET.ParseError:
        return None
    sizes = [0]
    for item in root.iter():
        if item.tag.rpartition("}")[2] == "segment_size" and (item.text or "").strip().isdecimal():
            sizes.append(int((item.text or "").strip()))
    return max(sizes)


def _discovery(host: Host, distro: str) -> Iterator[Finding]:
    local = host.environ.get("ROS_LOCALHOST_ONLY")
    reach = host.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE")
    domain = host.environ.get("ROS_DOMAIN_ID", "0")
    value = f"domain {domain}"
    if distro == "humble":
        value += ", this host only" if local == "1" else ", the whole network"
        yield Finding(SECTION, "discovery", Level.NOTE, value)
        return
    if local not in (None, "0"):
        yield Finding(
            SECTION,
            "discovery",
            Level.WARNING,
            f"{value}, ROS_LOCALHOST_ONLY={local}, which is deprecated in {distro}"
            + (" and which overrides ROS_AUTOMATIC_DISCOVERY_RANGE" if reach else ""),
            "unset ROS_LOCALHOST_ONLY and set ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST",
        )
        return
    yield Finding(SECTION, "discovery", Level.NOTE, f"{value}, range {reach or 'SUBNET (default)'}")


def _memory(host: Host, segment: int) -> Iterator[Finding]:
    space = host.space("/dev/shm")
    if space is None:
        yield Finding(
            SECTION,
            "shared memory",
            Level.WARNING,
            "there is no /dev/shm: images use UDP",
            "mount a tmpfs on /dev/shm; in a container, --ipc=host or --shm-size=512m",
        )
        return
    total, free = space
    value = f"/dev/shm {_mb(total)}, {_mb(free)} free"
    if segment and free < PARTICIPANTS * segment:
        yield Finding(
            SECTION,
            "shared memory",
            Level.WARNING,
            f"{value}: too little for {PARTICIPANTS} participants with segments of {_mb(segment)}; "
            "one that finds no room uses UDP and reports nothing to ROS",
            "in a container, start it with --ipc=host or --shm-size=512m; otherwise remove the "
            "leftovers of killed programs (fastdds shm clean)",
        )
    else:
        yield Finding(SECTION, "shared memory", Level.OK, value)


def _kernel(host: Host, rmw: str) -> Iterator[Finding]:
    """Buffers for images over UDP: from another host, or with Cyclone DDS."""
    receive = _number(host, "/proc/sys/net/core/rmem_max")
    fragments = _number(host, "/proc/sys/net/ipv4/ipfrag_high_thresh")
    if receive is None and fragments is None:
        yield Finding(SECTION, "kernel buffers", Level.NOTE, "not readable (in a container?)")
        return
    shown = [
        f"{name} {_mb(value)}"
        for name, value in (("rmem_max", receive), ("ipfrag_high_thresh", fragments))
        if value is not None
    ]
    small = [
        command
        for value, least, command in (
            (receive, RECEIVE_BUFFER, "sudo sysctl -w net.core.rmem_max=2147483647"),
            (fragments, FRAGMENTS, f"sudo sysctl -w net.ipv4.ipfrag_high_thresh={FRAGMENTS}"),
        )
        if value is not None and value < least
    ]
    value = ", ".join(shown)
    if not small:
        yield Finding(SECTION, "kernel buffers", Level.OK, value)
    elif "cyclonedds" in rmw:
        yield Finding(
            SECTION,
            "kernel buffers",
            Level.WARNING,
            f"{value}: too small for images",
            "; ".join(small),
        )
    else:
        yield Finding(
            SECTION,
            "kernel buffers",
            Level.NOTE,
            f"{value}: enough on one host, too small for raw images from another host ("
            + "; ".join(small)
            + ")",
        )


def _number(host: Host, path: str) -> int | None:
    text = (host.read(path) or "").strip()
    return int(text) if text.isdecimal() else None


def _mb(size: int) -> str:
    return f"{size / 2**20:.0f} MB" if size >= 2**20 else f"{size / 1024:.0f} KB"
