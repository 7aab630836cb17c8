"""A dataset that grows: what was there stays, and a run that fails or is killed changes nothing."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from vitpose_ros.export import staging
from vitpose_ros.types import Side

from .conftest import FIRST_NS, PERIOD_NS, Take
from .test_lerobot import episodes, frames, info, table

LATER_NS = 10**12

SECOND = Take(
    stamps_ns=[FIRST_NS + LATER_NS + i * PERIOD_NS for i in range(8)],
    seen={Side.RIGHT: range(4), Side.LEFT: range(2, 8)},
)


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def dataset(write, export):
    """A dataset of one episode, and its files; a second recording is there to append."""
    write(Take())
    code, said, out = export()
    assert code == 0, said
    before = tree(out)
    write(SECOND, "take2")
    return out, before


def test_episodes_are_appended_behind_those_that_are_there(dataset, export):
    out, before = dataset
    video = out / "videos/observation.images.camera/chunk-000/file-000.mp4"
    inode = video.stat().st_ino
    code, said, _ = export("--append", "--task", "point")
    assert code == 0, said
    after = tree(out)
    assert video.stat().st_ino == inode  # not copied
    kept = [name for name in before if name.startswith(("data", "videos", "meta/episodes"))]
    assert kept and all(after[name] == before[name] for name in kept)
    rows, data = episodes(out), table(out)
    assert [row["episode_index"] for row in rows] == [0, 1]
    assert [(r["dataset_from_index"], r["dataset_to_index"]) for r in rows] == [(0, 12), (12, 20)]
    assert data["index"].tolist() == list(range(20))
    assert data["task_index"].tolist() == [0] * 12 + [1] * 8
    assert [row["tasks"] for row in rows] == [["wave"], ["point"]]
    assert info(out)["total_episodes"] == 2 and info(out)["total_frames"] == 20
    assert info(out)["splits"] == {"train": "0:2"}
    assert "1 episodes were in the dataset before" in said
    second = sorted(out.glob("videos/*/*/*.mp4"))[1]
    assert [number for _, number in frames(second)] == list(range(8))


def test_statistics_after_appending_are_those_of_one_run(dataset, export):
    out, _ = dataset
    export("--append")
    _, _, whole = export(out="whole")
    appended, at_once = info(out, "stats"), info(whole, "stats")
    assert appended.keys() == at_once.keys()
    for name, stats in appended.items():
        for stat, value in stats.items():
            np.testing.assert_allclose(value, at_once[name][stat], rtol=1e-9, atol=1e-12)


def test_the_same_recordings_again_add_nothing(dataset, export):
    out, _ = dataset
    export("--append")
    before = tree(out)
    code, said, _ = export("--append")
    assert code == 0 and "2 episodes were in the dataset before" in said
    assert tree(out) == before


@pytest.mark.parametrize("exchange", [True, False], ids=["one step", "two renames"])
def test_a_file_that_is_open_goes_on_with_the_old_dataset(dataset, export, monkeypatch, exchange):
    out, _ = dataset
    if not exchange:
        monkeypatch.setattr(staging, "_exchange", lambda one, other: False)
    with (out / "meta" / "info.json").open() as stream:
        export("--append")
        assert json.load(stream)["total_episodes"] == 1
    assert info(out)["total_episodes"] == 2
    assert not list(out.parent.glob(".*"))


KILL = """
import os, signal, sys
from vitpose_ros.cli.main import main
from vitpose_ros.export import lerobot, staging, tables

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

module, name = sys.argv[1].split(".")
if module == "between":
    staging._exchange = lambda one, other: False
    rename = os.rename
    def second_dies(old, new):
        if os.path.basename(old) == "new":
            die()
        rename(old, new)
    os.rename = second_dies
else:
    owners = {"staging": staging, "writer": lerobot.LeRobotWriter, "tables": tables.Tables}
    owner = owners[module]
    setattr(owner, name, die)
main(sys.argv[2:])
"""


@pytest.mark.parametrize(
    "where",
    [
        *("writer.image", "writer.end", "tables.fill", "tables.stats"),
        *("staging._flush", "staging._put", "between.x"),
    ],
)
def test_a_run_that_is_killed_leaves_the_old_dataset_whole(dataset, export, tmp_path, where):
    out, before = dataset
    words = ["export", "lerobot", str(tmp_path / "annotated"), "-o", str(out), "--task", "wave"]
    words += ["--append"]
    done = subprocess.run(
        [sys.executable, "-c", KILL, where, *words], cwd="/", env=dict(os.environ), check=False
    )
    assert done.returncode == -signal.SIGKILL
    if where.startswith("between"):
        assert not out.exists()  # for the moment between two renames; put back by the next run
    else:
        assert tree(out) == before
    code, said, _ = export("--append")
    assert code == 0, said
    assert info(out)["total_episodes"] == 2 and table(out)["index"].tolist() == list(range(20))
    assert not list(tmp_path.glob(".*"))


def test_a_new_dataset_that_is_killed_leaves_nothing_under_its_name(write, export, tmp_path):
    write(Take())
    out = tmp_path / "dataset"
    words = ["export", "lerobot", str(tmp_path / "annotated"), "-o", str(out), "--task", "wave"]
    done = subprocess.run(
        [sys.executable, "-c", KILL, "tables.stats", *words], cwd="/", check=False
    )
    assert done.returncode == -signal.SIGKILL and not out.exists()
    code, said, _ = export()
    assert code == 0, said
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_leaves_the_dataset_as_it_was(dataset, export, monkeypatch):
    out, before = dataset

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("vitpose_ros.export.video.VideoFile.add", full)
    code, said, _ = export("--append")
    assert code == 1 and "the disk is full" in said and "is as it was" in said
    assert tree(out) == before and not list(out.parent.glob(".*"))


JOINTS = {"/joint_states": ("sensor_msgs/msg/JointState", [(FIRST_NS + LATER_NS, ["a"], [1.0])])}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fps", "15"], "has 30 frames per second"),
        (["--units", "px"], "has hands in m (--units)"),
        (["--state", "/joint_states"], "the dataset has no observation.state"),
        (["--camera", "wrist"], "the dataset has no observation.images.wrist"),
    ],
    ids=str,
)
def test_episodes_of_another_schema_are_refused(write, export, words, said, tmp_path):
    write(Take())
    _, _, out = export()
    before = tree(out)
    write(Take(stamps_ns=SECOND.stamps_ns, topics=JOINTS), "another")
    for name in ("recordings", "annotated"):
        (tmp_path / name / "take").rename(tmp_path / f"{name}_before")
    code, text, _ = export("--append", *words)
    assert code == 2 and said in text and "export to a new folder" in text
    assert tree(out) == before and not list(tmp_path.glob(".*"))


def not_lerobot(out):
    (out / "meta" / "info.json").unlink()


def older(out):
    content = info(out)
    (out / "meta" / "info.json").write_text(json.dumps({**content, "codebase_version": "v2.1"}))


def of_lerobot(out):
    (out / "meta" / "vitpose_ros.json").unlink()


def changed_since(out):
    content = info(out)
    (out / "meta" / "info.json").write_text(json.dumps({**content, "total_episodes": 7}))


def broken(out):
    (out / "meta" / "info.json").write_text("{")


def linked(out):
    (out / "videos").rename(out.parent / "elsewhere")
    (out / "videos").symlink_to(out.parent / "elsewhere")


@pytest.mark.parametrize(
    ("spoil", "said", "remedy"),
    [
        (not_lerobot, "is no LeRobot dataset", "leave out --append"),
        (older, "of version v2.1", "convert"),
        (of_lerobot, "was not written by `vitpose_ros export lerobot`", "lerobot-edit-dataset"),
        (changed_since, "was changed by another program", "lerobot-edit-dataset"),
        (broken, "is damaged", ""),
        (linked, "is a symbolic link to a folder", "put the folder itself in its place"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_dataset_that_cannot_be_extended_is_left_alone(dataset, export, spoil, said, remedy):
    out, _ = dataset
    spoil(out)
    before = tree(out)
    code, text, _ = export("--append")
    assert code in (1, 2) and said in text and remedy in text and "--debug" not in text
    assert tree(out) == before


def test_appending_keeps_what_others_put_into_the_folder(dataset, export):
    out, _ = dataset
    (out / "notes").mkdir()
    (out / "notes" / "mine.txt").write_text("keep")
    export("--append")
    assert (out / "notes" / "mine.txt").read_text() == "keep"


def test_two_runs_do_not_write_to_one_dataset(dataset, export):
    out, before = dataset
    with staging.staged(out, append=True):
        code, said, _ = export("--append")
    assert code == 2 and "another vitpose_ros export is writing" in said
    assert {n: h for n, h in tree(out).items() if n.startswith("data")} == {
        n: h for n, h in before.items() if n.startswith("data")
    }


def test_an_episode_table_per_run_can_be_read_as_one(dataset, export):
    out, _ = dataset
    export("--append")
    files = sorted(out.glob("meta/episodes/*/*.parquet"))
    assert len(files) == 2
    assert pq.read_schema(files[0]).equals(pq.read_schema(files[1]))
