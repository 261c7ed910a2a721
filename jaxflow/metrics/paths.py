"""One pose a frame of somebody who moves: the likeliest path through the hypotheses.

    hypotheses (T, M, 17, 3), log-density (T, M) -> numbers (T,) of the likeliest path
    poses (T, 17, 3), variance (T, 17, 3)        -> the likeliest motion (T, 17, 3)

`likeliest` is Viterbi's algorithm: of all M^T paths the one with the highest sum of
log-densities, less the squared steps of all joints over twice a variance. `drawn` is
the same question where frames are Gaussians instead of finite sets: of all motions the
one nearest to the poses, each number by its own variance, whose accelerations are
Gaussian. Its normal equations have five diagonals and are solved directly, in time and
memory that grow with T.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.typing
import numpy as np
import numpy.typing as npt
import scipy.linalg

from jaxflow.maths import checks


class State(NamedTuple):
    """How far `forward` has come.

    Attributes:
      score: (M,) of the best path to each hypothesis of the last frame.
      poses: (M, 17, 3), these hypotheses.
    """

    score: jax.Array
    poses: jax.Array


def likeliest(
    hypotheses: jax.typing.ArrayLike,
    log_density: jax.typing.ArrayLike,
    step: float | jax.Array,
) -> jax.Array:
    """The hypothesis of each frame on the likeliest path, the first of equals.

    Args:
      hypotheses: (T, M, 17, 3) of consecutive frames, any length unit.
      log_density: (T, M) nats.
      step: how far a coordinate moves from frame to frame: its standard deviation.

    Returns:
      (T,) int32. Batches by ``vmap``; long videos block by block with `forward`.
    """
    hypotheses = checks.floating("hypotheses", hypotheses, (None, None, 17, 3))
    log_density = checks.floating("log_density", log_density, hypotheses.shape[:2])
    first = State(log_density[0], hypotheses[0])
    last, back = forward(first, hypotheses[1:], log_density[1:], step)
    return backward(jnp.argmax(last.score), back)


def forward(
    state: State, hypotheses: jax.Array, log_density: jax.Array, step: float | jax.Array
) -> tuple[State, jax.Array]:
    """On through further frames (T, M, 17, 3): the state, back pointers (T, M)."""

    def to(state: State, frame: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
        poses, own = frame
        moved = poses[:, None] - state.poses[None]
        squares = jnp.sum(jnp.square(moved / step), axis=(-2, -1))
        scores = state.score[None] - squares / 2  # (to, from)
        score = jnp.max(scores, axis=1) + own
        # Sums of a long video grow; only their differences count.
        return State(score - jnp.max(score), poses), jnp.argmax(scores, axis=1)

    last, back = jax.lax.scan(to, state, (hypotheses, log_density))
    return last, back.astype(jnp.int32)


def backward(last: jax.Array, back: jax.Array) -> jax.Array:
    """The path (T + 1,) that ends in a hypothesis, by back pointers (T, M)."""

    def to(number: jax.Array, pointers: jax.Array) -> tuple[jax.Array, jax.Array]:
        before = pointers[number]
        return before, before

    last = last.astype(jnp.int32)
    _, numbers = jax.lax.scan(to, last, back, reverse=True)
    return jnp.append(numbers, last)


def drawn(
    poses: npt.ArrayLike,
    variance: npt.ArrayLike,
    acceleration: float,
    there: npt.ArrayLike | None = None,
) -> np.ndarray:
    """The likeliest motion where each number of each frame is a Gaussian.

    The least sum of (x - pose)^2 / variance over all frames and of (x[t - 1] - 2 x[t] +
    x[t + 1])^2 / acceleration^2 over all three in a row, coordinate by coordinate. On
    the host in float64: at hundreds of frames a second, the prior is a million times
    stronger than a frame, and float32 would lose the frame beside it.

    Args:
      poses: (T, 17, 3) of consecutive frames.
      variance: (T, 17, 3), positive: how sure each number is.
      acceleration: standard deviation of a second difference, in the poses' unit.
      there: (T,) bool, frames that count, at least two if T is more. The others are
        what these make likely.

    Returns:
      (T, 17, 3) float64.

    Raises:
      ValueError: the shapes do not fit, or too few frames count.
    """
    poses, variance = np.asarray(poses, float), np.asarray(variance, float)
    if poses.shape[1:] != (17, 3) or variance.shape != poses.shape:
        raise ValueError(
            f"expected poses and their variance (T, 17, 3); got {poses.shape} and "
            f"{variance.shape}"
        )
    count = len(poses)
    known = np.ones(count, bool) if there is None else np.asarray(there, bool)
    if known.shape != (count,) or known.sum() < min(count, 2):
        raise ValueError(
            f"expected there ({count},), with two frames that count; got "
            f"{known.sum()} in {known.shape}"
        )
    # A frame's weight against the prior's, which is 1.
    weight = np.where(known[:, None, None], acceleration**2 / variance, 0)
    right = np.where(known[:, None, None], weight * poses, 0)
    prior = _squared_accelerations(count)
    motion = np.empty_like(poses)
    for column in np.ndindex(17, 3):
        at = (slice(None), *column)
        matrix = prior + [weight[at], np.zeros(count), np.zeros(count)]
        motion[at] = scipy.linalg.solveh_banded(matrix, right[at], lower=True)
    return motion


def _squared_accelerations(count: int) -> np.ndarray:
    """D^T D of the second differences D: its diagonal and the two below, (3, T)."""
    bands = np.zeros((3, count))
    for step, (first, middle, last) in enumerate([(1, 4, 1), (-2, -2, 0), (1, 0, 0)]):
        bands[step, :-2] += first
        bands[step, 1:-1] += middle
        bands[step, 2:] += last
    return bands
