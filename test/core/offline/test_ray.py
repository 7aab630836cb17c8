"""Items on a Ray cluster of two nodes, one of which is killed in the middle.

Ray has an environment of its own: set VITPOSE_ROS_TEST_RAY to its Python, which needs ray and
requirements/core.txt and offline.txt. Takes minutes and 1.5 GB.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import vitpose_ros.offline

COUNT = int(os.environ.get("VITPOSE_ROS_TEST_RAY_BAGS", "1000"))

SCRIPT = """
import json, os, signal, sys
from pathlib import Path

from ray.cluster_utils import Cluster

from vitpose_ros.offline.batch import output_folder
from vitpose_ros.offline.items import find_items
from vitpose_ros.offline.job import Job
from vitpose_ros.offline.on_ray import run_ray
from vitpose_ros.parameters.file import load_parameters

folder, count = Path(sys.argv[1]), int(sys.argv[2])
cluster = Cluster(initialize_head=True, head_node_args={
    "num_cpus": 1, "object_store_memory": 10**8})
second = cluster.add_node(num_cpus=1, object_store_memory=10**8)

class Watcher:
    ended_names, said = [], []
    def say(self, text):
        self.said.append(text)
    def progress(self, item, done, expected):
        pass
    def ended(self, item, outcome):
        self.ended_names.append(outcome.name)
        if len(self.ended_names) == count // 2:
            cluster.remove_node(second, allow_graceful=False)

watcher = Watcher()
out = folder / "out"
items = find_items([folder / "in"], out)
with output_folder(out):
    job = Job(out, load_parameters(None), outputs=("parquet",))
    outcomes = run_ray(items, job, watcher, cluster.address, None)
print(json.dumps([{o.name: [o.status, list(o.notes)] for o in outcomes}, watcher.said,
                  len(outcomes)]))
"""


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_nothing_is_lost_and_nothing_twice_when_a_node_is_killed_in_the_middle(
    models, make_bag, hands, tmp_path
):
    python = os.environ.get("VITPOSE_ROS_TEST_RAY", "")
    if not python:
        pytest.skip("VITPOSE_ROS_TEST_RAY does not name a Python with Ray")
    first = make_bag(tmp_path / "in" / "00000", {"/image": ("raw", "bgr8", hands[:1])})
    for number in range(1, COUNT):
        copy = tmp_path / "in" / f"{number:05d}"
        copy.mkdir()
        for file in first.iterdir():
            os.link(file, copy / file.name)
    package = Path(vitpose_ros.offline.__file__).parents[2]
    env = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "PYTHONHOME")}
    result = subprocess.run(
        [python, "-c", SCRIPT, str(tmp_path), str(COUNT)],
        cwd=tmp_path,
        env={**env, "PYTHONPATH": str(package), "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    outcomes, said, count = json.loads(result.stdout.splitlines()[-1])
    assert count == COUNT == len(outcomes)
    assert {status for status, _ in outcomes.values()} == {"done"}
    assert len(said) <= 1  # at most the item that the killed node worked on
    made = sorted(path.parent.name for path in (tmp_path / "out").glob("*/annotation.json"))
    assert made == [f"{number:05d}" for number in range(COUNT)]
