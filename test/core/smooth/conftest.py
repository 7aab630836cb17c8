"""Hands with exact anatomy, for tests of what hands can do."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.synthetic.anatomy import ANGLE_LIMITS_DEG, HandPose, bone_maps, hand21_m
from vitpose_ros.synthetic.motion import OPEN, SCRIPTS, Motion

ELBOW_M = np.array((-1.0, 0.0, 0.0))


class TrueHands:
    """Joints (21, 3) of right hands, metres, about their mean; -1 mirrors them to left ones."""

    MIRROR = np.array((-1.0, 1.0, 1.0))

    def __call__(self, digits=OPEN, wrist_flexion_deg=0.0):
        """One hand of these angles; see `HandPose`."""
        pose = HandPose(np.array(digits, float), wrist_flexion_deg)
        joints = hand21_m(bone_maps(pose, 1.0, ELBOW_M)[0])
        return joints - joints.mean(axis=0)

    def bent(self, digit, number, degrees, digits=OPEN):
        """A hand with one of the angles changed."""
        changed = np.array(digits, float)
        changed[digit, number] = degrees
        return self(changed)

    def legal(self, count, seed=0):
        """(count, 21, 3) hands whose angles are anywhere within the anatomy's limits."""
        low, high = ANGLE_LIMITS_DEG
        vectors = np.random.default_rng(seed).uniform(low, high, (count, len(low)))
        return np.stack([self(v[:20].reshape(5, 4), v[20]) for v in vectors])

    def scripted(self, rate_hz=10.0):
        """(N, 21, 3) both hands of every script, as right ones."""
        frames = []
        for script in SCRIPTS:
            motion = Motion(script, 0)
            for side in (0, 1):
                for time_s in np.arange(0.0, motion.duration_s, 1.0 / rate_hz):
                    pose = motion.hand(side, time_s)
                    frames.append(self(pose.digits, pose.wrist_flexion_deg))
        return np.stack(frames)


@pytest.fixture(scope="session")
def true_hands():
    """Makes hands with exact anatomy; see `TrueHands`."""
    return TrueHands()


@pytest.fixture(scope="session")
def rotation():
    """A function: a random rotation (3, 3) by its seed."""

    def make(seed):
        q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
        return q * np.sign(np.linalg.det(q))

    return make
