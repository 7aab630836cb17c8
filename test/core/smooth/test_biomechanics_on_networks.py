"""What vitpose_ros.smooth.biomechanics does to what the real network says of rendered hands."""

import numpy as np
import pytest

from vitpose_ros.hand_geometry import hand_region
from vitpose_ros.keypoints.mediapipe_hand import HandLandmarks
from vitpose_ros.layouts import HAND21
from vitpose_ros.limits import rigid_bones
from vitpose_ros.smooth.biomechanics import Biomechanics
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.types import NO_ID, Correction, Crop, JointState, Keypoints

RATE_HZ = 10
LEARNT = 20  # images after which lengths are held
FIRST, SECOND = np.array(rigid_bones(HAND21)).T


@pytest.fixture(scope="module")
def frames(engine_of):
    """For each image the hands as the network sees them, and as they are."""
    reader = HandLandmarks(engine_of("mediapipe-hand-full"), "mediapipe-hand-full")
    scene = Scene(script="reach", seed=1)
    result = []
    for number in range(round(scene.duration_s * RATE_HZ)):
        rendering = scene.render(number / RATE_HZ)
        regions = [hand_region(hand.uv, 1.0, NO_ID) for hand in rendering.hands]
        read = reader([Crop(rendering.image, region) for region in regions])
        result.append(([keypoints(estimate) for estimate in read], rendering.hands))
    return result


def keypoints(estimate):
    return Keypoints(
        layout=HAND21,
        uv=estimate.uv,
        score=estimate.score,
        state=np.full(21, JointState.VISIBLE, np.uint8),
        shape_xyz=estimate.shape_xyz,
    )


def centred(points):
    points = np.asarray(points, np.float64)
    return points - points.mean(axis=-2, keepdims=True)


def test_bones_keep_their_lengths_and_the_shape_gets_no_worse(frames):
    biomechanics = Biomechanics(HAND21)
    before, after, truth, marks = [], [], [], []
    for number, (given, true) in enumerate(frames):
        sides = [hand.side for hand in true]
        results = biomechanics(1 + number * 10**9 // RATE_HZ, [0, 1], given, sides)
        before.append([joints.shape_xyz for joints in given])
        after.append([joints.shape_xyz for joints in results])
        marks.append([joints.corrected for joints in results])
        truth.append([hand.xyz for hand in true])
    error, variation = [], []
    for shapes in (before, after):
        shape = centred(shapes)[LEARNT:]
        error.append(np.linalg.norm(shape - centred(truth)[LEARNT:], axis=-1).mean())
        lengths = np.linalg.norm(shape[:, :, SECOND] - shape[:, :, FIRST], axis=-1)
        variation.append((lengths.std(axis=0) / lengths.mean(axis=0)).mean())
    assert variation[0] > 0.08
    assert variation[1] < 0.3 * variation[0]
    assert error[1] < 1.01 * error[0]
    assert (np.array(marks)[LEARNT:] & Correction.BONE_LENGTH).any()
