"""Recordings of rendered hands, and what `vitpose_ros annotate` makes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitpose_ros.cli.main import main
from vitpose_ros.factory import load_networks
from vitpose_ros.layouts import HAND21, Layout
from vitpose_ros.measure import Networks
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.offline import job
from vitpose_ros.offline.recording import Annotated, Annotation
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.types import (
    Instance,
    JointState,
    Keypoints,
    Side,
    TrackState,
    View,
    ZSource,
)

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


@pytest.fixture(scope="session")
def skeleton() -> Callable[..., Instance]:
    """``skeleton(uv, layout=HAND21, xyz=None, shape=None, state=MEASURED, side=RIGHT, track_id=1,
    lost=False)``: an Instance; joints with NaN are absent.
    """

    def make(
        uv: np.ndarray,
        layout: Layout = HAND21,
        xyz: np.ndarray | None = None,
        shape: np.ndarray | None = None,
        state: JointState | np.ndarray = JointState.MEASURED,
        side: Side = Side.RIGHT,
        track_id: int = 1,
        lost: bool = False,
    ) -> Instance:
        nothing = np.full((len(layout), 3), np.nan, np.float32)
        absent = np.isnan(uv).any(axis=1)
        xyz = nothing if xyz is None else xyz.astype(np.float32)
        known = np.isfinite(xyz).all(axis=1)
        keypoints = Keypoints(
            layout,
            uv.astype(np.float32),
            np.where(absent, 0.0, 0.9).astype(np.float32),
            np.where(absent, JointState.ABSENT, state).astype(np.uint8),
            xyz,
            np.where(known, ZSource.TRUTH, ZSource.NONE).astype(np.uint8),
            nothing if shape is None else shape.astype(np.float32),
        )
        hand = layout is HAND21
        return Instance(
            keypoints,
            0.9,
            "played",
            side=side if hand else Side.UNKNOWN,
            side_score=0.9 if hand and side is not Side.UNKNOWN else float("nan"),
            track_id=track_id,
            track_state=TrackState.LOST if lost else TrackState.CONFIRMED,
        )

    return make


@pytest.fixture(scope="session")
def annotation() -> Callable[..., Annotation]:
    """``annotation(images, layouts=(HAND21,), first_ns, period_ns, resets=(), horizon_s=0)``: of
    lists of instances, one per image; an image that is None was not processed.
    """

    def make(
        images: Sequence[Sequence[Instance] | None],
        layouts: tuple[Layout, ...] = (HAND21,),
        first_ns: int = FIRST_NS,
        period_ns: int = PERIOD_NS,
        resets: Sequence[int] = (),
        horizon_s: float = 0.0,
        frame_id: str = "camera",
    ) -> Annotation:
        made = [
            Annotated(
                stamp_ns=first_ns + number * period_ns,
                frame_id=frame_id,
                size=(640, 480),
                log_ns=first_ns + number * period_ns,
                name=f"{number}.png",
                instances=tuple(instances),
                models=("played",),
                reset=number in resets,
                view=View.EGOCENTRIC,
            )
            for number, instances in enumerate(images)
            if instances is not None
        ]
        return Annotation(made, layouts, "none", horizon_s)

    return make
