"""Calibration: does the target lie among the hypotheses as often as they claim?

In: hypotheses (..., M, 17, 3) and targets (..., 17, 3), H36M-17, metres, hips at the
origin, not aligned. Out: shares of frames. A calibrated sampler of 200 scores an error
of about 0.005, the same at half its spread 0.35. Training that rewards the best of M
alone makes a sampler over-confident, so this stands beside every best-of-M figure.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.maths import checks

_STEPS = 20
CALIBRATION_LEVELS = tuple(q / _STEPS for q in range(_STEPS + 1))


class Calibration(NamedTuple):
    """How often the target lies as far out as the hypotheses say it should.

    Attributes:
      ece: () expected calibration error, the mean of |frequency - levels|.
      levels: (21,) 0, 0.05, ..., 1.
      frequency: (21,) the median joint's share of frames whose target lies within that
        quantile of its hypotheses. Below the levels: over-confident.
    """

    ece: jax.Array
    levels: jax.Array
    frequency: jax.Array


@checks.promoting
def calibration(
    hypotheses: jax.typing.ArrayLike, target: jax.typing.ArrayLike
) -> Calibration:
    """Expected calibration error of sets of hypotheses.

    Args:
      hypotheses: (..., M, 17, 3) metres, not aligned.
      target: (..., 17, 3) metres.

    Returns:
      Shares over all frames together.

    Raises:
      ValueError: as ``mpjpe``.

    Source: Pierzchlewicz et al. 2022; not in the paper.
    """
    hits = calibration_hits(hypotheses, target)
    return calibration_of_shares(jnp.mean(hits, axis=tuple(range(hits.ndim - 2))))


def calibration_of_shares(shares: jax.Array) -> Calibration:
    """From (21, 16), the share of frames that hit, per level and joint."""
    levels = jnp.asarray(CALIBRATION_LEVELS, shares.dtype)
    frequency = jnp.median(shares, axis=-1)
    return Calibration(jnp.mean(jnp.abs(frequency - levels)), levels, frequency)


@checks.promoting
def calibration_hits(
    hypotheses: jax.typing.ArrayLike, target: jax.typing.ArrayLike
) -> jax.Array:
    """Where the target lies inside the hypotheses' quantiles.

    Distances are from the hypotheses' centre, their `lower_median`. A hit at level q:
    the q-quantile of the hypotheses' distances, linearly interpolated, exceeds the
    target's.

    Args:
      hypotheses: (..., M, 17, 3) metres.
      target: (..., 17, 3) metres.

    Returns:
      (..., 21, 16) ones and zeros, per level and joint, the root left out.

    Raises:
      ValueError: as ``mpjpe``.
    """
    hypotheses, target = check_hypotheses(hypotheses, target)
    hypotheses, target = hypotheses[..., 1:, :], target[..., 1:, :]
    centre = lower_median(hypotheses, axis=-3)
    radii = jnp.linalg.norm(hypotheses - centre[..., None, :, :], axis=-1)
    levels = jnp.asarray(CALIBRATION_LEVELS, radii.dtype)
    reach = jnp.quantile(radii, levels, axis=-2)  # (21, ..., 16)
    hits = reach > jnp.linalg.norm(target - centre, axis=-1)
    return jnp.moveaxis(hits, 0, -2).astype(radii.dtype)


def lower_median(hypotheses: jax.Array, axis: int) -> jax.Array:
    """The median of each coordinate; of an even number the lower of the middle two."""
    middle = (hypotheses.shape[axis] - 1) // 2
    ordered = jnp.sort(hypotheses, axis=axis)
    return jax.lax.index_in_dim(ordered, middle, axis, keepdims=False)


def check_hypotheses(
    hypotheses: jax.typing.ArrayLike, target: jax.typing.ArrayLike
) -> tuple[jax.Array, jax.Array]:
    """Refuses a target that is not one pose a set of hypotheses."""
    hypotheses = checks.floating("hypotheses", hypotheses, (None, 17, 3))
    target = checks.floating("target", target, (17, 3))
    checks.same_batch(hypotheses=hypotheses.shape[:-3], target=target.shape[:-2])
    return hypotheses, target


@checks.promoting
def axis_hits(
    hypotheses: jax.typing.ArrayLike, target: jax.typing.ArrayLike
) -> jax.Array:
    """Where each coordinate of the target lies inside its hypotheses' quantiles.

    As `calibration_hits` of one coordinate at a time: a bias along one axis, which
    distances hardly see, shows here. A hit at level q: less than that share of the
    hypotheses are nearer to their median than the target is.

    Args:
      hypotheses: (..., M, 17, 3) metres.
      target: (..., 17, 3) metres.

    Returns:
      (..., 21, 16, 3) ones and zeros, per level, joint and axis, the root left out.

    Raises:
      ValueError: as ``mpjpe``.
    """
    hypotheses, target = check_hypotheses(hypotheses, target)
    hypotheses, target = hypotheses[..., 1:, :], target[..., 1:, :]
    centre = lower_median(hypotheses, axis=-3)
    distance = jnp.abs(target - centre)[..., None, :, :]
    nearer = jnp.abs(hypotheses - centre[..., None, :, :]) < distance
    # Whole numbers, since a share that equals its level is rounded to either side.
    count = _STEPS * jnp.sum(nearer, axis=-3)[..., None, :, :]
    levels = hypotheses.shape[-3] * jnp.arange(_STEPS + 1)
    return (count < levels[:, None, None]).astype(hypotheses.dtype)
