"""The skeletons as data: what every layout must be, and each dataset's own order."""

from __future__ import annotations

import pytest

from vitpose_ros.layouts import LAYOUTS, Layout, get_layout

COUNTS = {
    "hand21": 21,
    "coco17": 17,
    "coco_wholebody133": 133,
    "mediapipe33": 33,
    "aic14": 14,
    "mpii16": 16,
    "ap10k17": 17,
    "apt36k17": 17,
    "h36m17": 17,
    "openpose18": 18,
    "openpose25": 25,
    "halpe26": 26,
    "halpe136": 136,
}
MIRRORED = [name for name in COUNTS if name != "hand21"]  # one hand has no other side


def test_every_layout_is_among_those_tested_here() -> None:
    assert set(LAYOUTS) == set(COUNTS)


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_a_layout_has_as_many_joints_as_its_dataset(name: str, count: int) -> None:
    assert len(get_layout(name)) == count


@pytest.mark.parametrize("name", MIRRORED)
def test_flip_pairs_join_the_left_and_right_joint_of_one_name(name: str) -> None:
    layout = LAYOUTS[name]
    named = {i for i, joint in enumerate(layout.joints) if joint.startswith(("left_", "right_"))}
    for left, right in layout.flip_pairs:
        if left in named:
            part = layout.joints[left].removeprefix("left_")
            assert layout.joints[left] == f"left_{part}"
            assert layout.joints[right] == f"right_{part}"
    assert named <= {joint for pair in layout.flip_pairs for joint in pair}


@pytest.mark.parametrize("name", MIRRORED)
def test_bones_are_the_same_on_both_sides(name: str) -> None:
    layout = LAYOUTS[name]
    order = layout.flip_permutation()
    bones = {frozenset(edge) for edge in layout.edges}
    assert {frozenset((order[a], order[b])) for a, b in layout.edges} == bones


@pytest.mark.parametrize("name", COUNTS)
def test_bones_connect_every_joint_of_a_body_or_hand(name: str) -> None:
    layout = LAYOUTS[name]
    touched = {joint for edge in layout.edges for joint in edge}
    assert touched == set(range(len(layout)))


@pytest.mark.parametrize(
    ("name", "index", "joint"),
    [
        ("aic14", 0, "right_shoulder"),
        ("aic14", 5, "left_wrist"),
        ("aic14", 8, "right_ankle"),
        ("aic14", 12, "head_top"),
        ("mpii16", 0, "right_ankle"),
        ("mpii16", 6, "pelvis"),
        ("mpii16", 10, "right_wrist"),
        ("mpii16", 15, "left_wrist"),
        ("ap10k17", 4, "root_of_tail"),
        ("ap10k17", 7, "left_front_paw"),
        ("apt36k17", 16, "right_back_paw"),
        ("mediapipe33", 15, "left_wrist"),
        ("mediapipe33", 20, "right_index"),
        ("mediapipe33", 32, "right_foot_index"),
        ("halpe26", 16, "right_ankle"),
        ("halpe26", 17, "head_top"),
        ("halpe26", 18, "neck"),
        ("halpe26", 19, "pelvis"),
        ("halpe26", 20, "left_big_toe"),
        ("halpe26", 23, "right_small_toe"),
        ("halpe26", 24, "left_heel"),
        ("halpe136", 25, "right_heel"),
        ("halpe136", 26, "face_0"),
        ("halpe136", 93, "face_67"),
        ("halpe136", 94, "left_hand_wrist"),
        ("halpe136", 114, "left_hand_pinky_tip"),
        ("halpe136", 115, "right_hand_wrist"),
        ("halpe136", 135, "right_hand_pinky_tip"),
        ("coco_wholebody133", 91, "left_hand_wrist"),
        ("coco_wholebody133", 132, "right_hand_pinky_tip"),
    ],
)
def test_joints_stand_in_the_order_of_the_dataset(name: str, index: int, joint: str) -> None:
    assert LAYOUTS[name].joints[index] == joint


COCO_TWINS = {
    "eye": "eye",
    "nose": "nose",
    "neck": "ear",
    "root_of_tail": "ear",
    "shoulder": "shoulder",
    "elbow": "elbow",
    "front_paw": "wrist",
    "hip": "hip",
    "knee": "knee",
    "back_paw": "ankle",
}
"""The joint of a person whose sigma an animal's joint has, without the side."""


@pytest.mark.parametrize("name", ["ap10k17", "apt36k17"])
def test_a_joint_of_an_animal_has_the_sigma_of_its_counterpart_in_coco(name: str) -> None:
    coco, layout = LAYOUTS["coco17"], LAYOUTS[name]
    of_coco = {
        joint.removeprefix("left_"): sigma
        for joint, sigma in zip(coco.joints, coco.sigmas, strict=True)
    }
    assert layout.kind == "animal"
    for joint, sigma in zip(layout.joints, layout.sigmas, strict=True):
        part = joint.removeprefix("left_").removeprefix("right_")
        assert sigma == of_coco[COCO_TWINS[part]], joint


@pytest.mark.parametrize("name", ["halpe26", "halpe136"])
def test_halpes_bones_join_all_joints_into_one_skeleton_but_for_the_face(name: str) -> None:
    layout = LAYOUTS[name]
    joined = {0}
    for _ in layout.joints:
        joined |= {joint for edge in layout.edges if joined & set(edge) for joint in edge}
    apart = {joint for i, joint in enumerate(layout.joints) if i not in joined}
    assert all(joint.startswith("face_") for joint in apart)


def test_halpes_face_and_hands_are_those_of_coco_wholebody() -> None:
    halpe, coco = LAYOUTS["halpe136"], LAYOUTS["coco_wholebody133"]
    place = {halpe.joints.index(joint): i for i, joint in enumerate(coco.joints)}
    for pairs in ("edges", "flip_pairs"):
        own = {(place.get(a), place.get(b)) for a, b in getattr(halpe, pairs)}
        theirs = {pair for pair in getattr(coco, pairs) if pair[1] >= 23}
        assert theirs <= own, pairs


@pytest.mark.parametrize(
    ("name", "after_coco"),
    [
        ("halpe26", [0.026, 0.026, 0.066] + [0.079] * 6),
        ("halpe136", [0.08] * 3 + [0.089] * 6 + [0.015] * 110),
    ],
)
def test_halpes_sigmas_are_those_of_its_evaluations(name: str, after_coco: list[float]) -> None:
    assert LAYOUTS[name].sigmas == (*LAYOUTS["coco17"].sigmas, *after_coco)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"kind": "robot"}, "got 'robot'"),
        ({"joints": ("a", "a")}, "joint names repeat"),
        ({"sigmas": (0.1,)}, "1 sigmas for 2 joints"),
        ({"edges": ((0, 2),)}, "(0, 2) is not a pair"),
        ({"edges": ((1, 1),)}, "(1, 1) is not a pair"),
        ({"flip_pairs": ((0, 1), (1, 0))}, "two flip pairs"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change: dict[str, object], complaint: str) -> None:
    parts = {
        "name": "two",
        "kind": "body",
        "joints": ("a", "b"),
        "edges": ((0, 1),),
        "flip_pairs": (),
        "sigmas": (0.1, 0.1),
    }
    with pytest.raises(ValueError, match="layout 'two'") as caught:
        Layout(**(parts | change))  # type: ignore[arg-type]
    assert complaint in str(caught.value)


def test_an_unknown_layout_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown layout 'coco18'; known are aic14, .*mpii16"):
        get_layout("coco18")
