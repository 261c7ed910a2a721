"""How much wider an unsure joint's hypotheses must be, on people held out of training.

    model, frames it was not trained on -> Widths, for `widened.Widened`

One joint at a time is made unsure by an error of known deviation, as in ``response``.
How far the truth then lies from the hypotheses' middle, over the radius of their 90 %
region, should be below 1 in 90 % of the frames; where it is not, the region has to be
that much wider. Left and right share a factor.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow import data
from jaxflow.evaluation import measuring, widened
from jaxflow.evaluation.measuring import Draw, Drawn
from jaxflow.metrics import response
from jaxflow.skeleton import CONDITIONED_MPII, MPII_JOINTS, MPII_MIRRORED
from jaxflow.types import Model, PoseRecords

JOINTS = tuple(MPII_JOINTS[i] for i in CONDITIONED_MPII)
_LEVEL = 0.9
# Held-out people are few: that an unsure joint should be narrower than the model says
# is nothing that they can show, and above the most the factors would be no mending.
_LEAST, _MOST = 1.0, 2.5
# A quantile of few frames errs by much, of which only what is above 1 would be kept: of
# a calibrated model the largest factor is 1.18 where a knot has 5 frames of either
# side, 1.06 at so many and 1.03 at those of the default 512 frames.
LEAST_FRAMES = 50.0
_WIDEST = 12.0  # heatmap pixels; what lies above the last knot counts there
_ASPECT = 3.0  # of every other Gaussian


class Widths(NamedTuple):
    """What was fitted.

    Attributes:
      factors: (13, 5) in the order of `JOINTS` and of `widened.KNOTS`.
      held: (13, 5) share of the frames whose 90 % region held the truth before; 0.9
        where no frame tells.
      frames: (13, 5) that tell, of both sides, each counted as far as it is near the
        knot; below `LEAST_FRAMES` the factor is 1.
    """

    factors: np.ndarray
    held: np.ndarray
    frames: np.ndarray

    @property
    def unknown(self) -> int:
        """How many factors are 1 for want of frames."""
        return int(np.sum(self.frames[:, 1:] < LEAST_FRAMES))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "joints": list(JOINTS),
            "sigma_px": list(widened.KNOTS),
            "factors": self.factors.round(4).tolist(),
            "held_in_90_before": self.held.round(4).tolist(),
            "frames": self.frames.round(1).tolist(),
        }


def fit(
    model: Model,
    records: PoseRecords,
    key: jax.Array,
    draw: Draw,
    progress: Callable[[int], Any] = lambda frames: None,
) -> Widths:
    """The factors, each from the frames about its knot.

    Args:
      model: what draws the hypotheses.
      records: N held-out frames, each asked once for every joint that was sure in it.
      key: a typed key, of the detections' errors and the hypotheses' noise.
      draw: how many hypotheses, and at which temperature.
      progress: told how many frames have just been finished: in all 13 N.

    Raises:
      UserError, FloatingPointError: as ``measuring.stream``.
    """
    sigma = np.zeros((len(JOINTS), len(records)))
    needed = np.zeros_like(sigma)
    for j, joint in enumerate(JOINTS):
        error_key, draw_key = jax.random.split(jax.random.fold_in(key, j))
        number = np.int32(MPII_JOINTS.index(joint))
        changed, sigma[j] = made_unsure(records, number, error_key)
        batch, targets = data.to_batch(changed), data.targets_of(changed)
        of_joint = jax.tree_util.Partial(_of_joint, number)
        for rows, (ratios,) in measuring.stream(
            model, batch, targets, draw_key, [of_joint], draw
        ):
            needed[j, rows] = ratios
            progress(rows.stop - rows.start)
    at = np.asarray(widened.shares(jnp.asarray(sigma)))
    at = at * was_sure(records)[..., None]
    return from_ratios(needed, at)


def from_ratios(needed: np.ndarray, at: np.ndarray) -> Widths:
    """The factors, from what the frames needed.

    Args:
      needed: (13, N) by which factor each joint's region would have to grow.
      at: (13, N, 5) how much each frame counts at each of `widened.KNOTS`.
    """
    factors = np.ones((len(JOINTS), len(widened.KNOTS)))
    held, frames = np.full_like(factors, _LEVEL), np.zeros_like(factors)
    for j, pair in enumerate(_pairs()):
        for knot in range(len(widened.KNOTS)):
            ratios, weights = needed[pair], at[pair, :, knot]
            frames[j, knot] = weights.sum()
            if not weights.any():
                continue
            held[j, knot] = np.average(ratios < 1, weights=weights)
            if knot and frames[j, knot] >= LEAST_FRAMES:
                quantile = np.quantile(
                    ratios, _LEVEL, weights=weights, method="inverted_cdf"
                )
                factors[j, knot] = np.clip(quantile, _LEAST, _MOST)
    return Widths(factors, held, frames)


def was_sure(records: PoseRecords) -> np.ndarray:
    """(13, N) where a joint was sure as it was: else it errs by more than is told."""
    sigma = np.abs(records.gaussfit[:, list(CONDITIONED_MPII)][..., [3, 5]])
    return (sigma.max(axis=-1) < widened.KNOTS[0]).T


def made_unsure(
    records: PoseRecords, joint: np.int32, key: jax.Array
) -> tuple[PoseRecords, np.ndarray]:
    """Every frame with a joint less surely seen, and the deviations (N,) px.

    These are spread evenly, in their logarithm, over those of `widened.KNOTS` and a
    little more; every other Gaussian is elongated in a direction of its own.
    """
    order_key, angle_key, error_key = jax.random.split(key, 3)
    count = len(records)
    numbers = jnp.arange(count, dtype=jnp.float32)
    place = (jax.random.permutation(order_key, numbers) + 0.5) / count
    first, last = math.log(widened.KNOTS[0]), math.log(_WIDEST)
    sigma = jnp.exp(first + (last - first) * place)
    longer = jnp.where(jnp.arange(count) % 2 == 0, 1.0, _ASPECT)
    covariance = response.covariance(
        sigma, longer, math.pi * jax.random.uniform(angle_key, (count,))
    )
    pose2d, gaussfit = response.make_unsure(
        jnp.asarray(records.pose2d),
        jnp.asarray(records.gaussfit),
        joint,
        covariance,
        jax.random.normal(error_key, (count, 2)),
    )
    changed = dataclasses.replace(
        records, pose2d=np.asarray(pose2d), gaussfit=np.asarray(gaussfit)
    )
    return changed, np.asarray(sigma, float)


def _pairs() -> list[list[int]]:
    """For each of `JOINTS`, its number and that of the other side's."""
    names = [MPII_JOINTS[MPII_MIRRORED[i]] for i in CONDITIONED_MPII]
    return [sorted({j, JOINTS.index(name)}) for j, name in enumerate(names)]


def _of_joint(number: jax.Array, drawn: Drawn) -> jax.Array:
    return response.needed(drawn.hypotheses, drawn.target, number, _LEVEL)
