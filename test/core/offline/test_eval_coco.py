"""`vitpose_ros eval` on COCO files, against pycocotools' own evaluation of the same files."""

from __future__ import annotations

import contextlib
import io
import json
from itertools import pairwise

import numpy as np
import pytest

from vitpose_ros.cli.main import main
from vitpose_ros.evaluate.skeletons import WHOLE_BODY_PARTS
from vitpose_ros.layouts import COCO17, COCO_WHOLEBODY133, HALPE136, HAND21

pycocotools = pytest.importorskip("pycocotools.coco")

FIELDS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
STARTS = (0, 17, 23, 91, 112, 133)


def category(layout=COCO17, name="person"):
    return {"id": 1, "name": name, "keypoints": list(layout.joints)}


def truth_of(layout, seed=0, images=12):
    """Images with up to three objects of all sizes; some joints unlabelled, some objects crowds."""
    rng = np.random.default_rng(seed)
    annotations = []
    for image in range(images):
        for _ in range(rng.integers(0, 4)):
            side = float(rng.choice([20, 60, 150]))
            corner = rng.uniform(0, 400, 2)
            uv = corner + rng.uniform(0, side, (len(layout), 2))
            v = rng.choice([0, 1, 2], len(layout), p=[0.2, 0.2, 0.6])
            crowd = int(rng.random() < 0.1)
            v = np.zeros_like(v) if crowd or rng.random() < 0.1 else v
            annotations.append(
                {
                    "id": 100 + len(annotations),
                    "image_id": 7 * image,
                    "category_id": 1,
                    "keypoints": np.column_stack([uv * (v > 0)[:, None], v]).ravel().tolist(),
                    "num_keypoints": int((v > 0).sum()),
                    "bbox": [*corner.tolist(), side, side],
                    "area": 0.6 * side**2,
                    "iscrowd": crowd,
                }
            )
    return {
        "images": [{"id": 7 * n, "file_name": f"{n:06d}.jpg"} for n in range(images)][::-1],
        "annotations": annotations,
        "categories": [category(layout)],
    }


def results_of(truth, seed=1):
    """Most objects found, more or less well, some twice, and some that are none."""
    rng = np.random.default_rng(seed)
    results = []
    for one in truth["annotations"]:
        for _ in range(rng.choice([0, 1, 2], p=[0.1, 0.8, 0.1])):
            table = np.array(one["keypoints"]).reshape(-1, 3)
            off = rng.normal(0, rng.choice([0.005, 0.03, 0.2]) * one["bbox"][2], (len(table), 2))
            anywhere = rng.uniform(0, 400) * (rng.random() < 0.1)
            table = np.column_stack([table[:, :2] + off + anywhere, np.ones(len(table))])
            table[rng.random(len(table)) < 0.05] = 0  # joints that were not found
            results.append(
                {
                    "image_id": one["image_id"],
                    "category_id": 1,
                    "keypoints": table.ravel().tolist(),
                    "score": round(float(rng.random()), 1),  # with ties
                }
            )
    rng.shuffle(results)
    return results


def official(truth, results, sigmas):
    """What pycocotools says, on files."""
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        ours = pycocotools.COCO(str(truth))
        evaluation = COCOeval(ours, ours.loadRes(str(results)), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats.tolist()


def write(path, content):
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def evaluated(tmp_path, capsys):
    """``evaluated(found, truth, *words)``: the exit code, what was said, and the JSON."""

    def run(found, truth, *words, how="--truth"):
        out = tmp_path / "figures.json"
        code = main(["eval", str(found), how, str(truth), "--json", str(out), *words])
        said = capsys.readouterr()
        return code, said.out + said.err, json.loads(out.read_text()) if out.exists() else None

    return run


def ten(result, part):
    figures = list(result["parts"][part]["figures"].values())[:10]
    return [-1.0 if one["value"] is None else one["value"] for one in figures]


@pytest.mark.parametrize("layout", [COCO17, HAND21])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ap_and_ar_are_those_of_pycocotools(evaluated, tmp_path, layout, seed):
    content = truth_of(layout, seed)
    truth = write(tmp_path / "truth.json", content)
    found = write(tmp_path / "found.json", results_of(content, seed))
    code, said, result = evaluated(found, truth)
    assert code == 0, said
    expected = official(truth, found, layout.sigmas)
    assert ten(result, layout.name) == pytest.approx(expected, abs=1e-12)
    assert 0.05 < expected[0] < 0.95 and max(expected[3:5]) > 0  # the case says something
    counted = [one for one in content["annotations"] if one["num_keypoints"] and not one["iscrowd"]]
    figures = result["parts"][layout.name]["figures"]
    assert figures["ap"]["count"] == len(counted)
    assert figures["apl"]["count"] == sum(one["area"] > 96**2 for one in counted)


def test_each_part_of_the_whole_body_is_that_of_pycocotools(evaluated, tmp_path):
    whole = truth_of(COCO_WHOLEBODY133, 3)
    found = results_of(whole, 3)
    for one in whole["annotations"][::4]:  # somebody whose hand is not labelled
        table = np.array(one["keypoints"]).reshape(-1, 3)
        table[91:112] = 0
        one["keypoints"] = table.ravel().tolist()
    for one in found[::5]:  # no left hand was found
        table = np.array(one["keypoints"]).reshape(-1, 3)
        table[91:112] = 0
        one["keypoints"] = table.ravel().tolist()

    def spread(one):
        numbers = one["keypoints"]
        pieces = zip(FIELDS, pairwise(STARTS), strict=True)
        parts = {field: numbers[3 * a : 3 * b] for field, (a, b) in pieces}
        return {**one, **parts}

    truth_path = write(
        tmp_path / "truth.json",
        {
            **whole,
            "annotations": [spread(one) for one in whole["annotations"]],
            "categories": [category(COCO17)],
        },
    )
    found_path = write(tmp_path / "found.json", [spread(one) for one in found])
    code, said, result = evaluated(found_path, truth_path)
    assert code == 0, said
    assert list(result["parts"]) == [part.name for part in WHOLE_BODY_PARTS]
    for part in WHOLE_BODY_PARTS:
        piece = slice(3 * part.first, 3 * (part.first + len(part.layout)))
        annotations = []
        for one in whole["annotations"]:
            numbers = one["keypoints"][piece]
            labelled = sum(v > 0 for v in numbers[2::3])
            annotations.append({**one, "keypoints": numbers, "num_keypoints": labelled})
        expected = official(
            write(tmp_path / "part.json", {**whole, "annotations": annotations}),
            write(
                tmp_path / "part_found.json",
                [
                    # A part has the box of the whole body.
                    {**one, "keypoints": one["keypoints"][piece], "bbox": _box(one["keypoints"])}
                    for one in found
                    if any(one["keypoints"][piece])
                ],
            ),
            part.layout.sigmas,
        )
        assert ten(result, part.name) == pytest.approx(expected, abs=1e-12), part.name


def _box(numbers):
    u, v = numbers[0::3], numbers[1::3]
    return [min(u), min(v), max(u) - min(u), max(v) - min(v)]


def annotated(content, layout=COCO17):
    """As annotate writes it: its own numbers for images, file names as in the truth."""
    names = {image["id"]: image["file_name"] for image in content["images"]}
    numbers = {name: n for n, name in enumerate(sorted(names.values()), 1)}
    return {
        "images": [{"id": n, "file_name": f"folder/{name}"} for name, n in numbers.items()],
        "annotations": [
            {**one, "image_id": numbers[names[one["image_id"]]], "score": 0.5}
            for one in content["annotations"]
            if one["num_keypoints"]
        ],
        "categories": [{**category(layout), "name": layout.name}],
    }


def test_images_are_recognised_by_their_file_names(evaluated, tmp_path):
    content = truth_of(COCO17)
    truth = write(tmp_path / "truth.json", content)
    found = annotated(content)
    gone = found["images"].pop(3)
    found["annotations"] = [one for one in found["annotations"] if one["image_id"] != gone["id"]]
    found["images"].append({"id": 99, "file_name": "another.jpg"})
    code, said, result = evaluated(write(tmp_path / "found.json", found), truth)
    assert code == 0 and "images: 11 of 12 of the truth are in both, by file name" in said
    assert result["images_only_in_found"] == 1
    figures = result["parts"]["coco17"]["figures"]
    assert figures["epe_px"]["value"] == pytest.approx(0.0, abs=1e-9)
    assert figures["found"]["value"] == 1.0 and figures["found"]["share"] < 1
    assert figures["ap"]["value"] < 1  # what is in an image that was not processed is missed


def test_names_of_hand_datasets_are_understood(evaluated, tmp_path):
    names = ["wrist"]
    for finger in ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger"):
        names += [f"{finger}{joint}" for joint in range(1, 5)]
    content = truth_of(HAND21)
    content["categories"] = [{"id": 1, "name": "hand", "keypoints": names}]
    code, said, result = evaluated(
        write(tmp_path / "found.json", annotated(content, HAND21)),
        write(tmp_path / "truth.json", content),
    )
    assert code == 0, said
    assert result["parts"]["hand21"]["figures"]["ap"]["value"] == pytest.approx(1.0)


def test_hands_of_their_own_are_the_hands_of_a_whole_body(evaluated, tmp_path):
    """Truth: a whole body. Found: one hand21 of each side, as MediaPipe's networks give."""
    rng = np.random.default_rng(0)
    uv = rng.uniform(100, 300, (133, 2))
    numbers = np.column_stack([uv, np.full(133, 2)])
    spread = {
        name: numbers[a:b].ravel().tolist()
        for name, (a, b) in zip(FIELDS, pairwise(STARTS), strict=True)
    }
    one = {"id": 1, "image_id": 1, "category_id": 1, "area": 30000, "bbox": [100, 100, 200, 200]}
    images = [{"id": 1, "file_name": "a.jpg"}]
    truth = {
        "images": images,
        "annotations": [{**one, **spread, "iscrowd": 0}],
        "categories": [category()],
    }
    hands = [
        {
            **one,
            "id": n,
            "keypoints": numbers[a : a + 21].ravel().tolist(),
            "side": side,
            "score": 1,
        }
        for n, (side, a) in enumerate((("left", 91), ("right", 112)))
    ]
    found = {"images": images, "annotations": hands, "categories": [category(HAND21)]}
    code, said, result = evaluated(
        write(tmp_path / "found.json", found), write(tmp_path / "truth.json", truth)
    )
    assert code == 0 and list(result["parts"]) == ["lefthand", "righthand"]
    for part in result["parts"].values():
        assert part["figures"]["ap"]["value"] == pytest.approx(1.0)
        assert part["figures"]["epe_px"]["value"] == 0.0
        assert part["figures"]["false"]["value"] == 0.0
    assert "body: not compared, since" in said


def test_every_part_of_a_whole_body_is_found_in_halpes_by_its_name(evaluated, tmp_path):
    numbers = np.column_stack([np.random.default_rng(0).uniform(100, 300, (133, 2)), [2] * 133])
    spread = {
        name: numbers[a:b].ravel().tolist()
        for name, (a, b) in zip(FIELDS, pairwise(STARTS), strict=True)
    }
    one = {"id": 1, "image_id": 1, "category_id": 1, "area": 30000, "bbox": [100, 100, 200, 200]}
    images = [{"id": 1, "file_name": "a.jpg"}]
    truth = {
        "images": images,
        "annotations": [{**one, **spread, "iscrowd": 0}],
        "categories": [category()],
    }
    halpe = np.full((136, 3), 2.0)
    for row, joint in zip(numbers, COCO_WHOLEBODY133.joints, strict=True):
        halpe[HALPE136.index(joint)] = row
    body = {**one, "keypoints": halpe.ravel().tolist(), "score": 1}
    found = {"images": images, "annotations": [body], "categories": [category(HALPE136)]}
    code, said, result = evaluated(
        write(tmp_path / "found.json", found), write(tmp_path / "truth.json", truth)
    )
    assert code == 0, said
    assert list(result["parts"]) == [part.name for part in WHOLE_BODY_PARTS]
    for part in result["parts"].values():
        assert part["figures"]["epe_px"]["value"] == 0.0
        assert part["figures"]["ap"]["value"] == pytest.approx(1.0)


def broken(change, what="truth"):
    """A pair of files of which one is changed."""

    def make(folder):
        content = truth_of(COCO17)
        content["annotations"] = [one for one in content["annotations"] if one["num_keypoints"]]
        found = annotated(content)
        given = {"truth": content, "found": found}
        given[what] = change(json.loads(json.dumps(given[what])))
        return write(folder / "found.json", given["found"]), write(
            folder / "truth.json", given["truth"]
        )

    return make


def first(change):
    def of_first(content):
        change(content["annotations"][0])
        return content

    return of_first


def renamed(content):
    for image in content["images"]:
        image["file_name"] += ".png"
    return content


def without(key):
    return lambda content: {name: value for name, value in content.items() if name != key}


def with_categories(*categories):
    return lambda content: {**content, "categories": list(categories)}


@pytest.mark.parametrize(
    ("make", "reason", "remedy"),
    [
        (broken(without("annotations")), "the key 'annotations' is missing", "Accepted are"),
        (broken(lambda content: 7), "is no file of COCO keypoints", "Accepted are"),
        (broken(lambda content: {**content, "annotations": []}), "no annotated skeleton", ""),
        (broken(with_categories({"id": 1, "name": "person"})), "no category names", "add them"),
        (
            broken(with_categories(category() | {"keypoints": ["a", "b"]})),
            "category 'person' has 2 keypoints, a, b",
            "Known are aic14",
        ),
        (
            broken(with_categories(category() | {"keypoints": [*COCO17.joints[::-1]]})),
            "they are no layout",
            "in another order: coco17",
        ),
        (
            broken(first(lambda one: one["keypoints"].pop())),
            "annotation 100 has 50 numbers",
            "expected 51: x, y and v",
        ),
        (
            broken(first(lambda one: one["keypoints"].__setitem__(0, float("nan")))),
            "annotation 100 has NaN",
            "is 0, 0, 0",
        ),
        (broken(first(lambda one: one.update(image_id=5))), "is of image 5", "not among"),
        (broken(first(lambda one: one.pop("area"))), "has no area", "--box-area"),
        (broken(first(lambda one: one.update(bbox=[1, 2]))), "expected x, y, width", "bbox"),
        (broken(first(lambda one: one.pop("score")), "found"), "has no score", "add one to each"),
        (broken(renamed, "found"), "no image is in both: by file name", "000000.jpg"),
        (
            broken(with_categories(category(HAND21)), "found"),
            "annotation 100 has 51 numbers",
            "expected 63",
        ),
        (
            broken(lambda content: [{"image_id": 3, "category_id": 1}], "found"),
            "the key 'keypoints' is missing",
            "lists of results",
        ),
        (
            broken(
                lambda content: [
                    {"image_id": 3, "category_id": 1, "keypoints": [1] * 51, "score": 1}
                ],
                "found",
            ),
            "1 images, the first with id 3, are not among those",
            "belong to other annotations",
        ),
    ],
    ids=str,
)
def test_files_that_cannot_be_used_are_refused_with_a_remedy(
    evaluated, tmp_path, make, reason, remedy
):
    code, said, result = evaluated(*make(tmp_path))
    assert code == 1 and result is None
    assert reason in said and remedy in said
    assert "Traceback" not in said and "--debug" not in said


def test_layouts_without_a_common_joint_are_told(evaluated, tmp_path):
    body, hands = truth_of(COCO17), truth_of(HAND21)
    code, said, result = evaluated(
        write(tmp_path / "found.json", annotated(hands, HAND21)),
        write(tmp_path / "truth.json", body),
    )
    assert code == 1 and result is None
    assert "no joint in common" in said and "coco17" in said and "hand21" in said


def test_areas_come_from_boxes_on_request(evaluated, tmp_path):
    content = truth_of(COCO17)
    for one in content["annotations"]:
        del one["area"]
    found = write(tmp_path / "found.json", results_of(content))
    code, said, result = evaluated(found, write(tmp_path / "truth.json", content), "--box-area")
    assert code == 0, said
    for one in content["annotations"]:
        one["area"] = 0.53 * one["bbox"][2] * one["bbox"][3]
    expected = official(write(tmp_path / "areas.json", content), found, COCO17.sigmas)
    assert ten(result, "coco17") == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{found}"], "one of the arguments --truth --against is required"),
        (["{found}", "--truth", "{truth}", "--against", "{found}"], "not allowed with"),
        (["{found}", "--truth", "{truth}", "--plot", "a.jpg"], "ends in .png"),
    ],
    ids=str,
)
def test_a_command_that_cannot_be_meant_is_a_usage_error(capsys, tmp_path, words, said):
    found, truth = broken(lambda content: content)(tmp_path)
    try:
        code = main(["eval", *(word.format(found=found, truth=truth) for word in words)])
    except SystemExit as exit_:  # argparse's own
        code = exit_.code
    assert code == 2 and said in capsys.readouterr().err


def test_a_list_of_results_needs_its_annotations(evaluated, tmp_path):
    content = truth_of(COCO17)
    results = write(tmp_path / "results.json", results_of(content))
    code, said, _ = evaluated(results, results)
    assert code == 1 and "give the annotations that they belong to with --truth" in said


def test_without_pycocotools_the_way_to_it_is_told(evaluated, tmp_path, monkeypatch):
    found, truth = broken(lambda content: content)(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "pycocotools.coco", None)
    code, said, _ = evaluated(found, truth)
    assert code == 1 and "pip install" in said and "pycocotools" in said


def test_figures_that_cannot_be_written_leave_nothing(capsys, tmp_path):
    found, truth = broken(lambda content: content)(tmp_path)
    (tmp_path / "there").write_text("a file")
    code = main(
        ["eval", str(found), "--truth", str(truth), "--json", str(tmp_path / "there" / "a.json")]
    )
    assert code == 1 and "cannot be written" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["found.json", "there", "truth.json"]


def test_real_annotations_are_read(evaluated, test_data):
    """COCO, COCO-WholeBody and OneHand10K, each against itself."""
    for name, parts in (
        ("coco_785.json", ["coco17"]),
        ("coco_wholebody_785.json", ["body", "feet", "face", "righthand", "wholebody"]),
        ("onehand10k.json", ["hand21"]),
    ):
        code, said, result = evaluated(test_data / name, test_data / name, how="--against")
        assert code == 0 and list(result["parts"]) == parts, said
        for part in result["parts"].values():
            assert part["figures"]["difference_px"]["value"] == 0.0
