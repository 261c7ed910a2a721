"""The coordinates that methods predict in: a regression's whitened residual.

    r = L^-1 (pose3d - m(c)),    pose3d = m(c) + L r,    r (..., 45)

m is a ridge regression in closed form on random ReLU features of what is seen, L L^T
the covariance of what it leaves, along its principal axes. A centred pose has 45
degrees of freedom, and r as many: its covariance over people is the identity, so a loss
that treats all numbers alike, or noise that is alike along all, fits the poses.

What m leaves of training frames is measured by `ridge`'s regressions without their
group of people: its own residuals would look too small, and every sampler would become
too sure. The numbers here are computed from the training frames once and not trained.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.flow import affine
from jaxflow.maths.layers import precision, product
from jaxflow.methods.ridge import Ridge
from jaxflow.types import Batch, Params

SIZE = 45
POSE, POSE2D, CONDITION = 48, 32, 78
# Metres: an untrained model's spread, and the least that an axis may have.
_SPREAD, _LEAST = 0.1, 1e-3
_FAR = 5.0  # deviations beyond which an input is taken for a nearer one
# Evenly spaced; neighbours are too alike to tell the regression more.
MOST_FRAMES = 30_000


class Seen(NamedTuple):
    """What a pose is predicted from, leading axes shared.

    Attributes:
      pose2d: (..., 32).
      cond: (..., 78).
      inputs: (..., `inputs`) both and the logarithms of the variances, standardised.
      features: (..., F + 1) random ones of pose2d and cond, the last is 1.
      centre: (..., 48) m(c).
    """

    pose2d: jax.Array
    cond: jax.Array
    inputs: jax.Array
    features: jax.Array
    centre: jax.Array


class Asked(NamedTuple):
    """How poses are to be drawn.

    Attributes:
      key: of this detected pose alone.
      temperature: () of all noise; 0 gives one pose.
      num_hypotheses: M, static.
    """

    key: jax.Array
    temperature: jax.Array
    num_hypotheses: int


def inputs() -> int:
    """How many numbers methods see of a detected pose."""
    return POSE2D + affine.features(CONDITION)


def basis() -> np.ndarray:
    """(48, 45) orthonormal columns that span the poses of mean zero along each axis."""
    joints = POSE // 3
    each = np.zeros((joints, joints - 1))
    for i in range(joints - 1):  # Helmert's
        each[: i + 1, i], each[i + 1, i] = 1, -(i + 1)
    each /= np.linalg.norm(each, axis=0)
    return np.kron(np.eye(3), each)


def init(key: jax.Array, features: int) -> Params:
    """Before any frames are known: poses spread about their middle.

    Args:
      key: of the random features.
      features: how many.
    """
    kernel_key, bias_key = jax.random.split(key)
    # Not of the logarithms, with which the ridge does worse on people it has not seen.
    size = POSE2D + CONDITION
    kernel = jax.random.normal(kernel_key, (size, features)) / np.sqrt(size)
    return {
        "input": {"place": jnp.zeros(inputs()), "scale": jnp.ones(inputs())},
        "pose": {"place": jnp.zeros(POSE), "scale": jnp.full(POSE, _SPREAD)},
        "features": {
            "kernel": kernel,
            "bias": jax.random.uniform(bias_key, (features,), minval=-1.0),
        },
        "mean": jnp.zeros((features + 1, POSE)),
        "factor": jnp.asarray(_SPREAD * basis(), jnp.float32),
    }


def seen(params: Params, pose2d: jax.Array, cond: jax.Array) -> Seen:
    """What methods know of detected poses (..., 32) with conditions (..., 78)."""
    raw = jnp.concatenate([pose2d, affine.with_logs(cond)], axis=-1)
    place, scale = params["input"]["place"], params["input"]["scale"]
    standard = jnp.clip((raw - place) / scale, -_FAR, _FAR)
    layer = params["features"]
    plain = standard[..., : len(layer["kernel"])]
    hidden = jax.nn.relu(product(plain, layer["kernel"]) + layer["bias"])
    one = jnp.ones((*hidden.shape[:-1], 1), hidden.dtype)
    features = jnp.concatenate([hidden, one], axis=-1)
    centre = product(features, params["mean"])
    return Seen(pose2d, cond, standard, features, centre)


def out_of_group(seen: Seen, means: jax.Array, group: jax.Array) -> Seen:
    """The same with the centre that the regressions without a frame's group give.

    Args:
      seen: of frames (B,).
      means: (G, F + 1, 48).
      group: (B,) int32.
    """
    each = jnp.einsum("bf,gfd->bgd", seen.features, means, precision=precision())
    mine = jnp.take_along_axis(each, group[:, None, None], axis=1)[:, 0]
    return seen._replace(centre=mine)


def residual(params: Params, pose3d: jax.Array, centre: jax.Array) -> jax.Array:
    """Whitened residuals (..., 45) of poses (..., 48)."""
    factor = params["factor"]
    return product(pose3d - centre, factor / jnp.sum(factor**2, axis=0))


def pose(params: Params, r: jax.Array, centre: jax.Array) -> jax.Array:
    """Poses (..., 48) of residuals (..., 45)."""
    return centre + product(r, params["factor"].T)


def log_det(params: Params) -> jax.Array:
    """The log-determinant of `pose` on the 45-dimensional space of centred poses."""
    return jnp.sum(jnp.log(jnp.sum(params["factor"] ** 2, axis=0))) / 2


class Fitted(NamedTuple):
    """What frames give.

    Attributes:
      params: as `init` gives them.
      means: (G, F + 1, 48) for `out_of_group`.
      ridge: for further regressions on the same features.
      residuals: (N, 45) of the frames looked at, out of group.
    """

    params: Params
    means: np.ndarray
    ridge: Ridge
    residuals: np.ndarray


def fit(params: Params, frames: Batch, group: np.ndarray, groups: int) -> Fitted:
    """The regression and the residuals' covariance; the same frames give the same.

    Args:
      params: from `init`.
      frames: (N, ...).
      group: (N,) int32 below ``groups``.
      groups: how many.
    """
    rows = np.linspace(0, len(group) - 1, min(len(group), MOST_FRAMES)).astype(int)
    pose3d, pose2d, cond = (np.asarray(array)[rows] for array in frames)
    raw = np.concatenate([pose2d, affine.with_logs(jnp.asarray(cond))], axis=-1)
    params = {**params, "input": _moments(raw), "pose": _moments(pose3d)}
    features = jax.jit(lambda *frame: seen(params, *frame).features)
    ridge = Ridge(
        lambda rows: np.asarray(features(pose2d[rows], cond[rows])), group[rows], groups
    )
    weights = ridge.fit(pose3d)
    left = ridge.residuals(pose3d, weights) @ basis().astype(np.float32)
    # Of people nobody has seen: the mean of what is left belongs to the error.
    covariance = np.einsum("ni,nj->ij", left, left, dtype=np.float64) / len(left)
    variances, axes = np.linalg.eigh(covariance)
    variances, axes = variances[::-1], axes[:, ::-1]
    deviations = np.sqrt(np.maximum(variances, _LEAST**2))
    factor = (basis() @ axes) * deviations
    params |= {
        "mean": jnp.asarray(weights.all),
        "factor": jnp.asarray(factor, jnp.float32),
    }
    whitened = (left @ axes / deviations).astype(np.float32)
    return Fitted(params, weights.others, ridge, whitened)


def _moments(rows: np.ndarray) -> Params:
    """Mean and deviation along the first axis; a number that never changes is kept."""
    deviation = rows.std(axis=0, dtype=np.float64)
    return {
        "place": jnp.asarray(rows.mean(axis=0, dtype=np.float64), jnp.float32),
        "scale": jnp.asarray(np.maximum(deviation, 1e-3), jnp.float32),
    }
