"""MPI-INF-3DHP's protocol in plain NumPy, float64, one joint at a time.

Written from the definitions and sharing no code with the package.
"""

import numpy as np

COUNTED = [
    "RHip", "RKnee", "RFoot", "LHip", "LKnee", "LFoot", "Thorax", "Head", "LShoulder",
    "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist",
]  # fmt: skip
ORDER = [
    "Hip", "RHip", "RKnee", "RFoot", "LHip", "LKnee", "LFoot", "Spine", "Thorax",
    "Nose", "Head", "LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist",
]  # fmt: skip


def pose_figures(pose, target):
    """(17, 3) metres twice, pelvis at 0, to PCK, AUC (shares) and MPJPE (mm)."""
    error = {}
    for joint, name in enumerate(ORDER):
        squared = 0.0
        for axis in range(3):
            squared += (float(pose[joint][axis]) - float(target[joint][axis])) ** 2
        error[name] = 1000 * squared**0.5
    shares = []
    for threshold in range(0, 151, 5):
        near = 0
        for name in COUNTED:
            if error[name] < threshold:
                near += 1
        shares.append(near / 14)
    assert len(shares) == 31
    return {
        "pck": shares[-1],
        "auc": sum(shares) / 31,
        "mpjpe": sum(error.values()) / 17,
    }


def frame_figures(hypotheses, mode, target):
    """Each figure's best of M, chosen for the figure alone, and the z = 0 pose's."""
    every = [pose_figures(pose, target) for pose in hypotheses]
    z0 = pose_figures(mode, target)
    best = {
        "pck": max(one["pck"] for one in every),
        "auc": max(one["auc"] for one in every),
        "mpjpe": min(one["mpjpe"] for one in every),
    }
    return {name: (best[name], z0[name]) for name in best}


def table(frames, settings, valid):
    """Setting -> figure -> (best, z0), and the number of frames; pooled over frames."""
    groups = {"All": []}
    for figures, setting, counts in zip(frames, settings, valid, strict=True):
        if counts:
            groups.setdefault(str(setting), []).append(figures)
            groups["All"].append(figures)
    return {
        name: {
            "frames": len(group),
            **{
                figure: np.array(
                    [sum(one[figure][i] for one in group) / len(group) for i in (0, 1)]
                )
                for figure in ("pck", "auc", "mpjpe")
            },
        }
        for name, group in groups.items()
    }
