"""Joint numbers against the lists of the method, and the skeleton as a tree."""

import numpy as np

from jaxflow import skeleton
from tests.oracles import critic as critic_oracle
from tests.oracles import losses as losses_oracle
from tests.oracles import preprocessing as preprocessing_oracle


def test_joint_orders():
    assert skeleton.MPII_TO_H36M == (
        3,
        2,
        1,
        4,
        5,
        6,
        0,
        7,
        8,
        10,
        16,
        15,
        14,
        11,
        12,
        13,
    )
    assert (skeleton.HIP, skeleton.RIGHT_HIP, skeleton.LEFT_HIP) == (0, 1, 4)
    assert (skeleton.RIGHT_HIP_16, skeleton.LEFT_HIP_16) == (0, 3)
    assert "Nose" not in skeleton.MPII_JOINTS and len(set(skeleton.MPII_JOINTS)) == 16


def test_joints_of_condition_and_covariance_loss():
    assert list(skeleton.CONDITIONED_MPII) == preprocessing_oracle.CONDITIONED
    assert list(skeleton.CONDITIONED_H36M_16) == losses_oracle.ANSWERING


def test_kcs_pairs():
    assert list(skeleton.KCS_PAIRS) == critic_oracle.PAIRS


def test_scored_joints():
    assert skeleton.PCK_JOINTS == (1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16)
    assert skeleton.CPS_JOINTS == (*range(7), *range(8, 17))


def _reached(bones, joints):
    seen = {0}
    for _ in range(joints):
        seen |= {b for a, b in bones if a in seen} | {a for a, b in bones if b in seen}
    return seen


def test_bones_join_every_joint_once():
    assert len(skeleton.H36M_BONES) == 16
    assert _reached(skeleton.H36M_BONES, 17) == set(range(17))
    assert len(skeleton.MPII_BONES) == 15
    assert _reached(skeleton.MPII_BONES, 16) == set(range(16))


def test_left_and_right_mirror_each_other():
    def mirrored(name):
        swap = {"R": "L", "L": "R"}
        return swap[name[0]] + name[1:] if name[1:2].isupper() else name

    for names, bones in (
        (skeleton.H36M_JOINTS, skeleton.H36M_BONES),
        (skeleton.MPII_JOINTS, skeleton.MPII_BONES),
    ):
        named = {frozenset((names[a], names[b])) for a, b in bones}
        assert named == {frozenset(map(mirrored, bone)) for bone in named}
    assert np.all(np.array(skeleton.H36M_PARENTS[1:]) < np.arange(1, 17))
