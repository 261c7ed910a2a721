"""Whose joints names and numbers mean."""

import pytest

from jaxflow.detector.readers.joint_orders import named, of_data_set, skeleton_of
from jaxflow.gaussians.skeletons import SKELETONS
from jaxflow.runs.errors import UserError

H36M = (
    "root right_hip right_knee right_foot left_hip left_knee left_foot spine thorax "
    "neck_base head left_shoulder left_elbow left_wrist right_shoulder right_elbow "
    "right_wrist"
).split()
MPII = (
    "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax "
    "upper_neck head_top right_wrist right_elbow right_shoulder left_shoulder "
    "left_elbow left_wrist"
).split()


@pytest.mark.parametrize("skeleton", list(SKELETONS))
def test_each_by_its_names_here(skeleton):
    joints = SKELETONS[skeleton].joints
    assert named(joints) == (skeleton, tuple(range(len(joints))))


def test_as_other_programs_spell_them():
    assert named(H36M) == ("h36m_17", tuple(range(17)))
    assert named(MPII) == ("mpii_original_16", tuple(range(16)))
    coco = [f"{s} {j}" for j in ("ankle", "knee", "hip") for s in ("left", "right")]
    coco += [f"{s}_{j}" for j in ("eye", "ear", "shoulder") for s in ("L", "R")]
    coco += [f"{j}_{s}" for j in ("elbow", "wrist") for s in ("left", "right")]
    told = named(["nose", *coco])
    assert told.skeleton == "coco_17"
    assert told.order[:5] == (0, 7, 8, 9, 10) and told.order[-2:] == (1, 2)


def test_what_is_not_known():
    posetrack = ["nose", "head_bottom", "head_top", *MPII[:6], *MPII[10:]]
    assert named(posetrack) is None
    assert named([]) is None
    assert of_data_set("Human3.6M") == "h36m_17" and of_data_set("tigers") is None


def test_by_number():
    assert [skeleton_of(n) for n in (18, 33, 133)] == [
        "openpose_18",
        "blazepose_33",
        "coco_17",
    ]
    with pytest.raises(UserError, match="got 19"):
        skeleton_of(19)
