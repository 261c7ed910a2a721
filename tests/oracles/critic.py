"""The critic on the released code's weight names, with its slope derived by hand."""

import numpy as np

# (+joint, -joint) of each bone over the 16 joints.
PAIRS = [
    (0, 1),
    (1, 2),
    (3, 4),
    (4, 5),
    (6, 7),
    (7, 8),
    (8, 9),
    (7, 10),
    (10, 11),
    (11, 12),
    (7, 13),
    (13, 14),
    (14, 15),
    (0, 3),
    (0, 6),
    (3, 6),
]


def kcs_matrix():
    """(16, 16), one bone a column."""
    matrix = np.zeros((16, 16))
    for column, (plus, minus) in enumerate(PAIRS):
        matrix[plus, column], matrix[minus, column] = 1, -1
    return matrix


def kcs(pose3d):
    """(48,) -> (16, 16), inner products of bones."""
    joints = np.asarray(pose3d, np.float64).reshape(3, 16).T
    bones = [joints[plus] - joints[minus] for plus, minus in PAIRS]
    return np.array([[a @ b for b in bones] for a in bones])


def score(state, pose3d):
    """(48,) -> a number."""
    return _score_and_gradient(state, pose3d)[0]


def score_gradient(state, pose3d):
    """(48,) -> (48,)."""
    return _score_and_gradient(state, pose3d)[1]


def gradient_penalty(state, real, fake, mix):
    """(B, 48), (B, 48), (B, 1) -> 10 mean (|slope| - 1)^2."""
    terms = []
    for i in range(len(real)):
        between = mix[i] * real[i] + (1 - mix[i]) * fake[i]
        terms.append((np.linalg.norm(score_gradient(state, between)) - 1) ** 2)
    return 10 * np.mean(terms)


def objective(state, real, fake, mix):
    """mean score of the fakes - mean score of the real ones + penalty."""
    distance = np.mean([score(state, x) for x in fake])
    distance -= np.mean([score(state, x) for x in real])
    return distance + gradient_penalty(state, real, fake, mix)


def _score_and_gradient(state, pose3d):
    weight = {k: np.asarray(v, np.float64) for k, v in state.items()}

    def linear(name, x):
        return weight[f"{name}.weight"] @ x + weight[f"{name}.bias"]

    def back(name, slope):
        return weight[f"{name}.weight"].T @ slope

    x = np.asarray(pose3d, np.float64)
    first = linear("fc1", x)
    second = linear("fc2", _lrelu(first))
    third = linear("fc3", _lrelu(second)) + _lrelu(first)
    pose = linear("fc4", _lrelu(third))
    psi = kcs(x)
    fifth = linear("fc5", psi.reshape(-1))
    sixth = linear("fc6", _lrelu(fifth))
    chain = linear("fc7", _lrelu(sixth)) + _lrelu(fifth)
    eighth = linear("fc8", np.concatenate([pose, chain]))
    result = linear("fc9", _lrelu(eighth))[0]

    slope = back("fc8", back("fc9", np.ones(1)) * _slope(eighth))
    slope_pose, slope_chain = slope[:100], slope[100:]
    at_third = back("fc4", slope_pose) * _slope(third)
    at_first = back("fc2", back("fc3", at_third) * _slope(second)) + at_third
    through_pose = back("fc1", at_first * _slope(first))
    at_fifth = back("fc6", back("fc7", slope_chain) * _slope(sixth)) + slope_chain
    at_psi = back("fc5", at_fifth * _slope(fifth)).reshape(16, 16)
    bones = x.reshape(3, 16) @ kcs_matrix()
    through_chain = bones @ (at_psi + at_psi.T) @ kcs_matrix().T
    return result, through_pose + through_chain.reshape(-1)


def _lrelu(x):
    return np.where(x > 0, x, 0.01 * x)


def _slope(x):
    return np.where(x > 0, 1.0, 0.01)
