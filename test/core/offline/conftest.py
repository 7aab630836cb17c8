"""Recordings of rendered hands, and what `vitpose_ros annotate` makes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitpose_ros.cli.main import main
from vitpose_ros.factory import load_networks
from vitpose_ros.measure import Networks
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.offline import job
from vitpose_ros.synthetic.scene import Scene

pytest.importorskip("rosbags")
pytest.importorskip("pyarrow")

PERIOD_NS = 33_333_333
FIRST_NS = 1_700_000_000_000_000_000


@pytest.fixture(scope="session")
def hands() -> list[tuple[int, np.ndarray]]:
    """(stamp, image) of 12 images in which two hands move."""
    scene = Scene("reach", seed=1, width=320, height=240)
    return [
        (FIRST_NS + i * PERIOD_NS, scene.render(0.5 + i * PERIOD_NS * 1e-9).image)
        for i in range(12)
    ]


@pytest.fixture(scope="session")
def models() -> None:
    """The networks that are used by default."""
    for name in ("mediapipe-palm-full", "mediapipe-hand-full"):
        try:
            ModelStore().get(name)
        except ModelError as error:
            pytest.skip(str(error))


@pytest.fixture(scope="session")
def load_once(models: None) -> Callable[..., Networks]:
    """The function that loads networks, which remembers them: half of a short run is loading."""
    loaded: dict[str, Networks] = {}

    def load(store: ModelStore, *how: Any) -> Networks:
        key = repr(how[:-1])  # the last one is told about the choice of an engine
        if key not in loaded:
            loaded[key] = load_networks(store, *how)
        return loaded[key]

    return load


@pytest.fixture
def annotate(
    load_once: Callable[..., Networks],
    tmp_path: Path,
    capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[int, str, Path]]:
    """``annotate(*words)``: the exit code, all output, and the output folder."""
    monkeypatch.setattr(job, "load_networks", load_once)

    def run(*words: Any) -> tuple[int, str, Path]:
        out = tmp_path / "out"
        code = main(["annotate", *map(str, words), "-o", str(out)])
        said = capsys.readouterr()
        return code, said.out + said.err, out

    return run


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, str]]:
    """``tree(folder)``: SHA-256 of every file below it, by name."""

    def read(folder: Path) -> dict[str, str]:
        return {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    return read
