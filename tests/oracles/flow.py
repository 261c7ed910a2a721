"""The conditional flow on the released code's weight names, float64 NumPy.

Blocks one after the other, [features, h] concatenated, nothing hoisted or stacked.
``state`` maps names such as ``inn.module_list.1.s1.0.weight`` to arrays (out, in).
"""

import numpy as np

FACTOR = 0.636


def encode(state, cond):
    """(N, 78) -> (N, 56)."""
    return _two_layers(state, "cond_net", cond)


def forward(state, pose3d, cond, factor=FACTOR):
    """(N, D), (N, K) -> [z, pose2d] (N, D) and log_det (N,)."""
    h = encode(state, cond)
    u = np.asarray(pose3d, np.float64)
    half = u.shape[1] // 2
    log_det = np.zeros(len(u))
    for block in range(_blocks(state)):
        u1, u2 = u[:, :half], u[:, half:]
        s, t = _scale_shift(state, block, "s2", u2, h, factor)
        v1 = u1 * np.exp(s) + t
        log_det += s.sum(1)
        s, t = _scale_shift(state, block, "s1", v1, h, factor)
        v2 = u2 * np.exp(s) + t
        log_det += s.sum(1)
        u = np.hstack([v1, v2])[:, permutation(block, 2 * half)]
    return u, log_det


def inverse(state, output, cond, factor=FACTOR):
    """[z, pose2d] (N, D), (N, K) -> pose3d (N, D)."""
    h = encode(state, cond)
    v = np.asarray(output, np.float64)
    half = v.shape[1] // 2
    for block in reversed(range(_blocks(state))):
        before = np.empty_like(v)
        before[:, permutation(block, 2 * half)] = v
        v1, v2 = before[:, :half], before[:, half:]
        s, t = _scale_shift(state, block, "s1", v1, h, factor)
        u2 = (v2 - t) / np.exp(s)
        s, t = _scale_shift(state, block, "s2", u2, h, factor)
        v = np.hstack([(v1 - t) / np.exp(s), u2])
    return v


def permutation(block, size):
    """What output i of the permutation after this block takes."""
    return np.random.RandomState(block).permutation(size)


def log_prob(state, pose3d, pose2d, cond, scale):
    """log N(z; 0, I) + log N(pose2d_hat; pose2d, scale^2 I) + log|det J|, (N,)."""
    output, log_det = forward(state, pose3d, cond)
    size = output.shape[1] // 3
    z, predicted = output[:, :size], output[:, size:]
    residual = (predicted - pose2d) / scale
    total = log_det - 0.5 * (z**2).sum(1) - 0.5 * (residual**2).sum(1)
    return total - 0.5 * 3 * size * np.log(2 * np.pi) - 2 * size * np.log(scale)


def _scale_shift(state, block, net, features, h, factor):
    inputs = np.hstack([features, h])
    output = _two_layers(state, f"inn.module_list.{2 * block + 1}.{net}", inputs)
    s, t = np.split(output, 2, axis=1)
    return 2 * factor * np.arctan(s / 2), t


def _two_layers(state, prefix, x):
    hidden = np.maximum(_linear(state, f"{prefix}.0", x), 0)
    return _linear(state, f"{prefix}.2", hidden)


def _linear(state, prefix, x):
    weight = np.asarray(state[f"{prefix}.weight"], np.float64)
    return x @ weight.T + np.asarray(state[f"{prefix}.bias"], np.float64)


def _blocks(state):
    return sum(name.endswith("s1.0.weight") for name in state)
