"""A conditional affine layer around the coupling blocks (not the paper's).

    cond (..., 78) -> Base: m(cond) (..., 48), L(cond) (..., 48, 48) lower triangular
    pose3d = m(cond) + L(cond) r,    r = blocks^-1 [z + t(pose2d, cond), pose2d]

Where the blocks are the identity, as they start, the flow is a Gaussian whose mean and
covariance follow the condition: depths come first in r, so that the latents reach all
numbers of a pose and its covariance may be any of rank 16. The blocks have to learn
only what is not Gaussian. The nets of m, L and t work once a pose; a hypothesis costs
one product of 48 x 48. Everything is exact, in both directions and in the density.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.flow import stack
from jaxflow.maths.layers import apply, precision
from jaxflow.types import Params

# Metres: what the nets' outputs are in units of. A latent starts as so much depth, the
# normalised 2D pose as so much width and height.
_DEPTH, _WIDTH = 0.04, 0.11
MEAN_UNIT, MIXED_UNIT = 0.3, 0.1
LOG_RANGE = (-5.0, 4.0)
PER_JOINT = 6  # numbers of the condition
_OBSERVED = 0.1  # normalised units: the noise of pose2d that the density is of
SMALLEST = 1e-3  # added to variances before their logarithm, (20 px)^2


class Net(nn.Module):
    """Two hidden layers, the second added to the first."""

    hidden: int
    outputs: int
    scale: float

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """(..., F) -> (..., outputs)."""
        first = nn.relu(_dense(self.hidden, 2.0)(inputs))
        second = first + nn.relu(_dense(self.hidden, 2.0)(first))
        return _dense(self.outputs, self.scale)(second)


def _dense(features: int, scale: float) -> nn.Dense:
    kernel = nn.initializers.variance_scaling(scale, "fan_in", "normal")
    init = kernel if scale else nn.initializers.zeros
    return nn.Dense(features, kernel_init=init, precision=precision())


class Base(NamedTuple):
    """The layer for given conditions.

    Attributes:
      mean: (..., D) in the order of `_turned`.
      factor: (..., D, D) lower triangular, positive on the diagonal.
    """

    mean: jax.Array
    factor: jax.Array

    def per_pose(self) -> Base:
        """For columns with an axis of hypotheses behind the batch's."""
        return Base(self.mean[..., None, :], self.factor[..., None, :, :])


def init(key: jax.Array, condition: int, size: int, hidden: int) -> Params:
    """Parameters of the three nets."""
    inputs = jnp.zeros(features(condition), jnp.float32)
    seen = jnp.zeros(features(condition) + 2 * size // 3, jnp.float32)
    mean_key, factor_key, shift_key = jax.random.split(key, 3)
    mean = Net(hidden, size, 0.02)
    factor = Net(hidden, size * (size + 1) // 2, 2e-4)
    shift = Net(hidden, size // 3, 0.0)
    return {
        "mean": mean.init(mean_key, inputs)["params"],
        "factor": factor.init(factor_key, inputs)["params"],
        "shift": shift.init(shift_key, seen)["params"],
    }


def features(condition: int) -> int:
    """How many numbers the nets make of a condition of this length."""
    return condition + 2 * (condition // PER_JOINT)


def shift(params: Params, pose2d: jax.Array, cond: jax.Array) -> jax.Array:
    """t(pose2d, cond): (..., 32), (..., 78) -> (..., 16), added to the latents."""
    inputs = jnp.concatenate([with_logs(cond), pose2d], axis=-1)
    return _net(params["shift"], inputs)


def base(params: Params, cond: jax.Array) -> Base:
    """The layer for conditions (..., 78)."""
    inputs = with_logs(cond)
    mean, numbers = (_net(params[name], inputs) for name in ("mean", "factor"))
    size = mean.shape[-1]
    rows, columns = np.tril_indices(size)
    factor = jnp.zeros((*numbers.shape[:-1], size, size), numbers.dtype)
    factor = factor.at[..., rows, columns].set(MIXED_UNIT * numbers)
    logs = jnp.clip(numbers[..., np.flatnonzero(rows == columns)], *LOG_RANGE)
    diagonal = jnp.asarray(units(size), numbers.dtype) * jnp.exp(logs)
    place = np.arange(size)
    return Base(MEAN_UNIT * mean, factor.at[..., place, place].set(diagonal))


def units(size: int) -> np.ndarray:
    """(D,) metres: the diagonal of L where the net says 0."""
    return np.where(np.arange(size) < size // 3, _DEPTH, _WIDTH)


def _net(params: Params, inputs: jax.Array) -> jax.Array:
    hidden, outputs = params["Dense_2"]["kernel"].shape
    return apply(Net(hidden, outputs, 1.0), params, inputs)


def with_logs(cond: jax.Array) -> jax.Array:
    """The condition, and the logarithms of its variances, which span three decades.

    (..., 78) -> (..., `features`).
    """
    batch, joints = cond.shape[:-1], cond.shape[-1] // PER_JOINT
    variances = cond.reshape(*batch, joints, PER_JOINT)[..., 3::2]
    logs = jnp.log(jnp.maximum(variances, 0) + SMALLEST) / 2 + 2
    return jnp.concatenate([cond, logs.reshape(*batch, 2 * joints)], axis=-1)


def before_blocks(
    pose3d: jax.Array, base: Base, blocks: int
) -> tuple[jax.Array, jax.Array]:
    """pose3d (D, ...) -> the blocks' input (D, ...) and log|det J| (...)."""
    rows = jnp.moveaxis(_turned(pose3d), 0, -1) - base.mean
    factor = jnp.broadcast_to(base.factor, (*rows.shape, rows.shape[-1]))
    solved = jax.scipy.linalg.solve_triangular(factor, rows[..., None], lower=True)
    columns = jnp.moveaxis(solved[..., 0], -1, 0)
    return columns[np.argsort(stack.order(blocks, len(columns)))], -_log_det(base)


def after_blocks(
    columns: jax.Array, base: Base, blocks: int
) -> tuple[jax.Array, jax.Array]:
    """The inverse: (D, ...) -> pose3d (D, ...) and log|det J| (...)."""
    columns = columns[stack.order(blocks, len(columns))]
    factor = jnp.moveaxis(base.factor, (-2, -1), (0, 1))
    product = jnp.einsum("ij...,j...->i...", factor, columns, precision=precision())
    pose = jnp.moveaxis(base.mean, -1, 0) + product
    return _turned(pose, back=True), _log_det(base)


def _turned(columns: jax.Array, back: bool = False) -> jax.Array:
    """x, y, z as z, x, y, or back: (D, ...), each stretch a third."""
    third = columns.shape[0] // 3
    return jnp.roll(columns, -third if back else third, axis=0)


def _log_det(base: Base) -> jax.Array:
    diagonal = jnp.diagonal(base.factor, axis1=-2, axis2=-1)
    return jnp.sum(jnp.log(diagonal), axis=-1)


def hypotheses(
    params: Params, z: jax.Array, pose2d: jax.Array, cond: jax.Array
) -> jax.Array:
    """What the flow draws while its blocks are the identity.

    Args:
      params: of this layer.
      z: (..., M, 16).
      pose2d: (..., 32).
      cond: (..., 78).

    Returns:
      (..., M, 48) network's frame, metres.
    """
    layer, latents = base(params, cond), z.shape[-1]
    reached, observed = jnp.split(layer.factor, [latents], axis=-1)
    z = z + shift(params, pose2d, cond)[..., None, :]
    place = layer.mean + _product(observed, pose2d[..., None])[..., 0]
    moved = _product(z, jnp.swapaxes(reached, -1, -2))
    return jnp.roll(place[..., None, :] + moved, -latents, axis=-1)


def log_prob(
    params: Params, pose3d: jax.Array, pose2d: jax.Array, cond: jax.Array
) -> jax.Array:
    """The flow's `log_prob` (...) while its blocks are the identity.

    Args:
      params: of this layer.
      pose3d: (..., 48).
      pose2d: (..., 32), taken to carry noise of deviation `_OBSERVED`.
      cond: (..., 78).
    """
    layer, latents = base(params, cond), pose3d.shape[-1] // 3
    rows = jnp.roll(pose3d, latents, axis=-1) - layer.mean
    solved = jax.scipy.linalg.solve_triangular(
        layer.factor, rows[..., None], lower=True
    )
    z, predicted = jnp.split(solved[..., 0], [latents], axis=-1)
    z = z - shift(params, predicted, cond)
    normal = jax.scipy.stats.norm.logpdf
    likelihood = jnp.sum(normal(predicted, pose2d, _OBSERVED), axis=-1)
    return jnp.sum(normal(z), axis=-1) + likelihood - _log_det(layer)


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.matmul(a, b, precision=precision())
