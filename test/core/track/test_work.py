"""What is noted of the networks' work."""

from __future__ import annotations

from vitpose_ros.track.work import Work


def test_work_names_each_model_once_in_the_order_of_first_use_and_adds_up_the_time():
    work = Work()
    for stage, model in [("detect", "a"), ("keypoints", "b"), ("keypoints", "b"), ("detect", "c")]:
        before = work.stage_s[stage]
        with work.stage(stage, model):
            sum(range(1000))
        assert work.stage_s[stage] > before
    assert work.models == ["a", "b", "c"]
