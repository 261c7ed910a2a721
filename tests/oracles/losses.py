"""The losses pose by pose, and the flow's whole objective, in float64 NumPy."""

import numpy as np

from tests.oracles import critic, flow
from tests.oracles.preprocessing import with_hip

BANDWIDTHS = (0.0025, 0.04, 0.81)
# H36M joints without the hip that answer the 13 joints of the condition.
ANSWERING = [2, 1, 4, 5, 6, 7, 9, 15, 14, 13, 10, 11, 12]


def _kernel(a, b):
    squared = np.sum((np.asarray(a, np.float64) - b) ** 2)
    return sum(beta / (beta + squared) for beta in BANDWIDTHS)


def mmd(x, y, unbiased=False):
    """(B, D), (B, D) -> squared MMD, pair by pair."""
    size = len(x)
    within = across = 0.0
    for i in range(size):
        for j in range(size):
            across += _kernel(x[i], y[j])
            if i != j or not unbiased:
                within += _kernel(x[i], x[j]) + _kernel(y[i], y[j])
    pairs = size * (size - 1) if unbiased else size**2
    return within / pairs - 2 * across / size**2


def mmd_gradient(x, y):
    """Of the biased MMD by x, (B, D)."""

    def slope(a, b):
        squared = np.sum((a - b) ** 2)
        factor = sum(-beta / (beta + squared) ** 2 for beta in BANDWIDTHS)
        return factor * 2 * (a - b)

    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    rows = [
        2 * sum(slope(a, b) for b in x) - 2 * sum(slope(a, b) for b in y) for a in x
    ]
    return np.array(rows) / len(x) ** 2


def best_of_m(hypotheses, pose3d, k):
    """(M, B, 48), (B, 48) -> mean distance of the k best hypotheses' average."""
    total = 0.0
    for i, target in enumerate(pose3d):
        target = with_hip(target)
        candidates = [with_hip(one) for one in hypotheses[:, i]]
        errors = [np.linalg.norm(c - target, axis=1).mean() for c in candidates]
        best = np.argsort(errors, kind="stable")[:k]
        average = sum(candidates[j] for j in best) / k
        total += np.abs(average - target).sum()
    return total / (len(pose3d) * 51)


def heatmap_covariance(hypotheses, cond, needs_both=False):
    """(M, B, 48), (B, 78) -> mean distance of the covariances of uncertain joints."""
    total, threshold = 0.0, 2.1**2 * 0.005**2
    for i, row in enumerate(cond):
        poses = np.array([with_hip(one) for one in hypotheses[:, i]])
        for joint, answer in zip(row.reshape(13, 6), ANSWERING, strict=True):
            c00, c01, c11 = joint[3:].astype(np.float64) * 0.01
            wide = int(c00 > threshold) + int(c11 > threshold)
            if wide < (2 if needs_both else 1):
                continue
            (var_x, cov), (_, var_y) = np.cov(poses[:, answer + 1, :2].T)
            squared = max(c00 - var_x, 0) ** 2 + max(c11 - var_y, 0) ** 2
            total += np.sqrt(squared + (c01 - cov) ** 2 + 1e-30)
    return total / (len(cond) * 13)


def energy_score(hypotheses, pose3d, rolled=False):
    """(M, B, 48), (B, 48) -> the energy score, pair by pair; or of neighbours alone."""

    def distance(a, b):
        joints = [np.linalg.norm(a[j] - b[j]) for j in range(1, 17)]
        whole = np.linalg.norm((a[1:] - b[1:]).ravel())
        return sum(joints) / 16 + whole / 4

    scores = []
    for i, target in enumerate(pose3d):
        poses = [with_hip(one) for one in hypotheses[:, i]]
        count = len(poses)
        error = np.mean([distance(one, with_hip(target)) for one in poses])
        pairs = [(m, n) for m in range(count) for n in range(count) if m != n]
        if rolled:
            pairs = [(m, (m - 1) % count) for m in range(count)]
        spread = np.mean([distance(poses[m], poses[n]) for m, n in pairs])
        scores.append(error - spread / 2)
    return np.mean(scores)


def flow_terms(state, critic_state, batch, noise, frozen=None, factor=flow.FACTOR):
    """The six unweighted terms of the flow's objective, by name.

    ``frozen`` is the state behind what the objective takes as constant (the 2D pose
    within MMD, the latent within L_det); default the same. So finite differences by
    ``state`` alone are the gradient that training follows.
    """
    pose3d, pose2d, cond = (np.asarray(a, np.float64) for a in batch)
    output, _ = flow.forward(state, pose3d, cond, factor)
    constant, _ = flow.forward(frozen or state, pose3d, cond, factor)
    size = pose3d.shape[1] // 3

    def pose(z):
        return flow.inverse(state, np.hstack([z, pose2d]), cond, factor)

    generated = pose(noise.generator_z)
    hypotheses = np.stack([pose(z) for z in noise.hypothesis_z])
    return {
        "l2d": np.mean(np.abs(output[:, size:] - pose2d)),
        "mmd": mmd(
            np.hstack([output[:, :size], constant[:, size:]]),
            np.hstack([noise.mmd_z, pose2d]),
        ),
        "det": np.mean(np.abs(pose(constant[:, :size]) - pose3d)),
        "gen": -np.mean([critic.score(critic_state, one) for one in generated]),
        "best_of_m": best_of_m(hypotheses, pose3d, 5),
        "heatmap": heatmap_covariance(hypotheses, cond),
    }


WEIGHTS = {
    "l2d": 1.0,
    "mmd": 10.0,
    "det": 4.0,
    "gen": 1.0,
    "best_of_m": 4.0,
    "heatmap": 750.0,
}
