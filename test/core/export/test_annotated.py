"""From a bag and a video of rendered hands, through annotate, to a dataset."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from vitpose_ros.cli.main import main
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.offline.read_skeletons import read_skeletons
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.types import Side

from .conftest import FIRST_NS, PERIOD_NS
from .test_lerobot import info, table

pytestmark = pytest.mark.timeout(180)  # networks are loaded several times


@pytest.fixture(scope="module")
def rendered():
    for name in ("mediapipe-palm-full", "mediapipe-hand-full"):
        try:
            ModelStore().get(name)
        except ModelError as error:
            pytest.skip(str(error))
    scene = Scene("reach", seed=1, width=320, height=240)
    return [
        (FIRST_NS + i * PERIOD_NS, scene.render(0.5 + i * PERIOD_NS * 1e-9).image) for i in range(8)
    ]


@pytest.mark.parametrize("with_input", [False, True], ids=["recording", "with input"])
def test_a_dataset_has_the_joints_that_annotate_found(
    make_bag, rendered, tmp_path, capsys, with_input
):
    bag = make_bag(tmp_path / "take", {"/camera/image_raw": ("raw", "bgr8", rendered)})
    more = ["--with-input"] if with_input else []
    assert main(["annotate", str(bag), "-o", str(tmp_path / "annotated"), *more]) == 0
    words = ["export", "lerobot", str(tmp_path / "annotated"), "-o", str(tmp_path / "dataset")]
    if with_input:
        shutil.rmtree(bag)
    assert main([*words, "--task", "reach", "--units", "px"]) == 0, capsys.readouterr()
    found = read_skeletons(tmp_path / "annotated" / "take").images
    data = table(tmp_path / "dataset")
    assert data["stamp_ns"].tolist() == [stamp for stamp, _ in rendered]
    compared = 0
    for image, values, valid in zip(
        found, data["observation.hand_right"], data["valid.hand_right"], strict=True
    ):
        for one in image.instances:
            if one.side is Side.RIGHT and valid.any():
                uv = values.reshape(21, 2).astype(np.float32)
                np.testing.assert_array_equal(uv[valid], one.keypoints.uv[valid])
                compared += int(valid.sum())
    assert compared > 100
    width = info(tmp_path / "dataset")["features"]["observation.images.camera"]["shape"][1]
    assert width == 320


def test_of_several_cameras_the_one_that_was_annotated_is_exported(
    make_bag, rendered, tmp_path, capsys
):
    small = [(stamp + 1, image[:120, :160].copy()) for stamp, image in rendered]
    topics = {
        "/wrist/image_raw": ("raw", "bgr8", small),
        "/head/image_raw/compressed": ("compressed", "", rendered),
    }
    bag = make_bag(tmp_path / "take", topics)
    annotated = str(tmp_path / "annotated")
    assert main(["annotate", str(bag), "-o", annotated, "--topic", "/head/image_raw"]) == 0
    words = ["export", "lerobot", annotated, "-o", str(tmp_path / "dataset"), "--units", "px"]
    assert main([*words, "--task", "reach", "--camera", "head"]) == 0, capsys.readouterr()
    assert table(tmp_path / "dataset")["stamp_ns"].tolist() == [stamp for stamp, _ in rendered]
    shape = info(tmp_path / "dataset")["features"]["observation.images.head"]["shape"]
    assert shape == [240, 320, 3]


def test_hands_of_a_given_size_are_exported_in_metres(make_bag, rendered, tmp_path, capsys):
    h5py = pytest.importorskip("h5py")
    bag = make_bag(tmp_path / "take", {"/camera/image_raw": ("raw", "bgr8", rendered)})
    annotated, words = str(tmp_path / "annotated"), ["--task", "reach", "-o"]
    assert main(["annotate", str(bag), "-o", annotated, "-p", "hand_size:=0.185"]) == 0
    assert main(["export", "lerobot", annotated, *words, str(tmp_path / "dataset")]) == 0
    data = table(tmp_path / "dataset")
    valid = data["valid.hand_right"]
    points = data["observation.hand_right"].reshape(-1, 21, 3)
    assert valid.mean() > 0.5 and (points[valid][:, 2] > 0.1).all()
    assert main(["export", "egodex", annotated, *words, str(tmp_path / "egodex")]) == 0
    with h5py.File(tmp_path / "egodex" / "0.hdf5") as file:
        wrist = file["transforms/rightHand"][:, :3, 3]
        seen = file["confidences/rightHand"][:] > 0
    np.testing.assert_allclose(wrist[seen], points[seen, 0], atol=1e-6)
    assert seen.any(), capsys.readouterr()
