"""Which joints a camera cannot see because the person's own body is in front.

Every bone is a capsule; a joint is hidden where its line of sight passes through a bone
that it does not belong to and that is nearer to the camera.
"""

from __future__ import annotations

import numpy as np

from jaxflow.skeleton import H36M_BONES, H36M_JOINTS

# Radius of the flesh round each bone in mm, named by the bone's far end.
_RADII: dict[str, float] = {
    "Hip": 100.0,
    "Knee": 75.0,
    "Foot": 50.0,
    "Spine": 120.0,
    "Thorax": 125.0,
    "Nose": 60.0,
    "Head": 95.0,
    "Shoulder": 80.0,
    "Elbow": 45.0,
    "Wrist": 38.0,
}

_CHUNK = 2048  # frames at a time, to stay in cache


def hidden(joints: np.ndarray) -> np.ndarray:
    """Self-occlusion of a body.

    Args:
      joints: (F, 17, 3) mm, H36M-17 order, camera frame (z away).

    Returns:
      (F, 17) bool, True where another part of the body is in front of the joint.
    """
    chunks = [
        _hidden_chunk(joints[start : start + _CHUNK].astype(np.float32))
        for start in range(0, len(joints), _CHUNK)
    ]
    return np.concatenate(chunks) if chunks else np.zeros((0, 17), bool)


def _hidden_chunk(joints: np.ndarray) -> np.ndarray:
    sight = joints[..., :2] / joints[..., 2:]  # where each joint is seen
    covered = np.zeros(joints.shape[:-1], bool)
    for parent, child in H36M_BONES:
        radius = _RADII[H36M_JOINTS[child].removeprefix("L").removeprefix("R")]
        start, bone = sight[:, None, parent], sight[:, None, child]
        bone = bone - start
        along = np.sum((sight - start) * bone, -1) / (np.sum(bone * bone, -1) + 1e-12)
        along = np.clip(along, 0, 1)
        # Inverse depth, not depth, is linear in the picture.
        inverse = (1 - along) / joints[:, None, parent, 2]
        inverse = inverse + along / joints[:, None, child, 2]
        beside = np.linalg.norm(sight - start - along[..., None] * bone, axis=-1)
        in_front = 1 / inverse < joints[..., 2] - radius
        behind = in_front & (beside / inverse < radius)
        behind[:, [parent, child]] = False
        covered |= behind
    return covered
