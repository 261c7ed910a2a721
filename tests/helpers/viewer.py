"""A standing figure whose left and right, up and down, near and far are known."""

import numpy as np

from jaxflow import skeleton
from jaxflow.reporting.viewer import viewer
from jaxflow.types import Hypotheses

_RIGHT_SIDE = {
    "Hip": (0.13, 0.0, 0.0),
    "Knee": (0.13, 0.45, 0.0),
    "Foot": (0.13, 0.9, 0.0),
    "Shoulder": (0.15, -0.5, 0.0),
    "Elbow": (0.4, -0.5, 0.2),
    "Wrist": (0.6, -0.5, 0.5),
}
_MIDDLE = {
    "Hip": (0.0, 0.0, 0.0),
    "Spine": (0.0, -0.25, 0.0),
    "Thorax": (0.0, -0.5, 0.0),
    "Nose": (0.0, -0.6, 0.0),
    "Head": (0.0, -0.7, 0.0),
}


def standing():
    """(17, 3) metres: faces the camera, left arm back and to the picture's right."""
    joints = []
    for name in skeleton.H36M_JOINTS:
        if name in _MIDDLE:
            joints.append(_MIDDLE[name])
            continue
        x, y, z = _RIGHT_SIDE[name[1:]]
        joints.append((x, y, z) if name[0] == "L" else (-x, y, -z))
    return np.array(joints, np.float32)


def viewer_pose(title="A pose", count=12, seed=0, detail="a line about it", **fields):
    """A frame of the standing figure with hypotheses that scatter along the depth."""
    rng = np.random.default_rng(seed)
    pose = standing()
    noise = rng.normal(size=(count, 17, 3)) * [0.02, 0.02, 0.12]
    flat = 128 + 100 * pose[list(skeleton.MPII_TO_H36M), :2]
    fit = np.ones((16, 7), np.float32)
    fit[:, 1:3], fit[:, [3, 5]], fit[:, 4] = flat / 4, (3.0, 2.0), 0.5
    frame = Hypotheses(
        poses=(pose + noise).astype(np.float32),
        log_density=-20 - 4 * rng.random(count),
        mode=pose * 0.95,
        pose2d=flat,
        fit=fit,
        target=pose,
    )
    picture = fields.pop("picture", None)
    return viewer.ViewerPose(title, detail, frame._replace(**fields), picture)
