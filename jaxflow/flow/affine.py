"""A conditional affine layer around the coupling blocks (not the paper's).

    cond (..., 78) -> Base: m(cond) (..., 48), L(cond) (..., 48, 48) lower triangular
    pose3d = m(cond) + L(cond) r,    r = blocks^-1 [z + t(pose2d, cond), pose2d]

Where the blocks are the identity, as they start, the flow is a Gaussian whose mean and
covariance follow the condition: depths come first in r, so that the latents reach all
numbers of a pose and its covariance may be any of rank 16. The blocks have to learn
only what is not Gaussian. The nets of m, L and t work once a pose; a hypothesis costs
one product of 48 x 48. Everything is exact, in both directions and in the density.

A symmetric layer knows that people and cameras have no left and right: each net is
asked for the picture and for its mirror image, and what it says of sums and differences
of left and right (`mirror`), where a mirror only changes signs, is the mean of the two.
L is triangular in these, so that the mirrored picture's factor is the mirrored factor.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.config import FlowConfig
from jaxflow.flow import mirror, stack
from jaxflow.gaussians.condition import PER_JOINT
from jaxflow.maths.layers import apply, precision, product
from jaxflow.types import Params

# Metres: what the nets' outputs are in units of. A latent starts as so much depth, the
# normalised 2D pose as so much width and height.
_DEPTH, _WIDTH = 0.04, 0.11
MEAN_UNIT, MIXED_UNIT = 0.3, 0.1
LOG_RANGE = (-5.0, 4.0)
_SYMMETRIC = "symmetric"  # what stands around the nets of such a layer
_OBSERVED = 0.1  # normalised units: the noise of pose2d that the density is of
SMALLEST = 1e-3  # added to variances before their logarithm, (20 px)^2


class Net(nn.Module):
    """A hidden layer, and further ones, each added to what it gets."""

    hidden: int
    outputs: int
    scale: float
    depth: int = 1

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """(..., F) -> (..., outputs)."""
        hidden = nn.relu(_dense(self.hidden, 2.0)(inputs))
        for _ in range(self.depth):
            hidden = hidden + nn.relu(_dense(self.hidden, 2.0)(hidden))
        return _dense(self.outputs, self.scale)(hidden)


def _dense(features: int, scale: float) -> nn.Dense:
    kernel = nn.initializers.variance_scaling(scale, "fan_in", "normal")
    init = kernel if scale else nn.initializers.zeros
    return nn.Dense(features, kernel_init=init, precision=precision())


class Base(NamedTuple):
    """The layer for given conditions.

    Attributes:
      mean: (..., D) in the order of `_turned`.
      triangle: (..., D, D) lower triangular, positive on the diagonal: L itself, or
        that of a symmetric layer's sums and differences.
    """

    mean: jax.Array
    triangle: jax.Array


def init(key: jax.Array, config: FlowConfig) -> Params:
    """Parameters of the three nets; a symmetric layer's have a name around them."""
    condition, size = config.condition, 3 * config.joints
    inputs = jnp.zeros(features(condition), jnp.float32)
    seen = jnp.zeros(features(condition) + 2 * size // 3, jnp.float32)
    mean_key, factor_key, shift_key = jax.random.split(key, 3)
    net = functools.partial(Net, config.affine_hidden, depth=config.affine_depth)
    mean, shift = net(size, 0.02), net(size // 3, 0.0)
    factor = net(size * (size + 1) // 2, 2e-4)
    nets = {
        "mean": mean.init(mean_key, inputs)["params"],
        "factor": factor.init(factor_key, inputs)["params"],
        "shift": shift.init(shift_key, seen)["params"],
    }
    return {_SYMMETRIC: nets} if config.affine_symmetric else nets


def nets(params: Params) -> Params:
    """The three nets, by name."""
    return params.get(_SYMMETRIC, params)


def of_nets(params: Params, change: Callable[[Params], Params]) -> Params:
    """Parameters with each net's changed."""
    if symmetric(params):
        return {_SYMMETRIC: of_nets(params[_SYMMETRIC], change)}
    return {name: change(net) for name, net in params.items()}


def symmetric(params: Params) -> bool:
    """Whether the layer is: its parameters say so."""
    return _SYMMETRIC in params


def features(condition: int) -> int:
    """How many numbers the nets make of a condition of this length."""
    return condition + 2 * (condition // PER_JOINT)


def shift(params: Params, pose2d: jax.Array, cond: jax.Array) -> jax.Array:
    """t(pose2d, cond): (..., 32), (..., 78) -> (..., 16), added to the latents."""
    inputs = [jnp.concatenate([with_logs(cond), pose2d], axis=-1)]
    if symmetric(params):
        other = with_logs(mirror.cond(cond)), mirror.pose2d(pose2d)
        inputs.append(jnp.concatenate(other, axis=-1))
    latents = pose2d.shape[-1] // 2
    answer = _answer(params, "shift", inputs, mirror.signs()[:latents])
    return mirror.of_pose(answer) if symmetric(params) else answer


def base(params: Params, cond: jax.Array) -> Base:
    """The layer for conditions (..., 78)."""
    inputs, signs = [with_logs(cond)], mirror.signs()
    if symmetric(params):
        inputs.append(with_logs(mirror.cond(cond)))
    mean = MEAN_UNIT * _answer(params, "mean", inputs, signs)
    size = mean.shape[-1]
    rows, columns = np.tril_indices(size)
    numbers = _answer(params, "factor", inputs, signs[rows] * signs[columns])
    triangle = lower_triangular(numbers, units(size), MIXED_UNIT, LOG_RANGE)
    return Base(mirror.of_pose(mean) if symmetric(params) else mean, triangle)


def factor(params: Params, layer: Base) -> jax.Array:
    """L (..., D, D); of a symmetric layer P T R, of what makes sums and differences.

    P does so of a pose, R of the blocks' input (`parted`).
    """
    if not symmetric(params):
        return layer.triangle
    right = jnp.swapaxes(parted(layer.triangle), -1, -2)
    return jnp.swapaxes(mirror.of_pose(right), -1, -2)


def parted(r: jax.Array) -> jax.Array:
    """Blocks' inputs (..., D) as sums and differences: depths, then the 2D pose's."""
    depths, observed = jnp.split(r, [r.shape[-1] // 3], axis=-1)
    parts = mirror.of_pose(depths), mirror.of_picture(observed)
    return jnp.concatenate(parts, axis=-1)


def _answer(
    params: Params, name: str, inputs: list[jax.Array], signs: np.ndarray
) -> jax.Array:
    """What a net says, or the mean with what it says of the mirror image."""
    net = nets(params)[name]
    answer, *others = (output(net, x) for x in inputs)
    for other in others:
        answer = (answer + jnp.asarray(signs, other.dtype) * other) / 2
    return answer


def output(net: Params, inputs: jax.Array) -> jax.Array:
    """What a `Net` of such parameters says: (..., F) -> (..., outputs)."""
    depth = len(net) - 2
    hidden, outputs = net[f"Dense_{depth + 1}"]["kernel"].shape
    return apply(Net(hidden, outputs, 1.0, depth), net, inputs)


def lower_triangular(
    numbers: jax.Array,
    units: np.ndarray,
    mixed_unit: float,
    log_range: tuple[float, float],
) -> jax.Array:
    """Numbers (..., D (D + 1) / 2), row by row, as a factor (..., D, D).

    Args:
      numbers: those of the diagonal are logarithms.
      units: (D,) what the diagonal is in units of.
      mixed_unit: of what lies below it.
      log_range: bounds of the logarithms.
    """
    size = len(units)
    rows, columns = np.tril_indices(size)
    # Taken from where they are, with a zero behind them for what lies above the
    # diagonal: on a CPU an eighth of the time of putting them where they belong.
    places = np.full((size, size), len(rows), np.int32)
    places[rows, columns] = np.arange(len(rows))
    zero = jnp.zeros((*numbers.shape[:-1], 1), numbers.dtype)
    below = jnp.concatenate([mixed_unit * numbers, zero], axis=-1)[..., places]
    logs = jnp.clip(numbers[..., places.diagonal()], *log_range)
    diagonal = jnp.asarray(units, numbers.dtype) * jnp.exp(logs)
    return jnp.where(np.eye(size, dtype=bool), diagonal[..., None, :], below)


def units(size: int) -> np.ndarray:
    """(D,) metres: the diagonal of L where the net says 0."""
    return np.where(np.arange(size) < size // 3, _DEPTH, _WIDTH)


def with_logs(cond: jax.Array) -> jax.Array:
    """The condition, and the logarithms of its variances, which span three decades.

    (..., 78) -> (..., `features`).
    """
    batch, joints = cond.shape[:-1], cond.shape[-1] // PER_JOINT
    variances = cond.reshape(*batch, joints, PER_JOINT)[..., 3::2]
    logs = jnp.log(jnp.maximum(variances, 0) + SMALLEST) / 2 + 2
    return jnp.concatenate([cond, logs.reshape(*batch, 2 * joints)], axis=-1)


def before_blocks(
    params: Params, pose3d: jax.Array, base: Base, blocks: int
) -> tuple[jax.Array, jax.Array]:
    """pose3d (D, ...) -> the blocks' input (D, ...) and log|det J| (...)."""
    rows = jnp.moveaxis(_turned(pose3d), 0, -1) - base.mean
    columns = jnp.moveaxis(_solved(params, base, rows), -1, 0)
    undone = np.argsort(stack.order(blocks, len(columns))).astype(np.int32)
    return columns[undone], -_log_det(base)


def after_blocks(
    params: Params, columns: jax.Array, base: Base, blocks: int
) -> tuple[jax.Array, jax.Array]:
    """The inverse: (D, ...) -> pose3d (D, ...) and log|det J| (...).

    Columns may have an axis more than the base, of hypotheses, behind it.
    """
    columns = columns[stack.order(blocks, len(columns))]
    mean, log_det = jnp.moveaxis(base.mean, -1, 0), _log_det(base)
    if columns.ndim == mean.ndim:
        # Of one vector, sums and differences are less work than of the factor's rows.
        rows = jnp.moveaxis(columns, 0, -1)
        rows = parted(rows) if symmetric(params) else rows
        rows = product(base.triangle, rows[..., None])[..., 0]
        rows = mirror.of_pose(rows) if symmetric(params) else rows
        pose = mean + jnp.moveaxis(rows, -1, 0)
        return _turned(pose, back=True), log_det
    moving = jnp.moveaxis(factor(params, base), (-2, -1), (0, 1))[..., None]
    moved = jnp.einsum("ij...,j...->i...", moving, columns, precision=precision())
    return _turned(mean[..., None] + moved, back=True), log_det[..., None]


def _turned(columns: jax.Array, back: bool = False) -> jax.Array:
    """x, y, z as z, x, y, or back: (D, ...), each stretch a third."""
    third = columns.shape[0] // 3
    return jnp.roll(columns, -third if back else third, axis=0)


def _solved(params: Params, base: Base, rows: jax.Array) -> jax.Array:
    """The r (..., D) that the factor makes such rows (..., D) of."""
    if symmetric(params):
        rows = mirror.of_pose(rows)
    triangle = jnp.broadcast_to(base.triangle, (*rows.shape, rows.shape[-1]))
    r = jax.scipy.linalg.solve_triangular(triangle, rows[..., None], lower=True)[..., 0]
    return parted(r) if symmetric(params) else r


def _log_det(base: Base) -> jax.Array:
    diagonal = jnp.diagonal(base.triangle, axis1=-2, axis2=-1)
    return jnp.sum(jnp.log(diagonal), axis=-1)


def hypotheses(
    params: Params, layer: Base, z: jax.Array, pose2d: jax.Array, cond: jax.Array
) -> jax.Array:
    """What the flow draws while its blocks are the identity.

    Args:
      params: of this layer.
      layer: `base` of them, for cond.
      z: (..., M, 16).
      pose2d: (..., 32).
      cond: (..., 78).

    Returns:
      (..., M, 48) network's frame, metres.
    """
    latents = z.shape[-1]
    reached, observed = jnp.split(factor(params, layer), [latents], axis=-1)
    z = z + shift(params, pose2d, cond)[..., None, :]
    place = layer.mean + product(observed, pose2d[..., None])[..., 0]
    moved = product(z, jnp.swapaxes(reached, -1, -2))
    return jnp.roll(place[..., None, :] + moved, -latents, axis=-1)


def log_prob(
    params: Params, layer: Base, pose3d: jax.Array, pose2d: jax.Array, cond: jax.Array
) -> jax.Array:
    """The flow's `log_prob` (...) while its blocks are the identity.

    Args:
      params: of this layer.
      layer: `base` of them, for cond.
      pose3d: (..., 48).
      pose2d: (..., 32), taken to carry noise of deviation `_OBSERVED`.
      cond: (..., 78).
    """
    latents = pose3d.shape[-1] // 3
    rows = jnp.roll(pose3d, latents, axis=-1) - layer.mean
    z, predicted = jnp.split(_solved(params, layer, rows), [latents], axis=-1)
    z = z - shift(params, predicted, cond)
    normal = jax.scipy.stats.norm.logpdf
    likelihood = jnp.sum(normal(predicted, pose2d, _OBSERVED), axis=-1)
    return jnp.sum(normal(z), axis=-1) + likelihood - _log_det(layer)
