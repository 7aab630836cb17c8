"""The hand's skin: closed, oriented, carried by its bones."""

from __future__ import annotations

import numpy as np

from vitpose_ros.synthetic.anatomy import (
    BONES,
    FOREARM,
    PALM,
    HandPose,
    bone_maps,
    hand21_m,
    rest_hand21_mm,
)
from vitpose_ros.synthetic.mesh import hand_mesh


def test_the_skin_is_closed_and_turned_outwards() -> None:
    mesh = hand_mesh()
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    forward = {tuple(edge) for edge in edges.tolist()}
    assert len(forward) == len(edges)
    assert all((b, a) in forward for a, b in forward)
    a, b, c = (mesh.vertices_mm[mesh.faces[:, k]] for k in range(3))
    # Clockwise in an image, so the right-hand rule points inwards, and this volume is positive.
    litres = np.einsum("ij,ij->i", a, np.cross(c, b)).sum() / 6e6
    assert 1.0 < litres < 4.0
    outwards = np.einsum("ij,ij->i", np.cross(b - a, c - a), mesh.normals[mesh.faces[:, 0]])
    assert (outwards < 0).mean() > 0.99


def test_every_joint_lies_in_the_flesh() -> None:
    mesh = hand_mesh()
    for joint in rest_hand21_mm():
        gap = mesh.vertices_mm - joint
        nearest = np.argsort((gap * gap).sum(axis=1))[:8]
        assert (np.einsum("ij,ij->i", gap[nearest], mesh.normals[nearest]) > 0).all()


def test_influence_is_shared_out_whole() -> None:
    mesh = hand_mesh()
    assert mesh.influence.shape == (len(mesh.vertices_mm), BONES + 16)
    assert np.allclose(mesh.influence.sum(axis=1), 1.0)
    assert (mesh.influence >= 0).all()
    arm = mesh.vertices_mm[:, 0] < -60
    assert (mesh.influence[arm, FOREARM] > 0.95).all()


def test_an_unbent_pose_puts_the_resting_hand_where_the_wrist_is() -> None:
    place = np.array((0.1, 0.3, -0.4))
    pose = HandPose(np.zeros((5, 4)), wrist_m=place)
    bones, joints = bone_maps(pose, 1.0, place - (0.3, 0.0, 0.0))
    assert np.allclose(bones, bones[PALM]) and np.allclose(joints, bones[PALM])
    assert np.allclose(hand21_m(bones) - place, rest_hand21_mm() * 1e-3)


def test_flexion_bends_fingers_towards_the_palm() -> None:
    digits = np.zeros((5, 4))
    digits[1:, 0] = 60.0
    place = np.array((0.0, 0.3, 0.0))
    straight = hand21_m(bone_maps(HandPose(np.zeros((5, 4))), 1.0, -place)[0])
    bent = hand21_m(bone_maps(HandPose(digits), 1.0, -place)[0])
    for tip in (8, 12, 16, 20):
        assert bent[tip, 2] < straight[tip, 2] - 0.04
    assert np.allclose(bent[[0, 4, 5, 9, 13, 17]], straight[[0, 4, 5, 9, 13, 17]])
