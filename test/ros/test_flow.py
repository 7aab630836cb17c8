"""Counts and times of the images: rates over the span, percentiles over the last images."""

from __future__ import annotations

import threading

from vitpose_ros.ingest.losses import Losses
from vitpose_ros.ros.flow import Flow


def test_before_the_first_image_times_are_unknown_and_rates_zero() -> None:
    report = Flow().report(10.0)
    assert (report.rate_in, report.rate_out) == (0.0, 0.0)
    assert (report.age_s, report.inference_s, report.overhead_s) == (None, None, None)


def test_rates_are_over_the_time_since_the_report_before() -> None:
    flow = Flow()
    flow.restart(100.0)
    flow.count("received", 60)
    for _ in range(30):
        flow.processed(0.1, 0.02, 0.001)
    report = flow.report(102.0)
    assert (report.rate_in, report.rate_out) == (30.0, 15.0)
    assert flow.report(103.0).rate_in == 0.0


def test_new_counts_begin_again_and_total_ones_go_on() -> None:
    flow = Flow()
    flow.count("skipped", 2)
    flow.report(1.0)
    flow.count("skipped")
    report = flow.report(2.0)
    assert (report.new["skipped"], report.total["skipped"]) == (1, 3)


def test_percentiles_are_the_median_and_the_95th() -> None:
    flow = Flow()
    for i in range(101):
        flow.processed(age_s=i, inference_s=2 * i, overhead_s=3 * i)
    report = flow.report(1.0)
    assert report.age_s == (50, 95)
    assert report.inference_s == (100, 190)
    assert report.overhead_s == (150, 285)


def test_percentiles_look_back_on_the_last_images_only() -> None:
    flow = Flow()
    for age_s in [9.0] * 300 + [1.0] * 300:
        flow.processed(age_s, 0.0, 0.0)
    assert flow.report(1.0).age_s == (1.0, 1.0)


def test_an_unknown_age_is_left_out_of_the_percentiles() -> None:
    flow = Flow()
    flow.processed(None, 0.5, 0.5)
    assert flow.report(1.0).age_s is None
    flow.processed(2.0, 0.5, 0.5)
    report = flow.report(2.0)
    assert (report.age_s, report.inference_s) == ((2.0, 2.0), (0.5, 0.5))


def test_recent_counts_cover_ten_reports() -> None:
    flow = Flow()
    for second in range(12):
        flow.count("received", 30)
        flow.count_losses(Losses(unpublished=1, undelivered=2, unexplained=3))
        report = flow.report(float(second))
        assert report.recent["received"] == 30 * min(second + 1, 10)
    assert report.recent["lost"] == 60
    assert (report.recent["unpublished"], report.recent["undelivered"]) == (10, 20)
    assert report.total["lost"] == 72
    flow.restart(20.0)
    assert flow.report(21.0).recent["received"] == 0


def test_a_restart_hides_what_was_before_but_keeps_the_totals() -> None:
    flow = Flow()
    flow.count("received", 5)
    flow.processed(1.0, 1.0, 1.0)
    flow.restart(10.0)
    report = flow.report(11.0)
    assert report.new["received"] == 0
    assert report.rate_in == 0.0
    assert report.age_s is None
    assert report.total["received"] == 5


def test_no_count_is_lost_between_threads() -> None:
    flow = Flow()
    threads = [
        threading.Thread(target=lambda: [flow.count("received") for _ in range(2000)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert flow.report(1.0).total["received"] == 8000
