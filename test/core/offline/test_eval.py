"""`vitpose_ros eval` on skeletons whose figures are known by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.cli.main import main
from vitpose_ros.layouts import AIC14, COCO17, HAND21
from vitpose_ros.offline.write_bag import write_bag
from vitpose_ros.types import JointState, Side


def hand(u=200.0, v=200.0, seed=0):
    """(21, 2) px, with a box of 100 x 80 px."""
    uv = np.random.default_rng(seed).uniform((10, 10), (90, 70), (21, 2))
    uv[0], uv[9], uv[4], uv[20] = (50, 80), (50, 20), (0, 40), (100, 0)
    return uv + np.array((u, v))


def metres(seed=0):
    return np.random.default_rng(seed).uniform((-0.1, -0.1, 0.4), (0.1, 0.1, 0.6), (21, 3))


@pytest.fixture
def evaluated(tmp_path, capsys):
    """``evaluated(found, truth, *words)``: the exit code, what was said, and the JSON."""

    def run(found, truth, *words):
        paths = []
        for name, given in (("one", found), ("two", truth)):
            if not hasattr(given, "images"):
                paths.append(str(given))
                continue
            paths.append(str(tmp_path / name / "skeletons"))
            (tmp_path / name).mkdir()
            write_bag(tmp_path / name / "skeletons", given)
        out = tmp_path / "figures.json"
        how = "--against" if "--against" in words else "--truth"
        words = [word for word in words if word != "--against"]
        code = main(["eval", paths[0], how, paths[1], "--json", str(out), *words])
        said = capsys.readouterr()
        return code, said.out + said.err, json.loads(out.read_text()) if out.exists() else None

    return run


def value(result, name, part="hand21"):
    return result["parts"][part]["figures"][name]["value"]


def of(result, name, part="hand21"):
    figure = result["parts"][part]["figures"][name]
    return figure["count"], figure["share"]


def test_a_shift_is_the_error_and_its_second_derivative_the_acceleration(
    evaluated, annotation, skeleton
):
    uv = [hand(u=200 + 5 * n) for n in range(6)]
    # 4 px aside; in the fourth image 18 px more: accelerations of 18, 36 and 18 px per period^2.
    aside = [np.array([2.4, 3.2])] * 3 + [np.array([2.4, 21.2])] + [np.array([2.4, 3.2])] * 2
    truth = annotation([[skeleton(one)] for one in uv], period_ns=100_000_000)
    found = annotation(
        [[skeleton(one + by)] for one, by in zip(uv, aside, strict=True)], period_ns=100_000_000
    )
    code, said, result = evaluated(found, truth)
    assert code == 0, said
    assert value(result, "epe_px") == pytest.approx((5 * 4 + np.hypot(2.4, 21.2)) / 6, abs=1e-4)
    assert value(result, "epe_median_px") == pytest.approx(4.0, abs=1e-4)
    assert of(result, "epe_px") == (6 * 21, 1.0)
    # The box's longer side is 100 px.
    assert value(result, "pck_0.05_box") == pytest.approx(5 / 6, abs=1e-3)
    assert value(result, "pck_0.2_box") == pytest.approx(5 / 6)
    expected = (5 * (1 - 4 / 30) + 1 - np.hypot(2.4, 21.2) / 30) / 6
    assert value(result, "auc_30px") == pytest.approx(expected, abs=1e-4)
    expected = (0 + 18 + 36 + 18) / 4 / 0.01
    assert value(result, "acceleration_px_s2") == pytest.approx(expected, rel=1e-3)
    assert of(result, "acceleration_px_s2") == (4 * 21, 1.0)
    assert "1,800 px/s^2" in said


def test_metres_in_the_frame_from_the_wrist_and_after_a_similarity(evaluated, annotation, skeleton):
    true = metres()
    angle = 0.7
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    similar = 1.3 * true @ turn.T + (0.1, -0.2, 0.3)
    aside = true + np.array((0.03, 0.0, 0.04))
    images = [[skeleton(hand(), xyz=true)]] * 2
    found = [[skeleton(hand(), xyz=aside, shape=similar)], [skeleton(hand(), xyz=similar)]]
    _, _, result = evaluated(annotation(found), annotation(images))
    away = np.linalg.norm(similar - true, axis=1)
    assert value(result, "mpjpe_mm") == pytest.approx((50 + 1e3 * away.mean()) / 2, rel=1e-4)
    rooted = np.linalg.norm((similar - similar[0]) - (true - true[0]), axis=1)
    assert value(result, "mpjpe_root_mm") == pytest.approx(1e3 * rooted.mean() / 2, rel=1e-4)
    assert value(result, "pa_mpjpe_mm") == pytest.approx(0.0, abs=1e-3)
    assert of(result, "pa_mpjpe_mm") == (42, 1.0)
    assert value(result, "shape_pa_mpjpe_mm") == pytest.approx(0.0, abs=1e-3)
    assert of(result, "shape_pa_mpjpe_mm") == (21, 0.5)


def test_a_mirrored_hand_is_not_similar(evaluated, annotation, skeleton):
    mirrored = metres() * (-1, 1, 1)
    truth = annotation([[skeleton(hand(), xyz=metres())]])
    _, _, result = evaluated(annotation([[skeleton(hand(), xyz=mirrored)]]), truth)
    assert value(result, "pa_mpjpe_mm") > 10


def test_metres_of_two_frames_are_compared_after_alignment_only(evaluated, annotation, skeleton):
    images = [[skeleton(hand(), xyz=metres())]]
    _, said, result = evaluated(annotation(images, frame_id="map"), annotation(images))
    assert "mpjpe_mm" not in result["parts"]["hand21"]["figures"]
    assert value(result, "pa_mpjpe_mm") == pytest.approx(0.0, abs=1e-3)
    assert "different frames ('camera' and 'map')" in said


def test_what_is_missing_is_counted_not_left_out(evaluated, annotation, skeleton):
    """Of ten images, two are not processed, in one nothing is found; elsewhere half the joints."""
    some = hand() + np.array((1.0, 0.0))
    some[::2] = np.nan  # 11 of 21
    truth = annotation([[skeleton(hand())] for _ in range(10)])
    found = annotation([None, None, [], *([skeleton(some)] for _ in range(7))])
    code, said, result = evaluated(found, truth)
    assert code == 0 and "images: 8 of 10 of the truth are in both, by stamp" in said
    assert value(result, "found") == 7 / 8 and of(result, "found") == (8, 0.8)
    assert value(result, "joints_found") == pytest.approx(70 / 168)
    assert of(result, "joints_found") == (168, 0.8)
    assert value(result, "epe_px") == pytest.approx(1.0, abs=1e-4)
    assert of(result, "epe_px") == (70, 70 / 210)
    # Joints that were not found are wrong, those of images that were not processed do not count.
    assert value(result, "pck_0.2_box") == pytest.approx(70 / 168)
    assert of(result, "pck_0.2_box") == (168, 0.8)
    assert value(result, "auc_30px") == pytest.approx(70 / 168 * 29 / 30, abs=1e-4)


def test_a_figure_over_nothing_is_none(evaluated, annotation, skeleton):
    truth = annotation([[skeleton(hand())]])
    _, said, result = evaluated(annotation([[]]), truth)
    assert value(result, "found") == 0.0
    assert value(result, "epe_px") is None and of(result, "epe_px") == (0, 0.0)
    assert value(result, "false") is None
    assert "mpjpe_mm" not in result["parts"]["hand21"]["figures"]  # the truth has no metres
    assert " nan" not in said


def test_a_wrong_side_is_counted_among_hands_with_a_side(evaluated, annotation, skeleton):
    truth = annotation([[skeleton(hand())] for _ in range(4)])
    sides = [Side.RIGHT, Side.LEFT, Side.UNKNOWN, Side.RIGHT]
    found = annotation([[skeleton(hand(), side=side)] for side in sides])
    _, _, result = evaluated(found, truth)
    assert value(result, "side_accuracy") == pytest.approx(2 / 3)
    assert of(result, "side_accuracy") == (3, 0.75)


def test_exchanged_left_and_right_joints_of_a_body_are_counted(evaluated, annotation, skeleton):
    body = np.random.default_rng(4).uniform(100, 300, (17, 2))
    exchanged = body.copy()
    exchanged[[9, 10]] = body[[10, 9]]
    truth = annotation([[skeleton(body, COCO17)]], (COCO17,))
    found = annotation([[skeleton(exchanged, COCO17)]], (COCO17,))
    _, _, result = evaluated(found, truth)
    assert value(result, "left_right", "coco17") == pytest.approx(7 / 8)
    assert of(result, "left_right", "coco17") == (8, 1.0)


def test_switches_of_ids_are_counted_but_not_over_a_restart(evaluated, annotation, skeleton):
    truth = annotation([[skeleton(hand()), skeleton(hand(u=450), track_id=2)] for _ in range(6)])
    ids = [(7, 8), (8, 7), (8, 7), (8, 9), (3, 4), (3, 4)]
    found = [[skeleton(hand(), track_id=a), skeleton(hand(u=450), track_id=b)] for a, b in ids]
    _, said, result = evaluated(annotation(found, resets=[0, 4]), annotation(truth_images(truth)))
    assert value(result, "id_switches") == 3  # both in the second image, one in the fourth
    assert of(result, "id_switches") == (12, 1.0)
    assert "id switches" in said


def truth_images(annotation):
    return [list(image.instances) for image in annotation.images]


def test_a_found_hand_that_is_none_is_false_and_a_lost_one_is_not(evaluated, annotation, skeleton):
    far = skeleton(hand(u=500), track_id=3)
    lost = skeleton(hand(u=400, v=20), state=JointState.PREDICTED, track_id=4, lost=True)
    truth = annotation([[skeleton(hand())]] * 2)
    _, _, result = evaluated(annotation([[skeleton(hand()), far], [skeleton(hand()), lost]]), truth)
    assert value(result, "false") == pytest.approx(1 / 3) and of(result, "false") == (3, 1.0)


def test_predicted_joints_are_found_and_shown_by_themselves(evaluated, annotation, skeleton):
    state = np.full(21, JointState.MEASURED, np.uint8)
    state[:7] = JointState.PREDICTED
    uv = hand()
    uv[:7] += (6.0, 0.0)
    truth = annotation([[skeleton(hand())]] * 2)
    lost = skeleton(hand() + np.array((9.0, 0)), state=JointState.PREDICTED, lost=True)
    _, said, result = evaluated(annotation([[skeleton(uv, state=state)], [lost]]), truth)
    assert value(result, "found") == 1.0
    assert value(result, "found_lost") == 0.5
    assert value(result, "epe_measured_px") == pytest.approx(0.0, abs=1e-4)
    assert of(result, "epe_measured_px") == (14, 1 / 3)
    assert value(result, "epe_predicted_px") == pytest.approx((7 * 6 + 21 * 9) / 28, abs=1e-4)
    assert "of PREDICTED joints" in said


def test_predicted_and_absent_joints_of_the_truth_are_no_truth(evaluated, annotation, skeleton):
    state = np.full(21, JointState.VISIBLE, np.uint8)
    state[5:9] = JointState.PREDICTED
    state[9:12] = JointState.OCCLUDED
    uv = hand()
    uv[0] = np.nan
    truth = annotation(
        [[skeleton(uv, state=state)], [skeleton(hand(), lost=True, state=JointState.PREDICTED)]]
    )
    _, _, result = evaluated(annotation([[skeleton(hand())]] * 2), truth)
    assert of(result, "epe_px") == (16, 1.0)
    assert of(result, "found") == (1, 1.0)
    # A hand where the truth is only predicted is not wrong.
    assert value(result, "false") == 0.0


def test_raw_joints_are_compared_on_request(evaluated, annotation, skeleton):
    smoothed = skeleton(hand() + np.array((5.0, 0)))
    found = annotation([[replace(smoothed, raw=skeleton(hand() + np.array((2.0, 0))).keypoints)]])
    truth = annotation([[skeleton(hand())]])
    assert value(evaluated(found, truth, "--raw")[2], "epe_px") == pytest.approx(2.0, abs=1e-4)


def test_two_runs_differ_and_neither_is_the_truth(evaluated, annotation, skeleton):
    first = annotation(
        [[skeleton(hand(), state=JointState.PREDICTED)], [skeleton(hand())], [skeleton(hand())]]
    )
    second = annotation(
        [
            [skeleton(hand() + np.array((4.0, 0)))],
            [],
            [skeleton(hand()), skeleton(hand(u=450), track_id=2)],
        ]
    )
    code, said, result = evaluated(first, second, "--against", "--per-joint")
    assert code == 0 and result["difference"]
    assert "truth" not in said and "error" not in said and "EPE" not in said and "PCK" not in said
    assert result["first"].endswith("one/skeletons:/skeletons") and result["first"] in said
    assert value(result, "difference_px") == pytest.approx(2.0, abs=1e-4)
    assert of(result, "difference_px") == (42, 2 / 3)
    assert value(result, "found") == pytest.approx(2 / 3)
    assert value(result, "false") == pytest.approx(1 / 3)  # only in the second


def test_hands_are_matched_by_distance_whatever_their_order(evaluated, annotation, skeleton):
    near = hand() + np.array((30.0, 0.0))  # half a palm: two hands that overlap
    truth = annotation([[skeleton(hand()), skeleton(near, track_id=2)]])
    found = annotation([[skeleton(near, track_id=9), skeleton(hand(), track_id=8)]])
    assert value(evaluated(found, truth)[2], "epe_px") == pytest.approx(0.0, abs=1e-4)


def test_each_joint_is_shown_on_request(evaluated, annotation, skeleton):
    uv = hand()
    uv[8] += (0.0, 30.0)
    uv[12] = np.nan
    truth = annotation([[skeleton(hand())]])
    _, said, result = evaluated(annotation([[skeleton(uv)]]), truth, "--per-joint")
    rows = {row["joint"]: row for row in result["parts"]["hand21"]["joints"]}
    assert rows["index_tip"]["mean_px"] == pytest.approx(30.0, abs=1e-4)
    assert rows["index_tip"]["within_box"] == 0.0
    assert rows["middle_tip"] == {
        "joint": "middle_tip",
        "mean_px": None,
        "median_px": None,
        "within_box": 0.0,
        "found": 0.0,
        "joints": 1,
    }
    assert any(line.split()[:2] == ["index_tip", "30"] for line in said.splitlines())


def test_a_gap_does_not_count_as_acceleration(evaluated, annotation, skeleton):
    uv = [hand(u=200 + 5 * n) for n in range(8)]
    aside = [0, 1, 0, None, None, None, 7, 0]
    truth = annotation([[skeleton(one)] for one in uv])
    found = [
        None if by is None else [skeleton(one + np.array((by, 0)))]
        for one, by in zip(uv, aside, strict=True)
    ]
    _, _, result = evaluated(annotation(found), truth)
    assert of(result, "acceleration_px_s2") == (21, 1.0)


def test_the_picture_is_drawn_for_every_part(evaluated, annotation, skeleton, tmp_path):
    pytest.importorskip("matplotlib")
    import cv2

    body = np.random.default_rng(4).uniform(100, 300, (17, 2))
    truth = annotation([[skeleton(body, COCO17), skeleton(hand())]] * 5, (COCO17, HAND21))
    found = annotation(
        [[skeleton(body + 3, COCO17)], None, [], [skeleton(hand() + 2)], []], (COCO17, HAND21)
    )
    code, said, _ = evaluated(found, truth, "--plot", str(tmp_path / "plots" / "a.png"))
    assert code == 0 and "picture: " in said
    picture = cv2.imread(str(tmp_path / "plots" / "a.png"))
    assert picture.shape[0] > 700 and picture.std() > 10
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["a.png"]


def repeated(annotation, skeleton):
    images = annotation([[skeleton(hand())]] * 2).images
    return replace(annotation([[]]), images=[*images, images[0]])


@pytest.mark.parametrize(
    ("found", "truth", "said"),
    [
        (
            lambda a, s: a([[s(hand())]], first_ns=10**18),
            lambda a, s: a([[s(hand())]]),
            "no image is in both: by stamp",
        ),
        (
            lambda a, s: a([[s(hand())]]),
            lambda a, s: a([[], []]),
            "has no annotated skeleton in 2 images",
        ),
        (
            lambda a, s: a([[s(hand())]], horizon_s=0.05),
            lambda a, s: a([[s(hand())]]),
            "extrapolated 50 ms beyond the stamps of their images (prediction_horizon)",
        ),
        (
            lambda a, s: a([[s(hand())]]),
            lambda a, s: a([[s(np.zeros((17, 2)), COCO17)]], (COCO17,)),
            "the layouts have no joint in common",
        ),
        (repeated, lambda a, s: a([[s(hand())]]), "two images have the same stamp"),
    ],
    ids=["stamps", "empty", "horizon", "layouts", "repeated"],
)
def test_recordings_that_cannot_be_compared_are_refused_with_a_reason(
    evaluated, annotation, skeleton, found, truth, said
):
    code, text, result = evaluated(found(annotation, skeleton), truth(annotation, skeleton))
    assert code == 1 and result is None
    assert said in text and "Traceback" not in text and "--debug" not in text


def test_a_topic_is_named_after_a_colon(evaluated, annotation, skeleton, tmp_path):
    write_bag(tmp_path / "true", annotation([[skeleton(hand())]]))
    found = annotation([[skeleton(hand())]])
    code, said, _ = evaluated(found, f"{tmp_path / 'true'}:/skeletons")
    assert code == 0 and "true:/skeletons" in said
    code, said, _ = evaluated(f"{tmp_path / 'true'}:/hands", f"{tmp_path / 'true'}:/skeletons")
    assert code == 1 and "has no vitpose_ros/msg/SkeletonArray on '/hands'" in said


def test_a_bag_is_compared_with_coco_of_the_same_stamps(evaluated, annotation, skeleton, tmp_path):
    from vitpose_ros.offline.write_tables import write_coco

    truth = annotation([[skeleton(hand())]] * 3)
    write_coco(tmp_path / "truth.json", truth)
    found = annotation([[skeleton(hand() + np.array((3.0, 4.0)))]] * 3)
    _, said, result = evaluated(found, tmp_path / "truth.json")
    assert value(result, "epe_px") == pytest.approx(5.0, abs=2e-3)  # the file has 0.001 px
    assert value(result, "side_accuracy") == 1.0
    assert "ap" not in result["parts"]["hand21"]["figures"]
    content = json.loads((tmp_path / "truth.json").read_text())
    for image in content["images"]:
        del image["stamp_ns"]
    (tmp_path / "names.json").write_text(json.dumps(content))
    code, said, _ = evaluated(tmp_path / "one" / "skeletons", tmp_path / "names.json")
    assert code == 1 and "annotate --write coco" in said


def test_a_body_of_another_layout_is_compared_by_the_names_of_its_joints(
    evaluated, annotation, skeleton
):
    rng = np.random.default_rng(2)
    names = {joint: rng.uniform(100, 300, 2) for joint in (*COCO17.joints, *AIC14.joints)}
    body, other = (np.array([names[j] for j in layout.joints]) for layout in (COCO17, AIC14))
    truth = annotation([[skeleton(body, COCO17)]], (COCO17,))
    found = annotation([[skeleton(other, AIC14)]], (AIC14,))
    code, said, result = evaluated(found, truth)
    assert code == 0 and "does not have: nose, left_eye" in said
    assert value(result, "epe_px", "coco17") == pytest.approx(0.0, abs=1e-4)
    assert of(result, "epe_px", "coco17") == (12, 12 / 17)
