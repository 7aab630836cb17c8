"""HDF5 files in the form of EgoDex."""

from __future__ import annotations

import av
import numpy as np
import pytest

from vitpose_ros.layouts import HAND21
from vitpose_ros.types import Side

from .conftest import CENTRE_PX, FIRST_NS, FOCAL_PX, PERIOD_NS, Take, hand_m, number_of, pixels

h5py = pytest.importorskip("h5py")

NAMES = {
    "Hand": "wrist",
    "ThumbKnuckle": "thumb_cmc",
    "ThumbIntermediateBase": "thumb_mcp",
    "ThumbIntermediateTip": "thumb_ip",
    "ThumbTip": "thumb_tip",
} | {
    f"{theirs}Finger{part}": f"{ours}_{joint}"
    for theirs, ours in (
        ("Index", "index"),
        ("Middle", "middle"),
        ("Ring", "ring"),
        ("Little", "pinky"),
    )
    for part, joint in (
        ("Knuckle", "mcp"),
        ("IntermediateBase", "pip"),
        ("IntermediateTip", "dip"),
        ("Tip", "tip"),
    )
}


def test_every_measured_joint_is_a_transform_at_its_place(write, export):
    write(Take(seen={Side.RIGHT: range(12), Side.LEFT: range(12)}))
    code, said, out = export(form="egodex")
    assert code == 0, said
    with h5py.File(out / "0.hdf5") as file:
        assert len(file["transforms"]) == 2 * 21 + 1 and len(file["confidences"]) == 2 * 21
        for side in (Side.RIGHT, Side.LEFT):
            for name, joint in NAMES.items():
                found = file[f"transforms/{side.name.lower()}{name}"][:]
                assert found.shape == (12, 4, 4) and found.dtype == np.float32
                expected = [hand_m(i, side)[HAND21.index(joint)] for i in range(12)]
                np.testing.assert_array_equal(found[:, :3, 3], expected)
                turn = found[:, :3, :3]
                np.testing.assert_allclose(
                    turn @ turn.transpose(0, 2, 1), [np.eye(3)] * 12, atol=1e-5
                )
                assert np.linalg.det(turn) == pytest.approx(1.0, abs=1e-5)
                np.testing.assert_array_equal(found[:, 3], [[0, 0, 0, 1]] * 12)
                assert (file[f"confidences/{side.name.lower()}{name}"][:] == 0.75).all()
        np.testing.assert_array_equal(file["transforms/camera"][:], [np.eye(4)] * 12)
        assert file.attrs["llm_description"] == "wave" and file.attrs["units"] == "m"
        assert "x right, y down, z forward" in file.attrs["frame"]


def test_joints_projected_with_the_intrinsics_are_the_pixels(write, export):
    write(Take())
    _, _, out = export(form="egodex")
    with h5py.File(out / "0.hdf5") as file:
        matrix = file["camera/intrinsic"][:]
        tip = file["transforms/rightIndexFingerTip"][:, :3, 3]
    np.testing.assert_array_equal(
        matrix, [[FOCAL_PX, 0, CENTRE_PX[0]], [0, FOCAL_PX, CENTRE_PX[1]], [0, 0, 1]]
    )
    projected = tip @ matrix.T
    expected = [pixels(hand_m(i, Side.RIGHT))[HAND21.index("index_tip")] for i in range(12)]
    np.testing.assert_allclose(projected[:, :2] / projected[:, 2:], expected, rtol=1e-5)


def test_the_axis_z_points_back_along_the_bone(write, export):
    write(Take())
    _, _, out = export(form="egodex")
    with h5py.File(out / "0.hdf5") as file:
        knuckle = file["transforms/rightIndexFingerKnuckle"][0]
        middle = file["transforms/rightIndexFingerIntermediateBase"][0, :3, 3]
    bone = middle - knuckle[:3, 3]
    np.testing.assert_allclose(-knuckle[:3, 2], bone / np.linalg.norm(bone), atol=1e-5)


def test_a_gap_is_held_without_confidence(write, export):
    inferred = HAND21.index("index_tip")
    write(Take(seen={Side.RIGHT: [2, 3, 8, 9, 10, 11]}, occluded=[inferred]))
    _, _, out = export(form="egodex")
    with h5py.File(out / "0.hdf5") as file:
        wrist = file["transforms/rightHand"][:, 0, 3]
        confidence = file["confidences/rightHand"][:]
        assert not file["confidences/rightIndexFingerTip"][:].any()
        assert not any(name.startswith("left") for name in file["transforms"])
    shown = [2, 2, 2, 3, 3, 3, 3, 3, 8, 9, 10, 11]
    np.testing.assert_array_equal(wrist, [hand_m(i, Side.RIGHT)[0, 0] for i in shown])
    assert np.flatnonzero(confidence == 0).tolist() == [0, 1, 4, 5, 6, 7]


def test_each_episode_has_its_video_and_appending_numbers_on(write, export, tmp_path):
    marks = [(FIRST_NS, FIRST_NS + 4 * PERIOD_NS), (FIRST_NS + 6 * PERIOD_NS, None)]
    write(Take(marks=marks))
    export(form="egodex")
    later = [stamp + 10**12 for stamp in Take().stamps_ns]
    write(Take(stamps_ns=later), "take2")
    code, said, out = export("--append", form="egodex")
    assert code == 0 and "2 episodes were in the dataset before" in said
    assert sorted(path.name for path in out.iterdir()) == [
        *("0.hdf5", "0.mp4", "1.hdf5", "1.mp4", "2.hdf5", "2.mp4")
    ]
    with av.open(str(out / "1.mp4")) as container:
        shown = [number_of(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    assert shown == list(range(6, 12))
    with h5py.File(out / "1.hdf5") as file:
        assert file["stamp_ns"][:].tolist() == [FIRST_NS + i * PERIOD_NS for i in range(6, 12)]
    code, said, _ = export("--append", "--fps", "15", form="egodex")
    assert code == 2 and "has 30 frames per second: use --fps 30" in said


def test_hands_without_metres_make_no_episode(write, export):
    write(Take(metric=False))
    code, said, out = export(form="egodex")
    assert code == 1 and "no hand in it has a pose in metres" in said and "docs/3d.md" in said
    assert not out.exists()


def test_files_of_another_origin_are_not_mixed_with(write, export, tmp_path):
    (tmp_path / "dataset").mkdir()
    with h5py.File(tmp_path / "dataset" / "0.hdf5", "w") as file:
        file["transforms/camera"] = np.zeros((1, 4, 4))
    write(Take())
    code, said, out = export("--append", form="egodex")
    assert code == 2 and "was not written by `vitpose_ros export egodex`" in said
    assert [path.name for path in out.iterdir()] == ["0.hdf5"]
