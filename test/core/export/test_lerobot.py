"""The files of a LeRobot dataset, read with pyarrow and PyAV."""

from __future__ import annotations

import json
import math

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from vitpose_ros.cli.main import main
from vitpose_ros.layouts import HAND21
from vitpose_ros.types import Side, ZSource

from .conftest import FIRST_NS, PERIOD_NS, Take, hand_m, number_of, pixels


def table(out):
    """All rows of a dataset, as arrays by column."""
    files = sorted(out.glob("data/*/*.parquet"))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def episodes(out):
    files = sorted(out.glob("meta/episodes/*/*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def frames(path):
    with av.open(str(path)) as container:
        return [
            (frame.pts * frame.time_base, number_of(frame.to_ndarray(format="rgb24")))
            for frame in container.decode(video=0)
        ]


def numbers(content):
    """All numbers of a JSON file."""
    if isinstance(content, dict):
        content = list(content.values())
    if isinstance(content, list):
        return [number for one in content for number in numbers(one)]
    return [content] if isinstance(content, (int, float)) else []


def info(out, name="info"):
    return json.loads((out / "meta" / f"{name}.json").read_text())


def test_every_joint_has_its_metres_in_the_order_of_its_names(write, export):
    write(Take())
    code, said, out = export()
    assert code == 0, said
    feature = info(out)["features"]["observation.hand_right"]
    assert feature["names"] == [f"{joint}_{axis}" for joint in HAND21.joints for axis in "xyz"]
    values = table(out)["observation.hand_right"].reshape(-1, 21, 3)
    expected = np.stack([hand_m(number, Side.RIGHT) for number in range(12)])
    np.testing.assert_array_equal(values.astype(np.float32), expected)
    assert table(out)["valid.hand_right"].all() and not table(out)["valid.hand_left"].any()
    assert (table(out)["z_source.hand_right"] == ZSource.MEASURED).all()


def test_pixels_on_request(write, export):
    write(Take(metric=False))
    code, said, out = export("--units", "px")
    assert code == 0, said
    values = table(out)["observation.hand_right"].reshape(-1, 21, 2)
    expected = np.stack([pixels(hand_m(number, Side.RIGHT)) for number in range(12)])
    np.testing.assert_array_equal(values.astype(np.float32), expected)
    features = info(out)["features"]
    assert not any("wrist_right" in name or "z_source" in name for name in features)
    assert features["observation.hand_right"]["info"]["unit"] == "px"


def test_true_stamps_are_kept_to_the_nanosecond(write, export):
    stamps = [FIRST_NS + i * PERIOD_NS + (i % 3) * 1_234_567 for i in range(12)]
    write(Take(stamps_ns=stamps))
    _, said, out = export()
    data = table(out)
    assert data["stamp_ns"].tolist() == stamps
    np.testing.assert_array_equal(data["timestamp"], (np.arange(12) / 30).astype(np.float32))
    assert "2.5 ms at most" in said


def test_a_gap_holds_the_last_joints_and_the_first_ones_stand_before_them(write, export):
    seen = [3, 4, 5, 9, 10, 11]
    write(Take(seen={Side.RIGHT: seen}))
    _, said, out = export()
    data = table(out)
    shown = [3, 3, 3, 3, 4, 5, 5, 5, 5, 9, 10, 11]
    expected = np.stack([hand_m(number, Side.RIGHT).ravel() for number in shown])
    np.testing.assert_array_equal(data["observation.hand_right"].astype(np.float32), expected)
    valid = np.isin(np.arange(12), seen)
    np.testing.assert_array_equal(data["valid.hand_right"], np.repeat(valid[:, None], 21, axis=1))
    np.testing.assert_array_equal(data["valid.wrist_right"], valid)
    assert not data["observation.hand_left"].any() and not data["valid.hand_left"].any()
    np.testing.assert_array_equal(data["observation.wrist_left"][5], [0, 0, 0, 0, 0, 0, 1])
    assert "right in 50.0 %, left in 0.0 %" in said


def test_a_joint_that_is_only_inferred_has_its_value_and_is_not_valid(write, export):
    write(Take(occluded=[4, 8]))
    _, _, out = export()
    data = table(out)
    assert np.flatnonzero(~data["valid.hand_right"][0]).tolist() == [4, 8]
    values = data["observation.hand_right"].reshape(-1, 21, 3).astype(np.float32)
    np.testing.assert_array_equal(values[7], hand_m(7, Side.RIGHT))


def test_a_lost_image_is_bridged_by_its_neighbour_which_is_not_valid_there(write, export):
    numbers_left = [0, 1, 2, 5, 6, 7, 8]  # images 3 and 4 never arrived
    stamps = [FIRST_NS + i * PERIOD_NS for i in numbers_left]
    write(Take(stamps_ns=stamps, seen={Side.RIGHT: range(7)}))
    _, said, out = export()
    data = table(out)
    shown = [0, 1, 2, 2, 3, 3, 4, 5, 6]  # which image each frame shows
    assert data["stamp_ns"].tolist() == [stamps[number] for number in shown]
    assert np.flatnonzero(~data["valid.hand_right"][:, 0]).tolist() == [3, 4]
    assert "2 frames show an image over a gap" in said
    assert [number for _, number in frames(next(out.glob("videos/*/*/*.mp4")))] == shown


def test_every_episode_begins_and_ends_with_its_own_images(write, export):
    marks = [
        (FIRST_NS + 2 * PERIOD_NS - 5, FIRST_NS + 9 * PERIOD_NS + 5),
        (FIRST_NS + 15 * PERIOD_NS - 5, None),
    ]
    stamps = [FIRST_NS + i * PERIOD_NS for i in range(30)]
    write(Take(stamps_ns=stamps, seen={Side.RIGHT: range(30)}, marks=marks))
    _, _, out = export()
    rows = episodes(out)
    shown = frames(next(out.glob("videos/*/*/*.mp4")))
    assert [row["length"] for row in rows] == [8, 15]
    key = "videos/observation.images.camera"
    for row, expected in zip(rows, [range(2, 10), range(15, 30)], strict=True):
        begin, end = row[f"{key}/from_timestamp"], row[f"{key}/to_timestamp"]
        own = [number for time_s, number in shown if begin - 1e-6 <= time_s < end - 1e-6]
        assert own == list(expected)
    data = table(out)
    assert data["index"].tolist() == list(range(23))
    assert data["episode_index"].tolist() == [0] * 8 + [1] * 15
    assert data["stamp_ns"][8] == stamps[15]
    first, second = rows
    assert first["dataset_to_index"] == second["dataset_from_index"] == 8


def test_an_episode_is_decoded_without_what_comes_before_it(write, export):
    marks = [(FIRST_NS, FIRST_NS + 6 * PERIOD_NS), (FIRST_NS + 7 * PERIOD_NS, None)]
    write(Take(marks=marks))
    _, _, out = export()
    starts = [row["dataset_from_index"] for row in episodes(out)]
    with av.open(str(next(out.glob("videos/*/*/*.mp4")))) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        stream = container.streams.video[0]
        assert [round(packet.pts * stream.time_base * 30) for packet in packets] == list(range(12))
    keys = [packet.is_keyframe for packet in packets]
    assert starts == [0, 7] and keys[0] and keys[7]
    assert np.diff(np.flatnonzero(keys)).max() <= 2


def test_statistics_are_of_valid_values_and_every_number_is_finite(write, export):
    seen = [0, 1, 2, 9]
    write(Take(seen={Side.RIGHT: seen}))
    _, _, out = export()
    stats = info(out, "stats")
    assert set(stats) == set(info(out)["features"])
    assert all(math.isfinite(number) for number in numbers(stats))
    values = np.stack([hand_m(number, Side.RIGHT).ravel() for number in seen]).astype(np.float64)
    own = stats["observation.hand_right"]
    np.testing.assert_allclose(own["mean"], values.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(own["std"], values.std(axis=0), atol=1e-9)
    np.testing.assert_array_equal(own["min"], values.min(axis=0))
    np.testing.assert_array_equal(own["max"], values.max(axis=0))
    assert own["count"] == [4]
    assert stats["observation.hand_left"]["std"] == [0.0] * 63
    assert stats["valid.hand_right"]["mean"] == pytest.approx([4 / 12] * 21)
    image = stats["observation.images.camera"]
    assert np.shape(image["mean"]) == (3, 1, 1) and image["count"] == [12]
    row = episodes(out)[0]
    assert all(math.isfinite(number) for number in numbers(row))
    assert row["stats/observation.hand_right/count"] == [4]


def test_a_hand_that_an_episode_never_shows_stands_at_the_datasets_mean(write, export):
    later = [stamp + 10**12 for stamp in Take().stamps_ns]
    write(Take(), "a")
    write(Take(stamps_ns=later, seen={Side.LEFT: range(4, 12)}), "b")
    _, _, out = export()
    data, stats = table(out), info(out, "stats")
    for name, there, gone in (("hand_right", 0, 1), ("hand_left", 1, 0)):
        absent = data["episode_index"] == gone
        assert not data[f"valid.{name}"][absent].any() and data[f"valid.{name}"][~absent].any()
        mean = np.float32(stats[f"observation.{name}"]["mean"])
        values = data[f"observation.{name}"]
        np.testing.assert_array_equal(values[absent].astype(np.float32), [mean] * 12)
        assert there == 1 - gone and (values[~absent] != mean).any()
        row = episodes(out)[gone]
        np.testing.assert_allclose(row[f"stats/observation.{name}/mean"], mean, rtol=1e-6)
    turns = data["observation.wrist_left"][data["episode_index"] == 0][:, 3:]
    np.testing.assert_allclose(np.linalg.norm(turns, axis=1), 1.0, rtol=1e-6)
    assert pq.ParquetFile(next(out.glob("data/*/*.parquet"))).num_row_groups == 2


def test_the_dataset_describes_itself(write, export):
    bag, annotated = write(Take(source=ZSource.ASSUMED))
    _, _, out = export()
    features = info(out)["features"]
    assert features["observation.hand_right"]["info"] == {
        "unit": "m",
        "frame": "the camera's optical frame: x right, y down, z forward (REP 103)",
        "layout": "hand21",
    }
    record = info(out, "vitpose_ros")["episodes"][0]
    about = json.loads((annotated / "annotation.json").read_text())
    assert record["sha256"] == about["input"]["sha256"] and record["recording"] == bag.name
    assert record["camera"]["fx"] == 100.0 and record["frame_id"] == "camera_optical_frame"
    assert record["z_source"] == {"assumed": 1.0}
    assert record["hand_in_metres"] == {"right": 1.0, "left": 0.0}
    card = (out / "README.md").read_text()
    assert card.startswith("---\n") and "Right and left are the person's own" in card
    assert all(f"| `{name}` |" in card for name in features)


def test_tasks_have_the_index_that_pandas_expects(write, export):
    write(Take())
    _, _, out = export("--task", "pick up the cup")
    found = pq.read_table(out / "meta" / "tasks.parquet")
    assert found.to_pylist() == [{"task_index": 0, "task": "pick up the cup"}]
    assert json.loads(found.schema.metadata[b"pandas"])["index_columns"] == ["task"]


def test_modality_slices_the_columns(write, export):
    joints = [(FIRST_NS + i * PERIOD_NS, ["a", "b"], [i, -i]) for i in range(12)]
    write(Take(topics={"/joint_states": ("sensor_msgs/msg/JointState", joints)}))
    _, _, out = export("--state", "/joint_states", "--camera", "wrist")
    modality = info(out, "modality")
    features = info(out)["features"]
    for entry in modality["state"].values():
        assert 0 <= entry["start"] < entry["end"] <= features[entry["original_key"]]["shape"][0]
    assert modality["state"]["robot"]["original_key"] == "observation.state"
    assert modality["state"]["wrist_right_rotation"]["rotation_type"] == "quaternion"
    assert modality["video"] == {"wrist": {"original_key": "observation.images.wrist"}}


def test_an_odd_row_or_column_is_cut_off_and_pixels_stay(write, export):
    write(Take(size=(97, 65), metric=False))
    _, _, out = export("--units", "px")
    assert info(out)["features"]["observation.images.camera"]["shape"] == [64, 96, 3]
    assert [number for _, number in frames(next(out.glob("videos/*/*/*.mp4")))] == list(range(12))


def test_files_that_have_grown_large_are_followed_by_new_ones(write, export, monkeypatch):
    monkeypatch.setattr("vitpose_ros.export.lerobot.DATA_MB", 0)
    monkeypatch.setattr("vitpose_ros.export.lerobot.VIDEO_MB", 0)
    monkeypatch.setattr("vitpose_ros.export.lerobot._ROWS_OF_EPISODES", 1)
    marks = [(FIRST_NS, FIRST_NS + 5 * PERIOD_NS), (FIRST_NS + 6 * PERIOD_NS, None)]
    write(Take(marks=marks))
    _, _, out = export()
    rows = episodes(out)
    key = "videos/observation.images.camera/file_index"
    assert [row["data/file_index"] for row in rows] == [0, 1] == [row[key] for row in rows]
    assert [row["meta/episodes/file_index"] for row in rows] == [0, 1]
    shown = [frames(path) for path in sorted(out.glob("videos/*/*/*.mp4"))]
    assert [[n for _, n in file] for file in shown] == [list(range(6)), list(range(6, 12))]
    assert table(out)["index"].tolist() == list(range(12))


def test_episodes_that_a_report_rejected_are_left_out_on_request(write, export, tmp_path, capsys):
    stamps = [FIRST_NS + i * PERIOD_NS for i in range(60)]
    marks = [(stamps[0], stamps[25]), (stamps[30], stamps[59])]
    take = Take(stamps_ns=stamps, seen={Side.RIGHT: [*range(26), 31]}, marks=marks)
    write(take)
    assert main(["report", str(tmp_path / "annotated"), "--no-images"]) == 0, capsys.readouterr()
    quality = json.loads((tmp_path / "annotated" / "take" / "quality.json").read_text())
    assert [one["verdict"] == "reject" for one in quality["episodes"]] == [False, True]
    code, said, out = export("--skip-rejected")
    assert code == 0 and info(out)["total_episodes"] == 1
    reason = quality["episodes"][1]["reasons"][0]
    assert f"dropped: take, episode 2 of 2: it was rejected: {reason}" in said
    assert info(export(out="all")[2])["total_episodes"] == 2
