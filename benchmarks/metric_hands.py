"""How exact hands in metres are, on rendered hands with a known truth (640x480, 70 degrees across).

Errors are distances to the true joint, in mm. "True joints" are the renderer's, where noted with
Gaussian noise in pixels; "pipeline" is rendered images through the real networks, unsmoothed.

One view: `tour` motions (reaching, grasping a can, turning, crossing, a plate before the hands),
hands at 0.35 to 0.6 m; visible joints are those that no surface hides.

Two views: cameras beside each other, turned towards the hands; joints in the first camera's frame,
through association and triangulation.

JSON: {
depth_true_joints: {median_mm, p95_mm, p99_mm} with the renderer's depth (targets: 5, 15);
depth_damaged: the same with 2 px of noise on the joints and depth with 20 % holes, mixed pixels at
edges, and 3 % flying pixels;
depth_pipeline: {median_mm, p95_mm, p99_mm, measured_share} (target: median 20);
hidden: hidden joints of the same, {median_mm, p95_mm, measured_wrong: the share that is called
measured and is wrong by more than 20 mm};
encodings_mm: 95th percentile of the distance between joints from 16UC1 and 32FC1 (target: 1);
rgb_true_shape: with the true shape and size and 2 px of noise, {wrist_percent: median error of the
wrist's distance (target: 1.5), joints_mm: median error of joints against the wrist (target: 15),
joints_p95_mm};
rgb_pipeline, rgb_pipeline_size_110: the same with the networks, with the true size (target: 6 %)
and with one that is 10 % too large (about 10 %);
honest: {measured, inferred, assumed: shares of errors within one and two standard deviations
(xyz_std)};
lift_ms: CPU time of lifting one hand with depth, median (target: below 1);
"views": {"baselines": {"0.3": {median_mm, p95_mm}, ...}, "blind": {median_mm, p95_mm},
"pipeline": {median_mm, p95_mm, triangulated, same_id}, "pipeline_blind": {...}}}; triangulated and
same_id are shares of the hands that both cameras see.
Targets: views.baselines.0.3 and views.blind at most 3 mm (median).
"""

from __future__ import annotations

from _metric_one_view import measure_one_view
from _metric_views import measure_views
from common import machine, parser, report, write_json

from vitpose_ros.engines.base import EngineError
from vitpose_ros.factory import load_networks
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore

SEEDS = range(20, 23)
"""Of the scenes with one view; others than 0 and 1, on which the constants were chosen."""


def main() -> None:
    """Measure, print the tables, write the figures."""
    options = parser(__doc__)
    options.add_argument("--step", type=float, default=0.25, help="s between images, one view")
    given = options.parse_args()
    try:
        networks = load_networks(ModelStore())
    except (ModelError, EngineError) as error:
        raise SystemExit(str(error)) from error
    figures = measure_one_view(networks, SEEDS, given.step)
    rows, views = measure_views(networks)
    report(
        f"Hands from two views, rendered, 640x480 ({machine()})",
        ("cameras", "median, mm", "95th percentile, mm", "target, mm"),
        rows,
    )
    write_json(given.json, {**figures, "views": views})


if __name__ == "__main__":
    main()
