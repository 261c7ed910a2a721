"""People of other sizes and proportions, and of the other hand.

A motion database has few bodies, and a network learns them. Here every pose gets a body
of its own: its bones keep their directions and change their lengths.

In and out: joints (N, 17, 3) mm, H36M-17 order, y up, the floor at y = 0.
"""

from __future__ import annotations

import numpy as np

from jaxflow.skeleton import H36M_JOINTS, H36M_MIRRORED, H36M_PARENTS

SCALE = (0.85, 1.15)  # of the whole body
_SPREAD = 0.05  # logarithmic standard deviation of a limb's length
_MOST = 0.12  # and how far from none it goes

# Bones of one length, named by their far ends; both sides alike.
_LIMBS: tuple[tuple[str, ...], ...] = (
    ("RHip", "LHip"),
    ("RKnee", "LKnee"),
    ("RFoot", "LFoot"),
    ("Spine", "Thorax"),
    ("Nose", "Head"),
    ("LShoulder", "RShoulder"),
    ("LElbow", "RElbow"),
    ("LWrist", "RWrist"),
)


def varied(rng: np.random.Generator, joints: np.ndarray) -> np.ndarray:
    """Each pose with another body, half of them mirrored.

    The lowest joint keeps its height over the floor, in proportion to the body.

    Args:
      rng: of sizes, proportions and hands.
      joints: (N, 17, 3).
    """
    count = len(joints)
    scale = rng.uniform(*SCALE, count)
    limbs = _SPREAD * rng.standard_normal((count, len(_LIMBS)))
    lengths = scale[:, None] * np.exp(np.clip(limbs, -_MOST, _MOST))
    changed = np.empty(joints.shape, np.float64)
    changed[:, 0] = scale[:, None] * joints[:, 0]
    for joint, parent in enumerate(H36M_PARENTS):
        if parent >= 0:
            limb = next(n for n, own in enumerate(_LIMBS) if H36M_JOINTS[joint] in own)
            bone = joints[:, joint] - joints[:, parent]
            changed[:, joint] = changed[:, parent] + lengths[:, limb, None] * bone
    lowest = scale * joints[..., 1].min(axis=1)
    changed[..., 1] += (lowest - changed[..., 1].min(axis=1))[:, None]
    other = rng.random(count) < 0.5
    return np.where(other[:, None, None], mirrored(changed), changed)


def mirrored(joints: np.ndarray) -> np.ndarray:
    """Left and right exchanged, (N, 17, 3)."""
    return joints[:, list(H36M_MIRRORED)] * np.asarray([-1.0, 1.0, 1.0])
