"""benchmarks/gpu.py runs on a CPU on request, and reports a missing GPU otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.convert, pytest.mark.slow, pytest.mark.timeout(300)]

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "gpu.py"
KEYS = {"engine_fps", "loop_fps", "transformers_fps", "around_engine_share"}


@pytest.fixture
def run():
    """Run the script; exit code and what it said."""
    for name in ("torch", "transformers", "onnxscript", "PIL"):
        pytest.importorskip(name, reason=f"needs {name}: make test-convert")

    def call(*words, **variables):
        done = subprocess.run(
            [sys.executable, str(SCRIPT), *map(str, words)],
            capture_output=True,
            text=True,
            timeout=280,
            env={**os.environ, **variables},
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return call


def test_a_trial_on_the_cpu_gives_every_figure(run, tmp_path):
    path = tmp_path / "gpu.json"
    code, said = run(
        "--device", "cpu", "--sizes", "tiny", "--batches", "1,2", "--seconds", "0.05",
        "--turns", "1", "--json", path,
    )  # fmt: skip
    assert code == 0, said
    figures = json.loads(path.read_text())
    assert {key for key in figures if key.startswith("tiny_")} == {"tiny_1", "tiny_2"}
    for key in ("tiny_1", "tiny_2"):
        assert set(figures[key]) == KEYS
        assert all(value > 0 for value in figures[key].values())
    assert figures["gpu"] == "no GPU" and figures["engine"] == "torch"


def test_without_a_gpu_it_says_so_and_fails(run):
    code, said = run(CUDA_VISIBLE_DEVICES="")
    assert code != 0
    assert "finds no NVIDIA GPU, so there is nothing to measure; --device cpu tries" in said
