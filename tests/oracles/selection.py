"""Slow rules for one pose out of many, float64, one frame at a time."""

import numpy as np


def mean(hypotheses):
    return sum(np.asarray(pose, float) for pose in hypotheses) / len(hypotheses)


def medoid_index(hypotheses):
    """The hypothesis with the least summed mean joint distance to all others."""
    poses = [np.asarray(pose, float) for pose in hypotheses]
    sums = [
        sum(
            np.mean([np.linalg.norm(a - b) for a, b in zip(one, other, strict=True)])
            for other in poses
        )
        for one in poses
    ]
    return int(np.argmin(sums))
