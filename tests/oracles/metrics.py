"""Slow evaluation in plain NumPy, float64, one pose at a time.

Written from the definitions and sharing no code with the package: loops over frames,
hypotheses and joints, an SVD for the alignment.
"""

import itertools

import numpy as np

PCK = [1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16]
CPS = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16]
THRESHOLDS = np.arange(1, 301)


def distances(pose, target):
    """(17, 3) metres twice to (17,) mm."""
    return np.array(
        [1000 * np.linalg.norm(a - b) for a, b in zip(pose, target, strict=True)]
    )


def aligned(pose, target):
    """Similarity Procrustes by SVD, the reflection undone."""
    x, y = pose - pose.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(x.T @ y)
    if np.linalg.det(u @ vt) < 0:
        u[:, -1] *= -1
        s[-1] *= -1
    size = (x**2).sum()
    scale = s.sum() / size if size > 0 else 0.0
    return scale * x @ (u @ vt) + target.mean(0)


def five(z0, errors):
    return [z0, min(errors), np.mean(errors), np.median(errors), max(errors)]


def frame(hypotheses, z0, target):
    """All figures of one frame: (M, 17, 3), (17, 3), (17, 3) metres."""
    hypotheses, z0, target = (np.asarray(a, float) for a in (hypotheses, z0, target))
    raw = [distances(pose, target) for pose in hypotheses]
    fit = [distances(aligned(pose, target), target) for pose in hypotheses]
    return {
        "mpjpe": five(distances(z0, target).mean(), [d.mean() for d in raw]),
        "pa_mpjpe": five(
            distances(aligned(z0, target), target).mean(), [d.mean() for d in fit]
        ),
        "pck": max(np.mean([d[j] <= 150 for j in PCK]) for d in raw),
        "cps_curve": [
            float(any(all(d[j] <= mm for j in CPS) for d in fit)) for mm in THRESHOLDS
        ],
        "spread": 1000 * np.std(hypotheses, axis=0, ddof=1),
        "hits": hits(hypotheses, target),
        "best_of": best_of_all_subsets([d.mean() for d in raw]),
    }


def best_of_all_subsets(errors):
    """Mean over every subset of each size of its least error; few errors only."""
    return {
        size: np.mean([min(chosen) for chosen in itertools.combinations(errors, size)])
        for size in range(1, len(errors) + 1)
    }


def hits(hypotheses, target):
    """(21, 16): is the target nearer the centre than that share of the hypotheses?"""
    count = len(hypotheses)
    result = np.zeros((21, 16))
    for joint in range(1, 17):
        points = hypotheses[:, joint]
        centre = np.array(
            [sorted(points[:, axis])[(count - 1) // 2] for axis in range(3)]
        )
        radii = [np.linalg.norm(point - centre) for point in points]
        radius = np.linalg.norm(target[joint] - centre)
        for level in range(21):
            result[level, joint - 1] = np.quantile(radii, level / 20) > radius
    return result


def calibration_error(all_hits):
    """(N, 21, 16) to the expected calibration error."""
    frequency = np.median(np.mean(all_hits, axis=0), axis=-1)
    return np.mean([abs(frequency[level] - level / 20) for level in range(21)])


def area(curve):
    """Trapezoids between thresholds one mm apart."""
    return sum((a + b) / 2 for a, b in zip(curve[:-1], curve[1:], strict=True))


def table(frames, actions):
    """Mean figures per action, over actions, and over all frames."""

    def mean_of(chosen):
        names = [name for name in chosen[0] if name != "best_of"]
        figures = {k: np.mean([f[k] for f in chosen], axis=0) for k in names}
        figures["cps"] = area(figures["cps_curve"])
        figures["ece"] = calibration_error([f["hits"] for f in chosen])
        return figures

    groups = {}
    for figures, action in zip(frames, actions, strict=True):
        groups.setdefault(action, []).append(figures)
    per_action = {action: mean_of(chosen) for action, chosen in groups.items()}
    average = {
        k: np.mean([f[k] for f in per_action.values()], axis=0)
        for k in next(iter(per_action.values()))
    }
    return per_action, average, mean_of(frames)
