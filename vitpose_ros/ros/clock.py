"""Whether a simulation clock runs. Pure Python: no ROS."""

from __future__ import annotations

GRACE_S = 3.0
"""A clock that has not moved for this long, in steady time, is reported."""

_REMEDY = (
    "a bag needs `ros2 bag play --clock BAG`, a simulator has to run; without either, set "
    "use_sim_time:=false"
)


class SimClock:
    """Notices that /clock is silent, or has stopped."""

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._moved_s = 0.0

    def problem(self, sim_time: bool, now_ns: int, steady_s: float) -> str:
        """What is wrong with the node's clock; "" for nothing.

        Parameters
        ----------
        sim_time : whether the node takes its time from /clock.
        now_ns : the node's time.
        steady_s : steady time.
        """
        if not sim_time:
            self._last_ns = None
            return ""
        if now_ns != self._last_ns:
            self._last_ns, self._moved_s = now_ns, steady_s
        if steady_s - self._moved_s < GRACE_S:
            return ""
        if now_ns == 0:
            return f"use_sim_time is true and nothing comes on /clock: {_REMEDY}"
        return (
            f"use_sim_time is true and /clock has stopped at {now_ns * 1e-9:.3f} s (a bag that "
            f"ended or is paused, a paused simulation?): {_REMEDY}"
        )
