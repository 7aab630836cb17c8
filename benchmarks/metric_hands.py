"""How exact hands in metres are, on rendered hands with a known truth (640x480, 70 degrees across).

Two views: cameras beside each other, turned towards the hands; joints in the first camera's frame.
"True joints" are the renderer's with Gaussian noise in pixels, through association and
triangulation. "Whole pipeline" is rendered images through the real networks, unsmoothed.

JSON: {"views": {"baselines": {"0.3": {median_mm, p95_mm}, ...}, "blind": {median_mm, p95_mm},
"pipeline": {median_mm, p95_mm, triangulated, same_id}, "pipeline_blind": {...}}}; triangulated and
same_id are shares of the hands that both cameras see.
Targets: views.baselines.0.3 and views.blind at most 3 mm (median).
"""

from __future__ import annotations

from _metric_views import measure_views
from common import machine, parser, report, write_json

from vitpose_ros.engines.base import EngineError
from vitpose_ros.factory import load_networks
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore


def main() -> None:
    """Measure, print the tables, write the figures."""
    options = parser(__doc__).parse_args()
    try:
        networks = load_networks(ModelStore())
    except (ModelError, EngineError) as error:
        raise SystemExit(str(error)) from error
    rows, views = measure_views(networks)
    report(
        f"Hands from two views, rendered, 640x480 ({machine()})",
        ("cameras", "median, mm", "95th percentile, mm", "target, mm"),
        rows,
    )
    write_json(options.json, {"views": views})


if __name__ == "__main__":
    main()
