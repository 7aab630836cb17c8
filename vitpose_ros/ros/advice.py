"""What to do about missing and late images, by their cause. Pure functions, no ROS graph."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import rclpy

from vitpose_ros.doctor.graph import profile_variable
from vitpose_ros.track.clock import MAX_GAP_S

LOST_SHARE, LOST_LEAST = 0.05, 3
"""A larger share of missing images is worth a warning, if they are not fewer than this."""
OLD_S = 1.0
"""Skeletons older than this when they are published are worth a warning."""
OTHER_CLOCK_S = 3600.0
"""Skeletons this old, or this far in the future, are stamped by another clock: that of a bag or of
a simulator."""

RESTARTS_SHARE, RESTARTS_LEAST = 0.05, 3
"""Tracking that restarts in a larger share of the images is worth a warning, if not fewer times."""

BAG_REMEDY = (
    "play the bag with `ros2 bag play --clock BAG` and set use_sim_time:=true for this node"
)


@dataclass(frozen=True)
class Middleware:
    """What carries the images.

    Attributes
    ----------
    name : as in RMW_IMPLEMENTATION.
    profile : the Fast DDS profile that this process uses; "" for none.
    """

    name: str
    profile: str

    @classmethod
    def here(cls, environ: Mapping[str, str] = os.environ) -> Middleware:
        """That of this process."""
        variable = profile_variable(environ.get("ROS_DISTRO", ""))
        return cls(rclpy.get_rmw_implementation_identifier(), environ.get(variable, ""))

    def advice(self) -> str:
        """What to do about images that are lost in transport."""
        if "fastrtps" in self.name and not self.profile:
            return (
                "a larger shared-memory segment cures this with Fast DDS: launch with "
                "pose.launch.py, or set FASTRTPS_DEFAULT_PROFILES_FILE (FASTDDS_... from Kilted "
                "on) to the package's config/fastdds.xml for this node and for the camera's driver"
            )
        other_machine = (
            "for a camera on another machine use compressed images or larger kernel buffers "
            "(vitpose_ros doctor names the command)"
        )
        if "fastrtps" in self.name:
            return (
                f"this node already uses the profile {self.profile}; start the camera's driver "
                f"with it, too: the shared-memory segment is the publisher's; {other_machine}"
            )
        return f"{self.name} sends images over the network stack; {other_machine}"


def loss_warning(recent: Counter[str], middleware: Middleware, topic: str) -> str:
    """Which share of the images is missing, why, and what to do about it; "" while few are.

    Parameters
    ----------
    recent, middleware, topic : see `loss_cause`.
    """
    share = lost_share(recent)
    if share <= LOST_SHARE or recent["lost"] < LOST_LEAST:
        return ""
    cause = loss_cause(recent, middleware, topic)
    return f"{100 * share:.0f} % of the images are lost before they arrive: {cause}"


def lost_share(counts: Counter[str]) -> float:
    """The share of images that never arrived, 0 .. 1."""
    sent = counts["received"] + counts["lost"]
    return counts["lost"] / sent if sent else 0.0


def loss_cause(counts: Counter[str], middleware: Middleware, topic: str) -> str:
    """Why most of the missing images are missing, and what to do about it.

    Parameters
    ----------
    counts : "received"; "lost", and of those "unpublished" (the publisher left them out) and
        "undelivered" (published, and did not arrive); "reported lost" (by the middleware).
    middleware : carries the images.
    topic : of the images.
    """
    transport = min(counts["reported lost"], counts["undelivered"])
    causes = {
        "most of them were never published: the camera or its driver leaves them out (exposure "
        "time, USB bandwidth, a busy machine); the driver's log may say why": counts["unpublished"],
        f"most of them were lost in transport: {middleware.advice()}": transport,
        "most of them were replaced by a newer image before this node could take them: the machine "
        "is too busy; lower the camera's rate or image size, or stop other programs": (
            counts["undelivered"] - transport
        ),
        "either the driver leaves them out or they are lost in transport: compare the rate that "
        f"the driver reports with `ros2 topic hz {topic}`. If it is the transport, "
        f"{middleware.advice()}": (counts["lost"] - counts["unpublished"] - counts["undelivered"]),
    }
    return max(causes, key=lambda text: causes[text])


def restart_warning(recent: Counter[str], publishers: int, losses: bool) -> str:
    """Why tracking restarts so often; "" while it does not.

    Parameters
    ----------
    recent : counts of the last seconds: "processed", "restarts", and "restarts: CAUSE" with the
        causes of `restart_cause`.
    publishers : on the image topic.
    losses : whether a warning about missing images already explains the gaps.
    """
    restarts = recent["restarts"]
    if losses:
        restarts -= recent["restarts: gap"]
    if restarts < RESTARTS_LEAST or restarts <= RESTARTS_SHARE * recent["processed"]:
        return ""
    mixed = (
        "separate the publishers on the topic"
        if publishers > 1
        else "several cameras, or a bag and a camera, on one topic?"
    )
    causes = {
        f"the image size changes: {mixed}": recent["restarts: size"],
        f"stamps jump back: {mixed}": recent["restarts: back"],
        "the images are more than 0.5 s apart, and hands cannot be followed over such gaps: raise "
        "the camera's rate, or use a faster model": 0 if losses else recent["restarts: gap"],
        "parameters that restart it are set again and again": recent["restarts: asked"],
    }
    cause = max(causes, key=lambda text: causes[text])
    return f"tracking restarted {restarts} times in {recent['processed']} images, because {cause}"


def restart_cause(
    before: tuple[int, tuple[int, int]] | None, now: tuple[int, tuple[int, int]]
) -> str:
    """Why tracking restarts at an image: "size", "back", "gap" or "asked".

    Parameters
    ----------
    before, now : stamp (ns) and (width, height) of the image before and of this one.
    """
    if before is not None:
        if before[1] != now[1]:
            return "size"
        if now[0] <= before[0]:
            return "back"
        if now[0] - before[0] > 1e9 * MAX_GAP_S:
            return "gap"
    return "asked"


def age_warning(age_s: float, sim_time: bool) -> str:
    """Why skeletons are so old, or so new, and what to do about it; "" while they are not.

    Parameters
    ----------
    age_s : from the image's stamp to the publishing of its skeletons, median.
    sim_time : whether the node's clock is /clock.
    """
    if abs(age_s) > OTHER_CLOCK_S:
        old = f"{age_s:.0f} s old" if age_s > 0 else f"{-age_s:.0f} s in the future"
        if sim_time:
            return (
                f"skeletons are {old} by /clock: the images are stamped by another clock; play "
                "their bag with `ros2 bag play --clock BAG`, or set use_sim_time:=false for a live "
                "camera"
            )
        return (
            f"skeletons are {old}: the images are stamped by another clock; if they come from a "
            f"bag, {BAG_REMEDY}; otherwise set the clock of the camera's machine"
        )
    if age_s > OLD_S:
        return (
            f"skeletons are {age_s:.1f} s old when published: images arrive late, or the clocks "
            "of the camera and this machine differ (PTP or NTP sets them)"
        )
    if age_s < 0.0:
        return (
            f"images are stamped {-age_s:.3f} s in the future: the clocks of the camera and this "
            "machine differ (PTP or NTP sets them)"
        )
    return ""
