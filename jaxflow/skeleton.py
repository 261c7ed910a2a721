"""Joint names, orders and bones: the only file that holds joint numbers.

Three orders occur (paper section 4.2; the detector is trained on MPII):

* H36M-17, the order of 3D poses, joint 0 the hip (pelvis);
* H36M-16, the same without the hip: what the network sees (H36M-17 index minus one);
* MPII-16, the order of 2D detections and of the fitted Gaussians.
"""

from collections.abc import Sequence

# A pixel of the 64-px heatmap in pixels of the 256-px crop; no offset between them.
CROP_PER_HEATMAP = 4.0

H36M_JOINTS: tuple[str, ...] = (
    "Hip", "RHip", "RKnee", "RFoot", "LHip", "LKnee", "LFoot", "Spine", "Thorax",
    "Nose", "Head", "LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist",
)  # fmt: skip

MPII_JOINTS: tuple[str, ...] = (
    "RFoot", "RKnee", "RHip", "LHip", "LKnee", "LFoot", "Hip", "Spine", "Thorax",
    "Head", "RWrist", "RElbow", "RShoulder", "LShoulder", "LElbow", "LWrist",
)  # fmt: skip


def _h36m(names: Sequence[str]) -> tuple[int, ...]:
    return tuple(H36M_JOINTS.index(name) for name in names)


HIP, RIGHT_HIP, LEFT_HIP = _h36m(("Hip", "RHip", "LHip"))

# The same hips in H36M-16, where the midpoint of the two stands for the pelvis.
RIGHT_HIP_16, LEFT_HIP_16 = RIGHT_HIP - 1, LEFT_HIP - 1

# H36M-17 joint that answers each MPII joint. The nose has no MPII counterpart.
MPII_TO_H36M: tuple[int, ...] = _h36m(MPII_JOINTS)


def _mirrored(names: Sequence[str]) -> tuple[int, ...]:
    other = {"L": "R", "R": "L"}
    return tuple(names.index(other.get(n[0], n[0]) + n[1:]) for n in names)


# Which joint each one becomes where left and right are exchanged.
H36M_MIRRORED = _mirrored(H36M_JOINTS)
MPII_MIRRORED = _mirrored(MPII_JOINTS)

# Joints whose Gaussian enters the condition: all but the three at the root, which the
# alignment of 3D poses holds almost still.
CONDITIONED_MPII: tuple[int, ...] = tuple(
    i for i, name in enumerate(MPII_JOINTS) if name not in ("RHip", "LHip", "Hip")
)
# The H36M-16 joint that answers each conditioned joint.
CONDITIONED_H36M_16: tuple[int, ...] = tuple(
    MPII_TO_H36M[i] - 1 for i in CONDITIONED_MPII
)

# Parent of each H36M-17 joint; -1 marks the root.
H36M_PARENTS: tuple[int, ...] = (
    -1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15,
)  # fmt: skip
H36M_BONES: tuple[tuple[int, int], ...] = tuple(
    (parent, child) for child, parent in enumerate(H36M_PARENTS) if parent >= 0
)

# The joints where the skeleton ends: feet, head and wrists.
H36M_ENDS: tuple[int, ...] = _h36m(("RFoot", "LFoot", "Head", "LWrist", "RWrist"))

# Bones of the 2D skeleton in MPII-16 order, for drawing.
MPII_BONES: tuple[tuple[int, int], ...] = tuple(
    (MPII_JOINTS.index(a), MPII_JOINTS.index(b))
    for a, b in (
        ("RFoot", "RKnee"), ("RKnee", "RHip"), ("RHip", "Hip"), ("LHip", "Hip"),
        ("LKnee", "LHip"), ("LFoot", "LKnee"), ("Hip", "Spine"), ("Spine", "Thorax"),
        ("Thorax", "Head"), ("Thorax", "RShoulder"), ("RShoulder", "RElbow"),
        ("RElbow", "RWrist"), ("Thorax", "LShoulder"), ("LShoulder", "LElbow"),
        ("LElbow", "LWrist"),
    )
)  # fmt: skip

# Columns of the kinematic chain space matrix C, each the difference of two H36M-16
# joints (signs as in the released critic).
KCS_PAIRS: tuple[tuple[int, int], ...] = (
    (0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (7, 10), (10, 11),
    (11, 12), (7, 13), (13, 14), (14, 15), (0, 3), (0, 6), (3, 6),
)  # fmt: skip

# Joints that count for PCK and, all together, for the correct poses score.
PCK_JOINTS: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16)
CPS_JOINTS: tuple[int, ...] = tuple(j for j in range(17) if j != 7)
