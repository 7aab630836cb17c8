"""The node's state as one diagnostic status: a pure builder."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from vitpose_ros.ros.flow import FlowReport


def node_status(
    name: str,
    hardware_id: str,
    state: str,
    reason: str,
    failure: str,
    warnings: Sequence[str],
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
    failure : why no images are processed although the node is active, or ''.
    warnings : what impairs the node while it works, the most important first.
    flow : counts and times since the status before.
    details : models, engine and other parts of the configuration.
    silent : whether the image topic has been silent for too long.
    """
    level, message = (
        DiagnosticStatus.OK,
        f"{flow.rate_out:.1f} of {flow.rate_in:.1f} images per second",
    )
    rejected = {kind: n for kind, n in flow.new.items() if kind.startswith("rejected")}
    if state != "active":
        level = DiagnosticStatus.ERROR if reason else DiagnosticStatus.WARN
        message = "; ".join([f"{state}: {reason}" if reason else state, *warnings])
    elif failure:
        level, message = DiagnosticStatus.ERROR, failure
    elif flow.new["worker failures"]:
        level = DiagnosticStatus.ERROR
        message = "the worker thread ended and was restarted: see the log"
    elif silent:
        level = DiagnosticStatus.ERROR
        message = "; ".join([f"no images on {hardware_id}", *warnings])
    elif flow.new["failed"]:
        level, message = DiagnosticStatus.ERROR, f"{flow.new['failed']} images failed: see the log"
    elif rejected:
        listed = ", ".join(f"{kind} {n}" for kind, n in sorted(rejected.items()))
        level = DiagnosticStatus.WARN
        message = "; ".join([f"unusable images: {listed}", *warnings[:1]])
    elif warnings:
        more = f" (and {len(warnings) - 1} more: see the values)" if len(warnings) > 1 else ""
        level, message = DiagnosticStatus.WARN, warnings[0] + more
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
        "lost: not published": str(flow.total["unpublished"]),
        "lost: published, not received": str(flow.total["undelivered"]),
        "tracking restarts": str(flow.total["restarts"]),
        "failed": str(flow.total["failed"]),
        "worker failures": str(flow.total["worker failures"]),
        **{kind: str(n) for kind, n in sorted(flow.total.items()) if kind.startswith("rejected")},
        **{f"warning {n}": text for n, text in enumerate(warnings, start=1)},
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
