"""Joint orders of common 2D detectors, and how MPII-16 is made of their joints.

Kept beside ``skeleton``, which holds the orders of this project: these tables belong to
other people's software and grow with the detectors people bring.

Every MPII joint is a weighted sum of *groups*; a group is the mean of those of its
joints that were detected. What the foreign skeleton lacks is synthesised:

* Hip (pelvis): midpoint of the hips. Spine: midway between pelvis and thorax. Thorax:
  midpoint of the shoulders, or the neck where the detector has one.
* Head (top of the head): with no such joint, the face (nose, eyes, ears: all about
  93 % of the way up a standing body) seen from the thorax (82 %), prolonged to the top
  (100 %): thorax + 1.6 (face - thorax). It rests on average proportions and leans with
  the face, so its error is several centimetres more than that of a detected joint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from jaxflow.skeleton import H36M_JOINTS, MPII_JOINTS, MPII_TO_H36M

# Prolongs thorax -> face to the top of the head: (1 - 0.82) / (0.93 - 0.82).
HEAD_PROLONGATION = 1.6

Groups = Mapping[str, tuple[str, ...]]
Sums = Mapping[str, tuple[tuple[float, str], ...]]


class ForeignSkeleton(NamedTuple):
    """A detector's joints and what MPII-16 is made of.

    Attributes:
      joints: names in the detector's order.
      groups: name to the joints it is the mean of.
      sums: MPII joint to its (weight, group) terms; the weights add up to one.
    """

    joints: tuple[str, ...]
    groups: Groups
    sums: Sums


_LIMBS = {
    f"{side[0]}{mpii}": (f"{side}{foreign}",)
    for side in ("Right", "Left")
    for mpii, foreign in (
        ("Foot", "Ankle"), ("Knee", "Knee"), ("Hip", "Hip"),
        ("Wrist", "Wrist"), ("Elbow", "Elbow"), ("Shoulder", "Shoulder"),
    )
}  # fmt: skip
_FACE = ("Nose", "LeftEye", "RightEye", "LeftEar", "RightEar")


def _with_limbs(
    joints: tuple[str, ...],
    pelvis: tuple[str, ...],
    thorax: tuple[str, ...],
    head: tuple[str, ...] | None,
) -> ForeignSkeleton:
    """A skeleton with the usual limbs; ``head`` is its top of the head, if any."""
    groups = {**_LIMBS, "Hip": pelvis, "Thorax": thorax, "Head": head or _FACE}
    sums: dict[str, tuple[tuple[float, str], ...]]
    sums = {name: ((1.0, name),) for name in MPII_JOINTS}
    sums["Spine"] = ((0.5, "Hip"), (0.5, "Thorax"))
    if head is None:
        beyond = HEAD_PROLONGATION
        sums["Head"] = ((beyond, "Head"), (1 - beyond, "Thorax"))
    return ForeignSkeleton(joints, groups, sums)


_HIPS, _SHOULDERS = ("LeftHip", "RightHip"), ("LeftShoulder", "RightShoulder")

COCO_17 = _with_limbs(
    (
        "Nose", "LeftEye", "RightEye", "LeftEar", "RightEar", "LeftShoulder",
        "RightShoulder", "LeftElbow", "RightElbow", "LeftWrist", "RightWrist",
        "LeftHip", "RightHip", "LeftKnee", "RightKnee", "LeftAnkle", "RightAnkle",
    ),
    pelvis=_HIPS, thorax=_SHOULDERS, head=None,
)  # fmt: skip

BODY_25 = _with_limbs(
    (
        "Nose", "Neck", "RightShoulder", "RightElbow", "RightWrist", "LeftShoulder",
        "LeftElbow", "LeftWrist", "MidHip", "RightHip", "RightKnee", "RightAnkle",
        "LeftHip", "LeftKnee", "LeftAnkle", "RightEye", "LeftEye", "RightEar",
        "LeftEar", "LeftBigToe", "LeftSmallToe", "LeftHeel", "RightBigToe",
        "RightSmallToe", "RightHeel",
    ),
    pelvis=("MidHip",), thorax=("Neck",), head=None,
)  # fmt: skip

HALPE_26 = _with_limbs(
    (
        *COCO_17.joints, "Head", "Neck", "Hip", "LeftBigToe", "RightBigToe",
        "LeftSmallToe", "RightSmallToe", "LeftHeel", "RightHeel",
    ),
    pelvis=("Hip",), thorax=("Neck",), head=("Head",),
)  # fmt: skip

# Nothing to synthesise: every MPII joint is one of Human3.6M's.
H36M_17 = ForeignSkeleton(
    H36M_JOINTS,
    {m: (H36M_JOINTS[h],) for m, h in zip(MPII_JOINTS, MPII_TO_H36M, strict=True)},
    {name: ((1.0, name),) for name in MPII_JOINTS},
)

MPII_16 = ForeignSkeleton(
    MPII_JOINTS,
    {name: (name,) for name in MPII_JOINTS},
    {name: ((1.0, name),) for name in MPII_JOINTS},
)

# As the MPII data set has them, and networks trained on it: where this project's order
# has the spine and the thorax, the thorax and a neck above it.
MPII_ORIGINAL_16 = ForeignSkeleton(
    tuple({"Spine": "Thorax", "Thorax": "UpperNeck"}.get(j, j) for j in MPII_JOINTS),
    {name: (name,) for name in MPII_JOINTS if name != "Spine"},
    {
        name: ((1.0, name),) if name != "Spine" else ((0.5, "Hip"), (0.5, "Thorax"))
        for name in MPII_JOINTS
    },
)

# OpenPose before BODY_25, trained on COCO with a neck between the shoulders.
OPENPOSE_18 = _with_limbs(
    (
        "Nose", "Neck", "RightShoulder", "RightElbow", "RightWrist", "LeftShoulder",
        "LeftElbow", "LeftWrist", "RightHip", "RightKnee", "RightAnkle", "LeftHip",
        "LeftKnee", "LeftAnkle", "RightEye", "LeftEye", "RightEar", "LeftEar",
    ),
    pelvis=_HIPS, thorax=("Neck",), head=None,
)  # fmt: skip

# MediaPipe Pose.
BLAZEPOSE_33 = _with_limbs(
    (
        "Nose", "LeftEyeInner", "LeftEye", "LeftEyeOuter", "RightEyeInner", "RightEye",
        "RightEyeOuter", "LeftEar", "RightEar", "MouthLeft", "MouthRight",
        "LeftShoulder", "RightShoulder", "LeftElbow", "RightElbow", "LeftWrist",
        "RightWrist", "LeftPinky", "RightPinky", "LeftIndex", "RightIndex", "LeftThumb",
        "RightThumb", "LeftHip", "RightHip", "LeftKnee", "RightKnee", "LeftAnkle",
        "RightAnkle", "LeftHeel", "RightHeel", "LeftFootIndex", "RightFootIndex",
    ),
    pelvis=_HIPS, thorax=_SHOULDERS, head=None,
)  # fmt: skip

# COCO-WholeBody: feet, face and hands, of which nothing is used, follow the body.
WHOLEBODY_133 = COCO_17._replace(
    joints=(*COCO_17.joints, *(f"Detail{i}" for i in range(17, 133)))
)

SKELETONS: Mapping[str, ForeignSkeleton] = {
    "mpii_16": MPII_16,
    "mpii_original_16": MPII_ORIGINAL_16,
    "h36m_17": H36M_17,
    "coco_17": COCO_17,
    "openpose_18": OPENPOSE_18,
    "body_25": BODY_25,
    "halpe_26": HALPE_26,
    "blazepose_33": BLAZEPOSE_33,
    "wholebody_133": WHOLEBODY_133,
}
