"""Proper scores of hypotheses: sharp and true at once, and not to be had otherwise.

In: hypotheses (..., M, 17, 3) and targets (..., 17, 3), H36M-17, metres, hips at the
origin, not aligned. Out: mm, less is better. A proper score is least, in expectation,
for no other distribution than the one that the truth comes from: best-of-M rewards
width alone, the calibration error does not see how wide it is.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.typing
import numpy as np

from jaxflow.maths import linalg
from jaxflow.metrics.coverage import check_hypotheses

_MM = 1000.0
# Each hypothesis is compared with so many others, the same for any number of them:
# all pairs would cost more than drawing the hypotheses.
_NEIGHBOURS = 8


class Scores(NamedTuple):
    """Scores of a frame, mm.

    Attributes:
      joint: (..., 16) energy score of each joint, the root left out.
      pose: (...) energy score of the whole pose, as the root-mean-square of its joints'
        distances.
      crps: (..., 16, 3) continuous ranked probability score of each joint's x, y, z.
    """

    joint: jax.Array
    pose: jax.Array
    crps: jax.Array


def scores(hypotheses: jax.typing.ArrayLike, target: jax.typing.ArrayLike) -> Scores:
    """Energy scores and the continuous ranked probability score of each coordinate.

        ES = E |h - x| - E |h - h'| / 2

    for independent hypotheses h, h' and the target x: a joint's three coordinates, or
    a pose's 48 over the root of 16. The same of one coordinate is the CRPS. No
    hypothesis is compared with itself, so that the score does not depend on M but for
    chance; the energy scores' second term compares each with `_NEIGHBOURS` others,
    taken across the order that a model draws in, which may be one mode after the other.

    Args:
      hypotheses: (..., M, 17, 3) metres, independent, M at least 2.
      target: (..., 17, 3) metres.

    Raises:
      ValueError: M is 1; and as ``mpjpe``.

    Source: Gneiting and Raftery, Strictly proper scoring rules, prediction, and
    estimation (JASA 2007), section 4; not in the paper.
    """
    hypotheses, target = check_hypotheses(hypotheses, target)
    if hypotheses.shape[-3] < 2:
        raise ValueError(
            f"expected at least 2 hypotheses for a score; got {hypotheses.shape}"
        )
    drawn, truth = hypotheses[..., 1:, :], target[..., None, 1:, :]
    error, pose_error = _distances(drawn, truth)
    count = drawn.shape[-3]
    mixed = drawn[..., np.random.default_rng(0).permutation(count), :, :]
    spreads = [
        _distances(mixed, jnp.roll(mixed, shift, axis=-3))
        for shift in range(1, 1 + min(_NEIGHBOURS, count - 1))
    ]
    apart, pose_apart = (
        sum(parts) / len(spreads) for parts in zip(*spreads, strict=True)
    )
    return Scores(
        joint=_MM * (error - apart / 2),
        pose=_MM * (pose_error - pose_apart / 2),
        crps=_MM * _crps(drawn, truth),
    )


def _distances(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean over M of the joints' distances (..., 16) and the poses' (...)."""
    squared = jnp.sum((a - b) ** 2, axis=-1)
    joints = jnp.mean(linalg.root(squared), axis=-2)
    return joints, jnp.mean(linalg.root(jnp.mean(squared, axis=-1)), axis=-1)


def _crps(drawn: jax.Array, truth: jax.Array) -> jax.Array:
    """(..., M, 16, 3) and (..., 1, 16, 3) to (..., 16, 3), all pairs by sorting."""
    count = drawn.shape[-3]
    error = jnp.mean(jnp.abs(drawn - truth), axis=-3)
    # Of sorted numbers, the sum of all differences is a weighted sum.
    weight = (2 * jnp.arange(count) - (count - 1)).astype(drawn.dtype)
    total = linalg.einsum("...mjk,m->...jk", jnp.sort(drawn, axis=-3), weight)
    return error - total / (count * (count - 1))
