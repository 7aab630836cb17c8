"""`models add`: what a file is taken for, what is measured, asked and written."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from vitpose_ros.cli.main import main
from vitpose_ros.models.add.choose import NeedsOptionError, UnknownKindError
from vitpose_ros.models.add.run import Request, add_model, default_name
from vitpose_ros.models.catalogue import own_catalogue
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore, State

sys.path.insert(0, str(Path(__file__).parents[2]))
import added_networks as own
import onestage_networks as nets

pytest.importorskip("onnx", reason="the tests' own networks need it: pip install onnx")

GRID = np.stack([np.arange(17) % 3 - 1.0, np.arange(17) / 16 - 0.5], axis=1)
PERSON = nets.Answer(GRID * (8, 30) + (32, 28), np.full(17, 0.7), 0.8)
SQUARE = (1, 3, 64, 64)


class Bench:
    """A store of its own, and `add` with what it told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "store"
        self.said: list[str] = []

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(self.said)

    def add(self, path: Path, name: str = "mine", **options):
        self.said.clear()
        store = ModelStore(self.root)
        request = Request(path, name, self.folder / f"{name}.png", **options)
        return add_model(store, own_catalogue(self.root), request, self.said.append)

    def entry(self, name: str = "mine"):
        """As the node finds it."""
        return ModelStore(self.root).get(name).entry

    def photograph(self, name: str = "photo.png", at=(150.0, 130.0), colour=(0, 0, 255)) -> Path:
        """A soft spot of light on black."""
        rows, columns = np.mgrid[0:256, 0:320]
        light = np.exp(-((columns - at[0]) ** 2 + (rows - at[1]) ** 2) / (2 * 9.0**2))
        cv2.imwrite(str(self.folder / name), light[..., None] * np.array(colour))
        return self.folder / name


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


# --- recognition

ONE_STAGE = [(form, "body_keypoints", "onestage") for form in nets.FORMS]


@pytest.mark.parametrize(("form", "task", "architecture"), ONE_STAGE)
def test_every_one_stage_format_is_told_from_its_outputs_and_finds_its_person(
    bench, form, task, architecture
):
    added = bench.add(nets.write(bench.folder / "net.onnx", form, [PERSON]), layout="coco17")
    entry = bench.entry()
    assert (entry.task, entry.architecture, entry.layout.name) == (task, architecture, "coco17")
    assert (entry.input_width, entry.input_height) == (64, 64)
    assert added.trial.found == 1 and "17 of 17 joints" in added.trial.text
    assert cv2.imread(str(bench.folder / "mine.png")) is not None


DETECTORS = [
    ("yolox", 80, {}, "person_detector", "yolox"),
    ("yolox", 1, {"task": "hand_detector"}, "hand_detector", "yolox"),
    ("rtmdet", 1, {"task": "person_detector"}, "person_detector", "rtmdet"),
    ("rtmdet", 2, {"settings": {"left_class": 0, "right_class": 1}, "task": "hand_detector"},
     "hand_detector", "rtmdet"),
    ("mmdeploy", 1, {"task": "person_detector", "architecture": "rtmdet"},
     "person_detector", "rtmdet"),
    ("detr", 80, {"settings": {"normalise": "imagenet"}}, "person_detector", "detr"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "classes", "options", "task", "architecture"), DETECTORS)
def test_every_detector_is_told_from_its_outputs_and_finds_its_box(
    bench, form, classes, options, task, architecture
):
    path = own.constants(bench.folder / "net.onnx", SQUARE, own.detector(form, classes))
    added = bench.add(path, **options)
    assert (bench.entry().task, bench.entry().architecture) == (task, architecture)
    assert added.trial.found == 1 and "score 0.90" in added.trial.text


def test_a_detector_of_one_class_may_find_persons_or_hands_and_its_class_names_tell(bench):
    outputs = own.detector("rtmdet")
    path = own.constants(bench.folder / "a.onnx", SQUARE, outputs)
    with pytest.raises(NeedsOptionError, match="give --task") as caught:
        bench.add(path)
    assert set(caught.value.questions) == {"task"}
    path = own.constants(bench.folder / "b.onnx", SQUARE, outputs, {"names": "{0: 'Hand'}"})
    bench.add(path)
    assert bench.entry().task == "hand_detector"
    assert "its classes are hand" in bench.text


def test_outputs_that_fit_two_architectures_are_asked_for_with_a_picture_of_each(bench):
    path = own.constants(bench.folder / "net.onnx", SQUARE, own.detector("mmdeploy"))
    with pytest.raises(NeedsOptionError) as caught:
        bench.add(path, task="person_detector")
    assert set(caught.value.questions) == {"architecture"}
    assert "yolox" in str(caught.value) and "rtmdet" in str(caught.value)
    assert len(caught.value.tiles) == 2
    assert cv2.imread(str(bench.folder / "mine.png")) is not None
    assert not own_catalogue(bench.root).exists() and not (bench.root / "mine").exists()


def test_seventeen_joints_may_be_several_layouts_and_are_asked_for(bench):
    path = nets.write(bench.folder / "net.onnx", "rtmo", [PERSON])
    with pytest.raises(NeedsOptionError, match="--layout") as caught:
        bench.add(path)
    assert "coco17, ap10k17, apt36k17, h36m17" in str(caught.value)
    captions = [caption for caption, _ in caught.value.tiles]
    assert any("--layout coco17" in caption and "17 of 17" in caption for caption in captions)


def test_a_number_of_joints_that_no_layout_has_is_named(bench):
    path = own.constants(bench.folder / "n.onnx", (1, 3, 64, 48), {"o": np.zeros((1, 19, 16, 12))})
    with pytest.raises(ModelError, match=r"joints of bodies, from crops, 19 joints.*no layout has"):
        bench.add(path)


def test_a_file_of_no_kind_gets_the_known_ones_and_the_reason_against_the_one_expected(bench):
    path = own.constants(bench.folder / "net.onnx", (1, 3, 64, 64), {"o": np.zeros((1, 7))})
    with pytest.raises(UnknownKindError, match="no network that is known here") as caught:
        bench.add(path)
    lines = str(caught.value).splitlines()
    assert 10 < len(lines) < 20 and "--architecture" in lines[1]
    assert any(line.startswith("- yolox: (N, 3, H, W) to (N, cells, 5 + cl") for line in lines)
    with pytest.raises(UnknownKindError) as caught:
        bench.add(path, architecture="yolox")
    lines = str(caught.value).splitlines()
    assert lines[1].startswith("- no yolox (person_detector): 'mine' cannot be used as a YOLOX")
    assert lines[2].startswith("- no yolox (hand_detector): ")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"layout": "aic14"}, r"Without the layout aic14, it fits onestage .*for 14 joints"),
        ({"layout": "hand21"}, r"Without the layout hand21, it fits onestage .body_keypoints"),
        ({"task": "hand_keypoints"}, "Without --task and --architecture, it fits onestage"),
        ({"architecture": "yolox"}, "Without --task and --architecture, it fits onestage"),
        ({"architecture": "yolo"}, "unknown architecture 'yolo'; known are yolox, rtmdet, "),
        ({"size": (128, 128), "layout": "coco17"}, "has an input of 64x64 px; leave --input"),
        (
            {"layout": "coco17", "settings": {"colour": 3}},
            r"Without the settings given, it fits .* unknown settings colour",
        ),
    ],
)
def test_what_does_not_fit_what_the_user_says_is_refused_with_the_reason(bench, options, text):
    path = nets.write(bench.folder / "net.onnx", "rtmo", [PERSON])
    with pytest.raises(ModelError, match=text):
        bench.add(path, **options)
    assert not own_catalogue(bench.root).exists()


# --- inputs and outputs with traps


def test_outputs_that_are_not_finite_are_refused(bench):
    outputs = {"heatmaps": np.full((1, 133, 64, 48), np.nan)}
    path = own.constants(bench.folder / "net.onnx", (1, 3, 256, 192), outputs)
    with pytest.raises(ModelError, match=r"not finite .* in heatmaps"):
        bench.add(path, settings={"pixels": "imagenet", "codec": "udp"})


def test_whole_number_pixels_are_taken(bench):
    dets = nets.outputs("rtmo", [PERSON])
    path = own.constants(bench.folder / "net.onnx", SQUARE, dets, kind="UINT8")
    assert bench.add(path, layout="coco17").trial.found == 1


def test_a_file_for_a_batch_of_four_is_refused_with_a_sentence(bench):
    outputs = {name: np.repeat(v, 4, axis=0) for name, v in nets.outputs("rtmo", [PERSON]).items()}
    path = own.constants(bench.folder / "net.onnx", (4, 3, 64, 64), outputs)
    with pytest.raises(ModelError, match=r"batch of 4. Export it for a batch of 1"):
        bench.add(path, layout="coco17")


def test_a_file_that_takes_any_size_gets_the_usual_one_or_is_asked_for(bench):
    rows = np.zeros((1, 300, 57))
    path = own.constants(bench.folder / "a.onnx", (1, 3, "h", "w"), {"o": rows})
    bench.add(path, layout="coco17")
    assert (bench.entry().input_width, bench.entry().input_height) == (640, 640)
    assert "the usual one, since the file takes any" in bench.text
    maps = {"heatmaps": np.zeros((1, 133, 64, 48))}
    path = own.constants(bench.folder / "b.onnx", (1, 3, "h", "w"), maps)
    with pytest.raises(ModelError, match=r"any size: give the one .* --input WIDTHxHEIGHT"):
        bench.add(path, "other")
    with pytest.raises(NeedsOptionError, match="--pixels"):
        bench.add(path, "other", size=(192, 256))


def test_a_yolo_pose_of_thirty_classes_is_no_detector_of_eighty(bench):
    bench.add(own.constants(bench.folder / "n.onnx", SQUARE, own.detector("yolox", 80)))
    assert bench.entry().architecture == "yolox"


# --- measurements


@pytest.mark.parametrize("lattice", ["udp", "classic"])
def test_the_codec_is_measured_with_mirrored_crops(bench, lattice):
    path = own.spots(bench.folder / "net.onnx", lattice, gain=1 / 255)
    box = (100.0, 60.0, 100.0, 140.0)
    bench.add(path, layout="coco17", image=bench.photograph(), box=box, settings={"pixels": "rgb"})
    assert bench.entry().settings["codec"] == lattice
    assert "mirrored crops move 68 joints" in bench.text
    other = {"udp": "classic", "classic": "udp"}[lattice]
    with pytest.raises(ModelError, match=f"does not have the codec '{other}'.*--codec {lattice}"):
        bench.add(
            path, "second", layout="coco17", image=bench.photograph(), box=box,
            settings={"pixels": "rgb", "codec": other},
        )  # fmt: skip


def test_the_pixels_are_measured_where_one_choice_is_clearly_the_best(bench):
    path = own.spots(bench.folder / "net.onnx", "classic", gain=1 / 255)  # red, 0 .. 255
    box = (100.0, 60.0, 100.0, 140.0)
    added = bench.add(path, layout="coco17", image=bench.photograph(), box=box)
    assert bench.entry().settings["pixels"] == "rgb"
    assert "pixels rgb: measured on one image (photo.png)" in bench.text
    assert "17 of 17 joints" in added.trial.text


def test_pixels_are_never_told_from_a_rendered_image(bench):
    path = own.spots(bench.folder / "net.onnx", "classic", gain=1 / 255)
    with pytest.raises(NeedsOptionError, match=r"pixels cannot be told .*a drawn figure"):
        bench.add(path, layout="coco17", settings={"codec": "classic"})


def test_logits_are_told_from_heat(bench):
    path = own.spots(bench.folder / "net.onnx", "classic", gain=12 / 255, offset=-8.0)
    box = (100.0, 60.0, 100.0, 140.0)
    bench.add(path, layout="coco17", image=bench.photograph(), box=box, settings={"pixels": "rgb"})
    assert bench.entry().settings == {
        "codec": "integral", "stride": 4, "pixels": "rgb", "logits": True,
    }  # fmt: skip
    assert "the maps go down to -8.0" in bench.text


def test_a_network_with_its_channels_last_is_taken_like_any_other(bench):
    path = own.spots(bench.folder / "net.onnx", "udp", last=True)
    box = (100.0, 60.0, 100.0, 140.0)
    bench.add(path, layout="coco17", image=bench.photograph(), box=box, settings={"pixels": "rgb"})
    assert bench.entry().settings["codec"] == "udp"


def test_tall_curves_are_scaled_down_as_rtmw_is(bench):
    for height, settings in ((1.0, {}), (7.0, {"score_scale": 10})):
        curves = {
            "simcc_x": np.zeros((1, 133, 384)),
            "simcc_y": np.zeros((1, 133, 512)),
        }
        for values in curves.values():
            values[..., 200] = height
        name = f"m{height:.0f}"
        path = own.constants(bench.folder / f"{name}.onnx", (1, 3, 256, 192), curves)
        bench.add(path, name)
        assert bench.entry(name).settings == settings


@pytest.mark.parametrize(("joints", "layout"), [(26, "halpe26"), (136, "halpe136")])
def test_halpes_layouts_are_told_by_their_numbers_of_joints(bench, joints, layout):
    curves = {"simcc_x": np.zeros((1, joints, 384)), "simcc_y": np.zeros((1, joints, 512))}
    for values in curves.values():
        values[..., 200] = 1.0
    path = own.constants(bench.folder / "net.onnx", (1, 3, 256, 192), curves)
    bench.add(path)
    assert bench.entry().layout.name == layout


# --- metadata


def test_what_the_file_says_of_itself_is_used(bench):
    said = {
        "imgsz": "[64, 64]",
        "names": "{0: 'person'}",
        "kpt_shape": "[17, 3]",
        "license": "AGPL-3.0 License (https://example.org)",
    }
    rows = nets.outputs("yolo", [PERSON])
    path = own.constants(bench.folder / "net.onnx", (1, 3, "h", "w"), rows, said)
    bench.add(path, layout="coco17")
    entry = bench.entry()
    assert (entry.input_width, entry.input_height) == (64, 64)
    assert entry.licence.name == "AGPL-3.0 License" and entry.licence.url == ""


@pytest.mark.parametrize(
    ("said", "settings"),
    [
        ({"mean": "[0.485, 0.456, 0.406]", "std": "[0.229, 0.224, 0.225]"}, {"pixels": "imagenet"}),
        (
            {"mean": "[103.53, 116.28, 123.675]", "std": "[57.375, 57.12, 58.395]"},
            {"pixels": "imagenet-bgr"},
        ),
        (
            {"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "Normalized_0_1"},
            {"pixels": "bgr01"},
        ),
        (
            {"mean": "[0.5, 0.5, 0.5]", "std": "[0.25, 0.25, 0.25]", "channel_order": "rgb"},
            {"pixels": "rgb", "mean": [127.5] * 3, "std": [63.75] * 3},
        ),
        ({"mean": "[0.5, 0.5, 0.5]", "std": "[0.25, 0.25, 0.25]"}, {}),
        ({"mean": "a lot", "std": "[1]"}, {}),
    ],
)
def test_the_means_that_a_file_carries_are_read(bench, said, settings):
    from vitpose_ros.models.add.metadata import read_metadata

    path = own.constants(bench.folder / "n.onnx", SQUARE, {"o": np.zeros((1, 2))}, said)
    assert read_metadata(path).settings == settings


# --- the catalogue and the store


def test_the_entry_is_found_by_every_store_of_that_folder_and_its_file_is_recorded(bench):
    bench.add(nets.write(bench.folder / "Net 1.onnx", "rtmo", [PERSON]), layout="coco17")
    store = ModelStore(bench.root)
    status = store.status(store.catalogue.get("mine"))
    assert status.state is State.VERIFIED
    file = status.entry.files[0]
    assert file.name == "Net_1.onnx" and len(file.sha256) == 64
    assert status.entry.licence.name == "not stated" and not status.entry.verified_here


def test_a_second_entry_is_appended_and_what_was_there_stays(bench):
    path = nets.write(bench.folder / "net.onnx", "rtmo", [PERSON])
    bench.add(path, layout="coco17")
    catalogue = own_catalogue(bench.root)
    catalogue.write_text(
        catalogue.read_text().replace("models:", "# my own\nmodels:"), encoding="utf-8"
    )
    before = catalogue.read_text()
    bench.add(path, "second", layout="coco17")
    assert catalogue.read_text().startswith(before)
    assert {"mine", "second"} <= set(ModelStore(bench.root).catalogue.names())


def test_a_catalogue_that_cannot_be_extended_stays_as_it_is_and_the_entry_is_shown(bench):
    catalogue = own_catalogue(bench.root)
    catalogue.parent.mkdir()
    catalogue.write_text("models: {}\nformat: 1\n", encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be appended") as caught:
        bench.add(nets.write(bench.folder / "n.onnx", "rtmo", [PERSON]), layout="coco17")
    assert "architecture: onestage" in str(caught.value)
    assert catalogue.read_text() == "models: {}\nformat: 1\n"
    assert [path.name for path in bench.root.iterdir()] == ["models.yaml"]


@pytest.mark.parametrize(
    ("name", "file", "text"),
    [
        ("mediapipe-person", "net.onnx", "there is a model 'mediapipe-person' already"),
        ("My Net", "net.onnx", "the name 'My Net' is not valid"),
        ("mine", "absent.onnx", "there is no file"),
        ("mine", "net.pth", "may be a pickle"),
        ("mine", "page.onnx", "is a web page"),
    ],
)
def test_a_name_or_a_file_that_cannot_be_used_is_refused(bench, name, file, text):
    nets.write(bench.folder / "net.onnx", "rtmo", [PERSON])
    (bench.folder / "net.pth").write_bytes(b"x")
    (bench.folder / "page.onnx").write_text("<html>sign in</html>", encoding="utf-8")
    with pytest.raises(ModelError, match=text):
        bench.add(bench.folder / file, name, layout="coco17")


def test_a_name_is_made_from_the_files(bench):
    assert default_name(Path("/x/My Net_v2.onnx")) == "my-net_v2"
    assert default_name(Path("/x/___.onnx")) == "mine"


def test_weights_beside_the_file_are_reported_and_nothing_is_kept(bench):
    import onnx

    path = nets.write(bench.folder / "net.onnx", "rtmo", [PERSON])
    onnx.save_model(
        onnx.load(path), path, save_as_external_data=True, location="net.data", size_threshold=0
    )
    with pytest.raises(ModelError, match="weights in a file beside it"):
        bench.add(path, layout="coco17")
    assert not (bench.root / "mine").exists() and not own_catalogue(bench.root).exists()


# --- the command


def test_the_command_ends_with_the_launch_that_uses_the_model(bench, capsys, monkeypatch):
    monkeypatch.delenv("VITPOSE_ROS_CATALOGUE", raising=False)
    path = nets.write(bench.folder / "net.onnx", "rtmo", [PERSON])
    words = ["models", "add", str(path), "my-pose", "--store", str(bench.root)]
    words += ["--picture", str(bench.folder / "p.png")]
    assert main(words) == 1
    asked = capsys.readouterr().err
    assert "nothing was added yet" in asked and "\n  --layout  " in asked
    assert main([*words, "--layout", "coco17", "--licence", "MIT"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("my-pose is ready. Run it with:\n")
    assert out.rstrip().endswith("view:=third_person body_model:=my-pose")
    assert main(["models", "list", "--store", str(bench.root)]) == 0
    assert "my-pose" in capsys.readouterr().out


def test_the_users_own_catalogue_gets_the_entry_if_there_is_one(bench, capsys, monkeypatch):
    catalogue = bench.folder / "mine.yaml"
    path = nets.write(bench.folder / "net.onnx", "rtmo", [PERSON])
    monkeypatch.setenv("VITPOSE_ROS_CATALOGUE", str(catalogue))
    words = ["models", "add", str(path), "my-pose", "--store", str(bench.root)]
    words += ["--picture", str(bench.folder / "p.png"), "--layout", "coco17"]
    assert main(words) == 0
    assert "my-pose:" in catalogue.read_text() and not own_catalogue(bench.root).exists()
