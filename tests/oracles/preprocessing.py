"""The network's inputs, joint by joint in float64 NumPy: slow and literal."""

import math

import numpy as np

# H36M-17 poses and MPII-16 detections; the joints whose Gaussians condition the flow.
CONDITIONED = [0, 1, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15]


def normalize_pose3d(pose):
    """(17, 3) metres, y down, z away -> (48,) without hip, centred, y up, z nearer."""
    out = []
    for axis, sign in ((0, 1), (1, -1), (2, -1)):
        values = [float(pose[joint][axis]) for joint in range(1, 17)]
        mean = sum(values) / 16
        out += [sign * (value - mean) for value in values]
    return np.array(out)


def normalize_pose2d(pixels):
    """(16, 2) pixels, y down -> (32,) centred, y up, unit standard deviation."""
    out = []
    for axis, sign in ((0, 1), (1, -1)):
        values = [float(pixels[joint][axis]) for joint in range(16)]
        mean = sum(values) / 16
        out += [sign * (value - mean) for value in values]
    mean = sum(out) / 32
    deviation = math.sqrt(sum((value - mean) ** 2 for value in out) / 32)
    return np.array([value / deviation for value in out])


def condition(fits):
    """(16, 7) fits A, x0, y0, sx, theta, sy, rmse -> (78,)."""
    fits = np.asarray(fits, np.float64)
    means = normalize_pose2d(np.clip(fits[:, 1:3], 0, 63))
    out = []
    for joint in CONDITIONED:
        amplitude, _, _, sx, theta, sy, _ = fits[joint]
        sigmas = []
        for sigma in (sx, sy):
            sigma = min(max(abs(sigma), 0.2), 10.0)
            sigmas.append((2 * sigma if sigma > 2.1 else sigma) / 20)
        theta = theta % math.pi
        turn = np.array(
            [[math.cos(theta), -math.sin(theta)], [math.sin(theta), math.cos(theta)]]
        )
        covariance = turn @ np.diag(np.square(sigmas)) @ turn.T
        out += [min(max(amplitude, 0.0), 1.2), means[joint], means[16 + joint]]
        out += [covariance[0, 0], covariance[0, 1], covariance[1, 1]]
    return np.array(out)


def with_hip(vector):
    """(48,) -> (17, 3) with the hips' midpoint as joint 0 and as the origin."""
    joints = np.asarray(vector, np.float64).reshape(3, 16).T
    hip = (joints[0] + joints[3]) / 2
    return np.vstack([np.zeros(3), joints - hip])


def camera_pose(vector):
    """(48,) -> (17, 3) metres, hip at the origin, y down, z away."""
    return with_hip(vector) * np.array([1, -1, -1])
