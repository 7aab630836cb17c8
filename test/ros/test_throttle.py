"""Messages of a kind: the first at once, then one per period with the number left out."""

from __future__ import annotations

from vitpose_ros.ros.throttle import Throttle


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_first_message_of_each_kind_is_logged_at_once() -> None:
    said: list[str] = []
    throttle = Throttle(5.0, Clock())
    throttle.say(said.append, "size", "no size")
    throttle.say(said.append, "data", "short")
    assert said == ["no size", "short"]


def test_repeats_within_the_period_are_left_out_and_counted() -> None:
    said: list[str] = []
    clock = Clock()
    throttle = Throttle(5.0, clock)
    for i in range(10):
        clock.now_s = 0.4 * i
        throttle.say(said.append, "size", f"no size {i}")
    assert said == ["no size 0"]
    clock.now_s = 5.0
    throttle.say(said.append, "size", "no size 10")
    assert said[1] == "no size 10 (and 9 more of this kind since the last message)"


def test_the_count_restarts_after_it_was_logged() -> None:
    said: list[str] = []
    clock = Clock()
    throttle = Throttle(1.0, clock)
    for now_s in (0.0, 0.5, 1.0, 2.0):
        clock.now_s = now_s
        throttle.say(said.append, "size", "no size")
    assert said[1].endswith("(and 1 more of this kind since the last message)")
    assert said[2] == "no size"
