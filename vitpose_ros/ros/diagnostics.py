"""The node's state as one diagnostic status: a pure builder, and the words for what to do."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from vitpose_ros.ros.flow import FlowReport

LOST_SHARE = 0.05
"""More images lost than this before they arrive is worth a warning."""
OLD_S = 1.0
"""Skeletons older than this when they are published are worth a warning."""

DDS_ADVICE = (
    "a larger shared-memory segment cures this with Fast DDS: launch with pose.launch.py, or set "
    "FASTRTPS_DEFAULT_PROFILES_FILE to the package's config/fastdds.xml for the camera and this "
    "node"
)


def node_status(
    name: str,
    hardware_id: str,
    state: str,
    reason: str,
    failure: str,
    flow: FlowReport,
    details: dict[str, str],
    silent: bool,
) -> DiagnosticStatus:
    """What /diagnostics says about the node.

    Parameters
    ----------
    name : the node's fully qualified name.
    hardware_id : the image topic.
    state : the lifecycle state's label: "unconfigured", "inactive", "active", ...
    reason : why the node is not active, or ''.
    failure : why no images are processed although the node is active; or ''.
    flow : counts and times since the status before.
    details : models, engine and whatever else identifies the configuration.
    silent : whether the image topic has been silent for too long.
    """
    level, message = (
        DiagnosticStatus.OK,
        f"{flow.rate_out:.1f} of {flow.rate_in:.1f} images per second",
    )
    rejected = {kind: n for kind, n in flow.new.items() if kind.startswith("rejected")}
    if state != "active":
        level = DiagnosticStatus.ERROR if reason else DiagnosticStatus.WARN
        message = f"{state}: {reason}" if reason else state
    elif failure:
        level, message = DiagnosticStatus.ERROR, failure
    elif flow.new["worker failures"]:
        level = DiagnosticStatus.ERROR
        message = "the worker thread ended and was restarted: see the log"
    elif silent:
        level, message = DiagnosticStatus.ERROR, f"no images on {hardware_id}"
    elif flow.new["failed"]:
        level, message = DiagnosticStatus.ERROR, f"{flow.new['failed']} images failed: see the log"
    elif rejected:
        listed = ", ".join(f"{kind} {n}" for kind, n in sorted(rejected.items()))
        level, message = DiagnosticStatus.WARN, f"unusable images: {listed}"
    elif flow.lost_share > LOST_SHARE:
        level = DiagnosticStatus.WARN
        message = (
            f"{100 * flow.lost_share:.0f} % of the images are lost before they arrive: {DDS_ADVICE}"
        )
    elif flow.age_s is not None and flow.age_s[0] > OLD_S:
        level = DiagnosticStatus.WARN
        message = (
            f"skeletons are {flow.age_s[0]:.1f} s old when published: images arrive late, or their "
            "stamps "
            "are not of this machine's clock"
        )
    elif flow.age_s is not None and flow.age_s[0] < 0.0:
        level = DiagnosticStatus.WARN
        message = (
            f"images are stamped {-flow.age_s[0]:.3f} s in the future: compare the machines' clocks"
        )
    values = {
        "state": state,
        **details,
        "rate in (1/s)": f"{flow.rate_in:.2f}",
        "rate out (1/s)": f"{flow.rate_out:.2f}",
        **_times("image age (ms)", flow.age_s),
        **_times("inference (ms)", flow.inference_s),
        **_times("overhead (ms)", flow.overhead_s),
        "received": str(flow.total["received"]),
        "processed": str(flow.total["processed"]),
        "skipped for newer": str(flow.total["skipped"]),
        "lost before arrival": str(flow.total["lost"]),
        "failed": str(flow.total["failed"]),
        "worker failures": str(flow.total["worker failures"]),
        **{kind: str(n) for kind, n in sorted(flow.total.items()) if kind.startswith("rejected")},
    }
    return DiagnosticStatus(
        level=level,
        name=f"{name}: images to skeletons",
        hardware_id=hardware_id,
        message=message,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def _times(name: str, seconds: tuple[float, float] | None) -> dict[str, str]:
    if seconds is None:
        return {f"{name} median": "none yet", f"{name} p95": "none yet"}
    return {f"{name} median": f"{1e3 * seconds[0]:.2f}", f"{name} p95": f"{1e3 * seconds[1]:.2f}"}
