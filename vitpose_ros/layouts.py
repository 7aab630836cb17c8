"""Skeletons as data: joint names, bones, left/right pairs and OKS sigmas of every layout.

Joint orders are those of the datasets: COCO 2017, COCO-WholeBody (Jin et al., ECCV 2020), AI
Challenger (Wu et al., 2017), MPII (Andriluka et al., CVPR 2014), AP-10K (Yu et al., NeurIPS 2021),
APT-36K (Yang et al., NeurIPS 2022), Human3.6M (Ionescu et al., PAMI 2014) and Halpe (Li et al.,
CVPR 2020; Fang et al., PAMI 2022), of OpenPose (Cao et al., PAMI 2019), and of MediaPipe's
landmarks: 21 for a hand, in the same order as in COCO-WholeBody's hands, and 33 for a body.

The sigmas of AI Challenger, MPII, AP-10K, APT-36K and Halpe's 26 joints are those in MMPose's
evaluation (configs/_base_/datasets); Halpe's 136 have those of Halpe's own (halpecocotools).
"""

from __future__ import annotations

from vitpose_ros.layout import Layout as Layout
from vitpose_ros.layout import Pairs as Pairs
from vitpose_ros.layout import chain, shifted

# --- hand: 21 joints, wrist, then four per finger from the palm to the tip

FINGERS = ("thumb", "index", "middle", "ring", "pinky")
"""Fingers in the order of hand21; finger f has joints 1 + 4 f .. 4 + 4 f."""

WRIST, THUMB_TIP, INDEX_MCP, MIDDLE_MCP, RING_MCP, PINKY_MCP = 0, 4, 5, 9, 13, 17
"""Joints of hand21 that other modules use by number."""

_HAND_JOINTS = (
    *("wrist", "thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip"),
    *(f"{finger}_{joint}" for finger in FINGERS[1:] for joint in ("mcp", "pip", "dip", "tip")),
)
_HAND_EDGES = (
    chain(0, 1, 2, 3, 4)
    + chain(0, 5, 6, 7, 8)
    + chain(9, 10, 11, 12)
    + chain(13, 14, 15, 16)
    + chain(0, 17, 18, 19, 20)
    + chain(5, 9, 13, 17)
)
# fmt: off
_HAND_SIGMAS = (
    0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026,
    0.017, 0.021, 0.021, 0.032, 0.02, 0.019, 0.022, 0.031,
)

# --- body: COCO's 17

_BODY_JOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)
_BODY_EDGES: Pairs = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8),
    (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)
_BODY_FLIPS = tuple((i, i + 1) for i in range(1, 17, 2))
_BODY_SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107,
    0.087, 0.087, 0.089, 0.089,
)

# --- whole body: 17 body, 6 feet, 68 face, 21 left hand, 21 right hand

_FEET_JOINTS = (
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe",
    "right_heel",
)
_FEET_EDGES: Pairs = ((15, 17), (15, 18), (15, 19), (16, 20), (16, 21), (16, 22))
_FEET_FLIPS: Pairs = ((17, 20), (18, 21), (19, 22))
_FEET_SIGMAS = (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)

# The face's 68 points have the numbers of the iBUG annotation; pairs are (left, right) from the
# person's point of view.
_FACE_EDGES = (
    chain(*range(17)) + chain(*range(17, 22)) + chain(*range(22, 27)) + chain(*range(27, 31))
    + chain(*range(31, 36)) + chain(*range(36, 42), 36) + chain(*range(42, 48), 42)
    + chain(*range(48, 60), 48) + chain(*range(60, 68), 60)
)
_FACE_FLIPS = (
    tuple((16 - i, i) for i in range(8)) + tuple((43 - i, i) for i in range(17, 22))
    + ((35, 31), (34, 32), (45, 36), (44, 37), (43, 38), (42, 39), (47, 40), (46, 41), (54, 48))
    + ((53, 49), (52, 50), (55, 59), (56, 58), (64, 60), (63, 61), (65, 67))
)
_FACE_SIGMAS = (
    0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037,
    0.038, 0.043, 0.041, 0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013,
    0.015, 0.009, 0.007, 0.007, 0.007, 0.012, 0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009,
    0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034, 0.008, 0.008, 0.009, 0.008,
    0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008, 0.008,
    0.008, 0.010, 0.008,
)
# fmt: on

FACE_START, LEFT_HAND_START, RIGHT_HAND_START = 23, 91, 112
"""First joints of parts of coco_wholebody133: the face, and each hand, in hand21's order."""

HAND21 = Layout("hand21", "hand", _HAND_JOINTS, _HAND_EDGES, (), _HAND_SIGMAS)
COCO17 = Layout("coco17", "body", _BODY_JOINTS, _BODY_EDGES, _BODY_FLIPS, _BODY_SIGMAS)
COCO_WHOLEBODY133 = Layout(
    name="coco_wholebody133",
    kind="body",
    joints=(
        _BODY_JOINTS
        + _FEET_JOINTS
        + tuple(f"face_{i}" for i in range(68))
        + tuple(f"left_hand_{joint}" for joint in _HAND_JOINTS)
        + tuple(f"right_hand_{joint}" for joint in _HAND_JOINTS)
    ),
    edges=(
        _BODY_EDGES
        + _FEET_EDGES
        + shifted(_FACE_EDGES, FACE_START)
        + ((9, LEFT_HAND_START), (10, RIGHT_HAND_START))
        + shifted(_HAND_EDGES, LEFT_HAND_START)
        + shifted(_HAND_EDGES, RIGHT_HAND_START)
    ),
    flip_pairs=(
        _BODY_FLIPS
        + _FEET_FLIPS
        + shifted(_FACE_FLIPS, FACE_START)
        + tuple((LEFT_HAND_START + i, RIGHT_HAND_START + i) for i in range(21))
    ),
    sigmas=_BODY_SIGMAS + _FEET_SIGMAS + _FACE_SIGMAS + _HAND_SIGMAS * 2,
)

# --- AI Challenger and MPII: bodies with a neck and the top of the head; right before left

_AIC_SIDES = tuple(
    f"{side}_{joint}"
    for joints in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
    for side in ("right", "left")
    for joint in joints
)
# fmt: off
_AIC_SIGMAS = (
    0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144, 0.03909642, 0.03686941,
    0.01981803, 0.03843971, 0.03412318, 0.02415081, 0.01291456, 0.01236173,
)
_MPII_SIGMAS = (  # MMPose's adaptation of COCO's
    0.089, 0.083, 0.107, 0.107, 0.083, 0.089, 0.026, 0.026, 0.026, 0.026, 0.062, 0.072, 0.179,
    0.179, 0.072, 0.062,
)
# fmt: on
AIC14 = Layout(
    name="aic14",
    kind="body",
    joints=(*_AIC_SIDES, "head_top", "neck"),
    edges=(chain(2, 1, 0, 13, 3, 4, 5) + chain(8, 7, 6, 9, 10, 11) + ((12, 13), (0, 6), (3, 9))),
    flip_pairs=((3, 0), (4, 1), (5, 2), (9, 6), (10, 7), (11, 8)),
    sigmas=_AIC_SIGMAS,
)
MPII16 = Layout(
    name="mpii16",
    kind="body",
    joints=(
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("pelvis", "thorax", "upper_neck", "head_top"),
        *("right_wrist", "right_elbow", "right_shoulder"),
        *("left_shoulder", "left_elbow", "left_wrist"),
    ),
    edges=(
        chain(0, 1, 2, 6, 3, 4, 5) + chain(6, 7, 8, 9) + chain(8, 12, 11, 10) + chain(8, 13, 14, 15)
    ),
    flip_pairs=((5, 0), (4, 1), (3, 2), (15, 10), (14, 11), (13, 12)),
    sigmas=_MPII_SIGMAS,
)

# --- animals: AP-10K's 17, also used by APT-36K's videos

_ANIMAL_JOINTS = (
    *("left_eye", "right_eye", "nose", "neck", "root_of_tail"),
    *("left_shoulder", "left_elbow", "left_front_paw"),
    *("right_shoulder", "right_elbow", "right_front_paw"),
    *("left_hip", "left_knee", "left_back_paw"),
    *("right_hip", "right_knee", "right_back_paw"),
)
_ANIMAL_EDGES = (
    chain(2, 0, 1, 2, 3, 4)
    + chain(3, 5, 6, 7)
    + chain(3, 8, 9, 10)
    + chain(4, 11, 12, 13)
    + chain(4, 14, 15, 16)
)
_ANIMAL_FLIPS = ((0, 1), (5, 8), (6, 9), (7, 10), (11, 14), (12, 15), (13, 16))
# The benchmark's own: COCO's, with ears for neck and tail, wrists and ankles for paws. (MMPose 0.x
# lists the same numbers in COCO's order of joints, which makes left and right differ.)
_FORELEG, _HIND_LEG = (0.079, 0.072, 0.062), (0.107, 0.087, 0.089)
_ANIMAL_SIGMAS = (
    *(0.025, 0.025, 0.026, 0.035, 0.035),
    *(*_FORELEG, *_FORELEG, *_HIND_LEG, *_HIND_LEG),
)
AP10K17 = Layout("ap10k17", "animal", _ANIMAL_JOINTS, _ANIMAL_EDGES, _ANIMAL_FLIPS, _ANIMAL_SIGMAS)
APT36K17 = Layout(
    "apt36k17", "animal", _ANIMAL_JOINTS, _ANIMAL_EDGES, _ANIMAL_FLIPS, _ANIMAL_SIGMAS
)

# --- body: MediaPipe's 33, with COCO's sigma where a joint is one of COCO's

# fmt: off
_MEDIAPIPE_JOINTS = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye",
    "right_eye_outer", "left_ear", "right_ear", "left_mouth", "right_mouth", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky",
    "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel",
    "right_heel", "left_foot_index", "right_foot_index",
)
_MEDIAPIPE_EDGES: Pairs = (
    (0, 1), (1, 2), (2, 3), (3, 7), (0, 4), (4, 5), (5, 6), (6, 8), (9, 10), (11, 12), (11, 13),
    (13, 15), (15, 17), (15, 19), (15, 21), (17, 19), (12, 14), (14, 16), (16, 18), (16, 20),
    (16, 22), (18, 20), (11, 23), (12, 24), (23, 24), (23, 25), (24, 26), (25, 27), (26, 28),
    (27, 29), (28, 30), (29, 31), (30, 32), (27, 31), (28, 32),
)
_MEDIAPIPE_FLIPS = ((1, 4), (2, 5), (3, 6), *((i, i + 1) for i in range(7, 33, 2)))
# fmt: on
_COCO_SIGMA = dict(zip(_BODY_JOINTS, _BODY_SIGMAS, strict=True))
MEDIAPIPE33 = Layout(
    name="mediapipe33",
    kind="body",
    joints=_MEDIAPIPE_JOINTS,
    edges=_MEDIAPIPE_EDGES,
    flip_pairs=_MEDIAPIPE_FLIPS,
    sigmas=tuple(_COCO_SIGMA.get(joint, float("nan")) for joint in _MEDIAPIPE_JOINTS),
)

# --- body: Human3.6M's 17, which lifting networks read and give

H36M17 = Layout(
    name="h36m17",
    kind="body",
    joints=(
        *("pelvis", "right_hip", "right_knee", "right_ankle"),
        *("left_hip", "left_knee", "left_ankle"),
        *("spine", "thorax", "neck_base", "head"),
        *("left_shoulder", "left_elbow", "left_wrist"),
        *("right_shoulder", "right_elbow", "right_wrist"),
    ),
    edges=(
        chain(0, 1, 2, 3)
        + chain(0, 4, 5, 6)
        + chain(0, 7, 8, 9, 10)
        + chain(8, 11, 12, 13)
        + chain(8, 14, 15, 16)
    ),
    flip_pairs=((4, 1), (5, 2), (6, 3), (11, 14), (12, 15), (13, 16)),
    sigmas=(float("nan"),) * 17,
)

# --- body: OpenPose's 18 and 25, with COCO's sigma where a joint is one of COCO's

# fmt: off
_OPENPOSE_18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)
_OPENPOSE_25 = (
    *_OPENPOSE_18[:8], "mid_hip", *_OPENPOSE_18[8:], "left_big_toe", "left_small_toe",
    "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)
# fmt: on
_PART_SIGMA = _COCO_SIGMA | dict(zip(_FEET_JOINTS, _FEET_SIGMAS, strict=True))


def _openpose(name: str, joints: tuple[str, ...], edges: Pairs) -> Layout:
    pairs = [
        (joints.index(joint), joints.index(joint.replace("left_", "right_")))
        for joint in joints
        if joint.startswith("left_")
    ]
    sigmas = tuple(_PART_SIGMA.get(joint, float("nan")) for joint in joints)
    return Layout(name, "body", joints, edges, tuple(pairs), sigmas)


_OPENPOSE_ARMS = chain(1, 2, 3, 4) + chain(1, 5, 6, 7) + ((0, 1),)
OPENPOSE18 = _openpose(
    "openpose18",
    _OPENPOSE_18,
    _OPENPOSE_ARMS
    + chain(1, 8, 9, 10)
    + chain(1, 11, 12, 13)
    + chain(0, 14, 16)
    + chain(0, 15, 17),
)
OPENPOSE25 = _openpose(
    "openpose25",
    _OPENPOSE_25,
    _OPENPOSE_ARMS
    + chain(1, 8, 9, 10, 11)
    + chain(8, 12, 13, 14)
    + chain(0, 15, 17)
    + chain(0, 16, 18)
    + chain(14, 19, 20)
    + chain(11, 22, 23)
    + ((14, 21), (11, 24)),
)

# --- Halpe: bodies of 26 joints, feet by pairs, and of 136, with COCO-WholeBody's face and hands

_HALPE_JOINTS = (
    *(*_BODY_JOINTS, "head_top", "neck", "pelvis"),
    *("left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe"),
    *("left_heel", "right_heel"),
)
_HALPE_EDGES = (
    chain(17, 18, 19)
    + chain(18, 5, 7, 9)
    + chain(18, 6, 8, 10)
    + chain(19, 11, 13, 15)
    + chain(19, 12, 14, 16)
    + chain(0, 1, 3, 5)
    + chain(0, 2, 4, 6)
    + ((1, 2), (15, 20), (15, 22), (15, 24), (16, 21), (16, 23), (16, 25))
)
_HALPE_FLIPS: Pairs = (*_BODY_FLIPS, (20, 21), (22, 23), (24, 25))
_HALPE_FACE, _HALPE_LEFT, _HALPE_RIGHT = 26, 94, 115
HALPE26 = Layout(
    name="halpe26",
    kind="body",
    joints=_HALPE_JOINTS,
    edges=_HALPE_EDGES,
    flip_pairs=_HALPE_FLIPS,
    sigmas=(*_BODY_SIGMAS, 0.026, 0.026, 0.066, *(0.079,) * 6),
)
HALPE136 = Layout(
    name="halpe136",
    kind="body",
    joints=_HALPE_JOINTS + COCO_WHOLEBODY133.joints[FACE_START:],
    edges=(
        _HALPE_EDGES
        + shifted(_FACE_EDGES, _HALPE_FACE)
        + ((9, _HALPE_LEFT), (10, _HALPE_RIGHT))
        + shifted(_HAND_EDGES, _HALPE_LEFT)
        + shifted(_HAND_EDGES, _HALPE_RIGHT)
    ),
    flip_pairs=(
        _HALPE_FLIPS
        + shifted(_FACE_FLIPS, _HALPE_FACE)
        + tuple((_HALPE_LEFT + i, _HALPE_RIGHT + i) for i in range(21))
    ),
    sigmas=(*_BODY_SIGMAS, *(0.08,) * 3, *(0.089,) * 6, *(0.015,) * 110),
)

LAYOUTS = {
    layout.name: layout
    for layout in (
        *(HAND21, COCO17, COCO_WHOLEBODY133, MEDIAPIPE33, AIC14, MPII16, AP10K17, APT36K17),
        *(H36M17, OPENPOSE18, OPENPOSE25, HALPE26, HALPE136),
    )
}
"""Every layout by name."""


def get_layout(name: str) -> Layout:
    """The layout with this name; ValueError lists the known ones."""
    try:
        return LAYOUTS[name]
    except KeyError:
        raise ValueError(
            f"unknown layout '{name}'; known are {', '.join(sorted(LAYOUTS))}"
        ) from None
