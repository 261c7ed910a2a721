"""One pose a frame of somebody who moves: the likeliest path through the hypotheses.

    hypotheses (T, M, 17, 3), log-density (T, M) -> numbers (T,) of the likeliest path
    poses (T, 17, 3), variance (T, 17, 3)        -> the likeliest motion (T, 17, 3)

`likeliest` is Viterbi's algorithm: of all M^T paths the one with the highest sum of
log-densities, less the squared steps of all joints over twice a variance. `drawn` is
the same question where frames are Gaussians instead of finite sets: of all motions the
one nearest to the poses, each number by its own variance, whose accelerations are
Gaussian. Its normal equations have five diagonals and are solved exactly, in time and
memory that grow with T.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.typing

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
        scores = state.score - squares / 2  # (to, from)
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
    poses: jax.typing.ArrayLike,
    variance: jax.typing.ArrayLike,
    acceleration: float | jax.Array,
    there: jax.typing.ArrayLike | None = None,
) -> jax.Array:
    """The likeliest motion where each number of each frame is a Gaussian.

    The least sum of (x - pose)^2 / variance over all frames and of (x[t - 1] - 2 x[t] +
    x[t + 1])^2 / acceleration^2 over all three in a row, coordinate by coordinate.

    Args:
      poses: (T, 17, 3) of consecutive frames.
      variance: (T, 17, 3), positive: how sure each number is.
      acceleration: standard deviation of a second difference, in the poses' unit.
      there: (T,) bool, frames that count. The others bridge what is between; beyond the
        first and the last they only fill up an array.

    Returns:
      (T, 17, 3); where frames do not count, what the others make likely.
    """
    poses = checks.floating("poses", poses, (None, 17, 3))
    variance = checks.floating("variance", variance, poses.shape)
    count = len(poses)
    known = jnp.ones(count, bool) if there is None else jnp.asarray(there)
    # A frame's weight against the prior's, which is 1.
    weight = jnp.where(known[:, None, None], acceleration**2 / variance, 0)
    after = jnp.cumsum(known) > 0
    before = jnp.cumsum(known[::-1])[::-1] > 0
    inside = after & before
    right = jnp.where(inside[:, None, None], weight * poses, 0)
    # Whether the prior speaks of the three frames around t: none of them fills up.
    edge = jnp.zeros(2, bool)
    three = jnp.concatenate([edge[:1], inside[:-2] & inside[2:], edge[1:]])[:count]
    s = jnp.pad(three.astype(poses.dtype), 2)
    t = jnp.arange(count) + 2
    diagonal = weight + (s[t - 1] + 4 * s[t] + s[t + 1])[:, None, None]
    diagonal = jnp.where(inside[:, None, None], diagonal, 1)
    return _solved(diagonal, -2 * (s[t] + s[t + 1]), s[t + 1], right)


def _solved(
    diagonal: jax.Array, first: jax.Array, second: jax.Array, right: jax.Array
) -> jax.Array:
    """Solves A x = right, A symmetric and positive, by A = L D L^T.

    Args:
      diagonal: (T, ...) of A.
      first: (T,) A's entries (t, t + 1).
      second: (T,) A's entries (t, t + 2).
      right: (T, ...).
    """
    none = jnp.zeros_like(right[0])

    def down(rows: tuple, row: tuple) -> tuple[tuple, tuple]:
        # Of the two rows before: pivot, both entries of L below it, right side.
        (d1, l1, m1, z1), (d2, _, m2, z2) = rows
        a, b, c, y = row
        pivot = a - d1 * l1**2 - d2 * m2**2
        now = (pivot, (b - d1 * l1 * m1) / pivot, c / pivot, y - l1 * z1 - m2 * z2)
        return (now, rows[0]), now

    def up(rows: tuple, row: tuple) -> tuple[tuple, jax.Array]:
        pivot, near, far, z = row
        now = z / pivot - near * rows[0] - far * rows[1]
        return (now, rows[0]), now

    start = (none, none, none, none)
    _, factors = jax.lax.scan(down, (start, start), (diagonal, first, second, right))
    _, solution = jax.lax.scan(up, (none, none), factors, reverse=True)
    return solution
