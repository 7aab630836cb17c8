"""Skeletons as data: joint names, bones, left/right pairs and OKS sigmas of every layout.

A layout is the contract between a network's output and the rest of the package. Joint orders are
those of the datasets: COCO 2017, COCO-WholeBody (Jin et al., ECCV 2020), AI Challenger (Wu et al.,
2017), MPII (Andriluka et al., CVPR 2014), AP-10K (Yu et al., NeurIPS 2021), APT-36K (Yang et al.,
NeurIPS 2022) and Human3.6M (Ionescu et al., PAMI 2014), of OpenPose (Cao et al., PAMI 2019), and of
MediaPipe's landmarks: 21 for a hand, in the same order as in COCO-WholeBody's hands, and 33 for a
body. The sigmas of AI
Challenger, MPII, AP-10K and APT-36K are those in MMPose's evaluation (configs/_base_/datasets).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Layout:
    """A named skeleton of K joints.

    Attributes
    ----------
    name : the name used in messages and in the model catalogue.
    kind : "body", "hand" or "animal".
    joints : K joint names.
    edges : bones as pairs of joint indices.
    flip_pairs : (left, right) joint indices; empty for a single hand.
    sigmas : K numbers, the annotators' standard deviation as a fraction of the object's size
        (OKS); NaN if not published.

    Raises
    ------
    ValueError : the fields contradict each other.
    """

    name: str
    kind: str
    joints: tuple[str, ...]
    edges: Pairs
    flip_pairs: Pairs
    sigmas: tuple[float, ...]

    def __post_init__(self) -> None:
        count = len(self.joints)
        if self.kind not in ("body", "hand", "animal"):
            raise ValueError(
                f"layout '{self.name}': kind: expected body, hand or animal, got '{self.kind}'"
            )
        if len(set(self.joints)) != count:
            raise ValueError(f"layout '{self.name}': joint names repeat")
        if len(self.sigmas) != count:
            raise ValueError(f"layout '{self.name}': {len(self.sigmas)} sigmas for {count} joints")
        for pair in self.edges + self.flip_pairs:
            if not all(0 <= joint < count for joint in pair) or pair[0] == pair[1]:
                raise ValueError(
                    f"layout '{self.name}': {pair} is not a pair of different joints in "
                    f"0..{count - 1}"
                )
        paired = [joint for pair in self.flip_pairs for joint in pair]
        if len(set(paired)) != len(paired):
            raise ValueError(f"layout '{self.name}': a joint is in two flip pairs")

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """The index of a joint by name; KeyError if there is none."""
        try:
            return self.joints.index(joint)
        except ValueError:
            raise KeyError(
                f"layout '{self.name}' has no joint '{joint}'; it has {', '.join(self.joints)}"
            ) from None

    def flip_permutation(self) -> tuple[int, ...]:
        """For each joint, the index of its counterpart in a mirrored image, or its own index."""
        order = list(range(len(self)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return tuple(order)


def _chain(*joints: int) -> Pairs:
    return tuple(pairwise(joints))


def _shifted(pairs: Pairs, by: int) -> Pairs:
    return tuple((a + by, b + by) for a, b in pairs)


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
    _chain(0, 1, 2, 3, 4)
    + _chain(0, 5, 6, 7, 8)
    + _chain(9, 10, 11, 12)
    + _chain(13, 14, 15, 16)
    + _chain(0, 17, 18, 19, 20)
    + _chain(5, 9, 13, 17)
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
    _chain(*range(17)) + _chain(*range(17, 22)) + _chain(*range(22, 27)) + _chain(*range(27, 31))
    + _chain(*range(31, 36)) + _chain(*range(36, 42), 36) + _chain(*range(42, 48), 42)
    + _chain(*range(48, 60), 48) + _chain(*range(60, 68), 60)
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
        + _shifted(_FACE_EDGES, FACE_START)
        + ((9, LEFT_HAND_START), (10, RIGHT_HAND_START))
        + _shifted(_HAND_EDGES, LEFT_HAND_START)
        + _shifted(_HAND_EDGES, RIGHT_HAND_START)
    ),
    flip_pairs=(
        _BODY_FLIPS
        + _FEET_FLIPS
        + _shifted(_FACE_FLIPS, FACE_START)
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
    edges=(_chain(2, 1, 0, 13, 3, 4, 5) + _chain(8, 7, 6, 9, 10, 11) + ((12, 13), (0, 6), (3, 9))),
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
        _chain(0, 1, 2, 6, 3, 4, 5)
        + _chain(6, 7, 8, 9)
        + _chain(8, 12, 11, 10)
        + _chain(8, 13, 14, 15)
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
    _chain(2, 0, 1, 2, 3, 4)
    + _chain(3, 5, 6, 7)
    + _chain(3, 8, 9, 10)
    + _chain(4, 11, 12, 13)
    + _chain(4, 14, 15, 16)
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
        _chain(0, 1, 2, 3)
        + _chain(0, 4, 5, 6)
        + _chain(0, 7, 8, 9, 10)
        + _chain(8, 11, 12, 13)
        + _chain(8, 14, 15, 16)
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


_OPENPOSE_ARMS = _chain(1, 2, 3, 4) + _chain(1, 5, 6, 7) + ((0, 1),)
OPENPOSE18 = _openpose(
    "openpose18",
    _OPENPOSE_18,
    _OPENPOSE_ARMS
    + _chain(1, 8, 9, 10)
    + _chain(1, 11, 12, 13)
    + _chain(0, 14, 16)
    + _chain(0, 15, 17),
)
OPENPOSE25 = _openpose(
    "openpose25",
    _OPENPOSE_25,
    _OPENPOSE_ARMS
    + _chain(1, 8, 9, 10, 11)
    + _chain(8, 12, 13, 14)
    + _chain(0, 15, 17)
    + _chain(0, 16, 18)
    + _chain(14, 19, 20)
    + _chain(11, 22, 23)
    + ((14, 21), (11, 24)),
)

LAYOUTS = {
    layout.name: layout
    for layout in (
        *(HAND21, COCO17, COCO_WHOLEBODY133, MEDIAPIPE33, AIC14, MPII16, AP10K17, APT36K17),
        *(H36M17, OPENPOSE18, OPENPOSE25),
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
