"""The latent temperature at which hypotheses are as sure as they are right.

    model, frames it was not trained on -> ECE, errors per temperature -> one

Best-of-M training makes a flow over-confident: the truth lies among the hypotheses less
often than they claim. Drawing z from N(0, T^2 I) instead of N(0, I) widens them all; T
is fitted by the calibration error (see `coverage`), every T with the same noise, so
that the error is a function of T alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow import metrics
from jaxflow.maths import batching, geometry, keys, linalg
from jaxflow.metrics import coverage, sums
from jaxflow.runs.errors import UserError
from jaxflow.types import Batch, Model

LOWEST, HIGHEST = 0.5, 3.0
_COARSE, _FINE = 0.1, 0.01
# Temperatures that `fit` tries: from the lowest to the highest, then so many fine steps
# to either side of the best.
_FIRST, _ASIDE = round((HIGHEST - LOWEST) / _COARSE) + 1, 9
TRIED = _FIRST + 2 * _ASIDE


class Curve(NamedTuple):
    """What every temperature gives, ascending; K of them.

    Attributes:
      temperatures: (K,).
      ece: (K,) expected calibration error.
      frequency: (K, 21) of hits of the median joint, per `coverage.CALIBRATION_LEVELS`.
      best: (K,) mm, mean over frames of the best hypothesis's MPJPE.
      mean: (K,) mm, of all hypotheses' MPJPE.
    """

    temperatures: np.ndarray
    ece: np.ndarray
    frequency: np.ndarray
    best: np.ndarray
    mean: np.ndarray

    @property
    def fitted(self) -> int:
        """Which of them is best calibrated."""
        return int(np.argmin(self.ece))

    @property
    def cut_off(self) -> bool:
        """Whether the best may lie beyond those tried."""
        return self.fitted in (0, len(self.temperatures) - 1)

    def at(self, temperature: float) -> int:
        """Which of them this is.

        Raises:
          UserError: none of them.
        """
        near = int(np.argmin(np.abs(self.temperatures - temperature)))
        if abs(self.temperatures[near] - temperature) > _FINE / 2:
            raise UserError(f"temperature {temperature} is not on the curve")
        return near


def fit(
    model: Model,
    batch: Batch,
    targets: np.ndarray,
    key: jax.Array,
    *,
    num_hypotheses: int = 200,
    batch_size: int = 64,
    progress: Callable[[int], Any] = lambda frames: None,
) -> Curve:
    """The curve from 0.5 to 3 in steps of 0.1, and 0.09 about its minimum by 0.01.

    ``fitted`` of the result is the temperature to draw with. Arguments as of `curve`,
    which is called twice: ``progress`` gets to `TRIED` N.

    Raises:
      As `curve`.
    """
    of = functools.partial(
        curve,
        model,
        batch,
        targets,
        key,
        num_hypotheses=num_hypotheses,
        batch_size=batch_size,
        progress=progress,
    )
    coarse = of(np.linspace(LOWEST, HIGHEST, _FIRST))
    middle = coarse.temperatures[coarse.fitted]
    steps = _FINE * np.arange(-_ASIDE, _ASIDE + 1)
    fine = of(middle + steps[steps != 0])
    joined = Curve(*(np.concatenate(pair) for pair in zip(coarse, fine, strict=True)))
    order = np.argsort(joined.temperatures, kind="stable")
    return Curve(*(column[order] for column in joined))


def curve(
    model: Model,
    batch: Batch,
    targets: np.ndarray,
    key: jax.Array,
    temperatures: Sequence[float] | np.ndarray,
    *,
    num_hypotheses: int = 200,
    batch_size: int = 64,
    progress: Callable[[int], Any] = lambda frames: None,
) -> Curve:
    """Calibration and errors at some temperatures.

    Args:
      model: what draws the hypotheses.
      batch: N frames as the network sees them; ``pose3d`` is not used.
      targets: (N, 17, 3) metres, camera frame, hip at 0.
      key: a typed key; frame i uses ``fold_in(key, i)`` at every temperature.
      temperatures: K of them.
      num_hypotheses: M, at least 2.
      batch_size: frames a dispatch; memory grows with it, results do not change.
      progress: told how many frames have just been finished, each at each temperature.

    Raises:
      UserError: no frames, or M less than 2.
      FloatingPointError: hypotheses that are not finite.
    """
    if not len(targets) or num_hypotheses < 2 or batch_size < 1:
        raise UserError(
            "expected at least 1 frame, 2 hypotheses and 1 frame a batch; got "
            f"{len(targets)}, {num_hypotheses} and {batch_size}"
        )
    keys.check_key(key)
    count = len(targets)
    # A single batch of few frames need not be filled up.
    batch_size = min(batch_size, count)
    pose2d, cond = np.asarray(batch.pose2d), np.asarray(batch.cond)
    wanted = jnp.asarray(temperatures, jnp.float32)
    parts = []
    for rows, examples in batching.blocks(count, batch_size):
        part = _sums(
            model,
            pose2d[examples],
            cond[examples],
            targets[examples],
            jnp.asarray(examples),
            jnp.arange(batch_size) < rows.stop - rows.start,
            key,
            wanted,
            num_hypotheses=num_hypotheses,
        )
        parts.append(jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), part))
        progress((rows.stop - rows.start) * len(wanted))
    hits, best, mean = (column / count for column in sums.add(*parts))
    if not np.isfinite(mean).all():
        raise FloatingPointError("hypotheses are not finite: the parameters are broken")
    frequency = np.median(hits, axis=-1)
    levels = np.asarray(coverage.CALIBRATION_LEVELS)
    ece = np.mean(np.abs(frequency - levels), axis=-1)
    return Curve(np.asarray(temperatures, float), ece, frequency, best, mean)


@functools.partial(jax.jit, static_argnames="num_hypotheses")
def _sums(
    model: Model,
    pose2d: jax.Array,
    cond: jax.Array,
    target: jax.Array,
    examples: jax.Array,
    counted: jax.Array,
    key: jax.Array,
    temperatures: jax.Array,
    *,
    num_hypotheses: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Sums over a batch's frames: hits (K, 21, 16), best and mean MPJPE (K,) mm."""
    frame_keys = keys.per_example(key, examples)

    def at(temperature: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        poses = model.sample(
            pose2d,
            cond,
            frame_keys,
            num_hypotheses=num_hypotheses,
            temperature=temperature,
        )
        poses = geometry.relative_to_hip(poses)
        hits = coverage.calibration_hits(poses, target)
        errors = metrics.mpjpe(poses, target)
        figures = hits, jnp.min(errors, axis=-1), jnp.mean(errors, axis=-1)
        weighted = functools.partial(linalg.einsum, "b,b...->...", weight)
        return jax.tree.map(weighted, figures)

    weight = counted.astype(pose2d.dtype)
    return jax.lax.map(at, temperatures)
