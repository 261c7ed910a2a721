"""Damped Gauss-Newton (Marquardt) for many heatmaps at once, without a Jacobian.

In: maps (N, H, W) and where their fits start. Out: N Gaussians with their
root-mean-square errors, their iterations and whether each converged.

One step s solves (M + lambda diag M) s = m, with the 21 moments M and m of ``moments``
and Marquardt's lambda. A step is taken if the sum of squares does not grow and what it
leads to is still a bump; otherwise lambda grows and the step shrinks.

Fits need between 3 and 200 iterations. So that a slow one holds nobody up, a fixed
number of *lanes* works through the queue: whichever lane is done writes its answer and
takes the next map. Every lane does the same arithmetic whatever is in the others, so a
fit does not depend on its neighbours, on its place or on the size of the batch, not in
one bit. Memory beyond the maps is a few maps a lane.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxflow.gaussians import ellipses, heatmaps, moments
from jaxflow.gaussians.heatmaps import Starts
from jaxflow.gaussians.moments import Moments
from jaxflow.maths import linalg

MAX_ITERATIONS = 200

# Marquardt's damping: where it starts, how it answers success and failure, its range.
_DAMPING = 1e-3
_SUCCESS, _FAILURE = 0.1, 10.0
_LEAST, _MOST = 1e-9, 1e9

# A fit is done when a step changes the bump by less than this share of its norm, and
# has converged if the gradient, on the same scale, is at most ten times that.
_TOLERANCE = {"float32": 1e-5, "float64": 1e-8}

# No optimum lies further out than this: mean, in map sizes from the centre; sigma, in
# map sizes, and the smallest one in pixels.
_FURTHEST_MEAN = 2.0
_WIDEST_SIGMA = 4.0
_NARROWEST_SIGMA = 0.05


class Solution(NamedTuple):
    """What the solver found for N maps.

    Attributes:
      quadratic: (N, 6) A, x0, y0, a, b, c; the start where it did not converge.
      sigma: (N, 2) and
      theta: (N,) the same shape as ``gaussians.from_quadratic`` gives it.
      rmse: (N,) root-mean-square residual over all pixels of the cleaned map.
      iterations: (N,) int32 evaluations of the bump over a map, the start's included.
      converged: (N,) bool.
    """

    quadratic: jax.Array
    sigma: jax.Array
    theta: jax.Array
    rmse: jax.Array
    iterations: jax.Array
    converged: jax.Array


class _Lanes(NamedTuple):
    """The K fits under way; amplitudes as shares of the map's peak.

    Attributes:
      job: (K,) int32, which map; N or more: none is left.
      best: (K, 6) the best quadratic so far.
      moments: the normal equations there.
      trial: (K, 6) what to evaluate next.
      change: (K,) how far it is from the best, as a squared share of the bump's norm.
      damping: (K,) lambda.
      start_cost: (K,) the sum of squares at the start.
      iterations: (K,) int32.
    """

    job: jax.Array
    best: jax.Array
    moments: Moments
    trial: jax.Array
    change: jax.Array
    damping: jax.Array
    start_cost: jax.Array
    iterations: jax.Array


_Carry = tuple[_Lanes, Solution, jax.Array]


def solve(maps: jax.Array, starts: Starts, lanes: int) -> Solution:
    """Fits every map.

    Args:
      maps: (N, H, W), N at least 2, as the detector gave them.
      starts: from ``heatmaps.start_values``.
      lanes: K, how many fits advance together; ``fitting`` says which K serves which
        platform. With the same K a fit does not depend on N, not in one bit; with
        another, a compiler may round differently.
    """
    count, height, width = maps.shape
    dtype = starts.peak.dtype

    def body(carry: _Carry) -> _Carry:
        state, results, queue = carry
        row = jnp.minimum(state.job, count - 1)
        peak = jnp.maximum(starts.peak[row], jnp.finfo(dtype).tiny)
        share = heatmaps.clean(maps[row]) / peak[:, None, None]
        state = _accept(state, moments.of_bumps(share, state.trial), (height, width))
        done, converged = _finished(state, starts.valid[row])
        answer = _answer(state, converged, starts, height * width)
        results = _write(results, jnp.where(done, state.job, count), answer)
        next_job = queue + jnp.cumsum(done, dtype=jnp.int32) - 1
        state = _refill(_propose(state), done, next_job, starts)
        return state, results, queue + jnp.sum(done, dtype=jnp.int32)

    first = jnp.arange(lanes, dtype=jnp.int32)
    everywhere = jnp.ones(lanes, bool)
    state = _refill(_empty(lanes, dtype), everywhere, first, starts)
    blank = _answer(state, everywhere, starts, height * width)
    results = jax.tree.map(
        lambda lane: jnp.zeros((count, *lane.shape[1:]), lane.dtype), blank
    )
    _, results, _ = jax.lax.while_loop(
        lambda carry: jnp.any(carry[0].job < count),
        body,
        (state, results, jnp.int32(lanes)),
    )
    return results


def _write(results: Solution, rows: jax.Array, answer: Solution) -> Solution:
    """Puts the lanes' answers into their rows; a row beyond the end stands for none."""

    def put(column: jax.Array, lane: jax.Array) -> jax.Array:
        return column.at[rows].set(lane, mode="drop")

    return jax.tree.map(put, results, answer)


def _empty(lanes: int, dtype: jnp.dtype) -> _Lanes:
    zeros = jnp.zeros(lanes, dtype)
    return _Lanes(
        job=jnp.zeros(lanes, jnp.int32),
        best=jnp.zeros((lanes, 6), dtype),
        moments=Moments(
            zeros, jnp.zeros((lanes, 6, 6), dtype), jnp.zeros((lanes, 6), dtype)
        ),
        trial=jnp.zeros((lanes, 6), dtype),
        change=zeros,
        damping=zeros,
        start_cost=zeros,
        iterations=jnp.zeros(lanes, jnp.int32),
    )


def _refill(
    state: _Lanes, done: jax.Array, next_job: jax.Array, starts: Starts
) -> _Lanes:
    """Lanes that are done begin their next map; the others stay as they are."""
    row = jnp.minimum(next_job, starts.peak.shape[0] - 1)
    start = heatmaps.start_quadratic(jnp.ones_like(state.damping), starts.mean[row])
    infinite = jnp.full_like(state.damping, jnp.inf)
    fresh = _Lanes(
        job=next_job,
        best=start,
        moments=state.moments._replace(cost=infinite),  # so that the start is accepted
        trial=start,
        change=infinite,
        damping=jnp.full_like(state.damping, _DAMPING / _SUCCESS),
        start_cost=infinite,
        iterations=jnp.zeros_like(state.iterations),
    )
    return _choose(done, fresh, state)


def _choose(which: jax.Array, yes: _Lanes, no: _Lanes) -> _Lanes:
    """Field by field, ``yes`` in the lanes where ``which`` (K,) holds."""

    def pick(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(which.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, yes, no)


def _accept(state: _Lanes, moments: Moments, size: tuple[int, int]) -> _Lanes:
    """Takes the trial over where it is a Gaussian near the map and no worse."""
    slack = 1 + 4 * jnp.finfo(moments.cost.dtype).eps  # sums of squares are rounded
    better = _plausible(state.trial, size) & (
        moments.cost <= state.moments.cost * slack
    )
    taken = state._replace(
        best=state.trial, moments=moments, damping=state.damping * _SUCCESS
    )
    kept = state._replace(damping=state.damping * _FAILURE)
    state = _choose(better, taken, kept)
    return state._replace(
        damping=jnp.clip(state.damping, _LEAST, _MOST),
        start_cost=jnp.where(state.iterations == 0, moments.cost, state.start_cost),
        iterations=state.iterations + 1,
    )


def _plausible(quadratic: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Whether (K, 6) are bumps, not ridges or saddles, near the map and of its size."""
    height, width = size
    amplitude, x0, y0, a, b, c = jnp.moveaxis(quadratic, -1, 0)
    least = 1 / (2 * (_WIDEST_SIGMA * max(size)) ** 2)
    most = 1 / (2 * _NARROWEST_SIGMA**2)
    # The eigenvalues of [[a, b], [b, c]] lie in (least, most) if both differences are
    # positive definite.
    wide = (a > least) & (c > least) & ((a - least) * (c - least) > b * b)
    narrow = (a < most) & (c < most) & ((a - most) * (c - most) > b * b)
    return (
        (amplitude > 0)
        & (jnp.abs(x0 - width / 2) < _FURTHEST_MEAN * width)
        & (jnp.abs(y0 - height / 2) < _FURTHEST_MEAN * height)
        & wide
        & narrow
    )


def _finished(state: _Lanes, valid: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Which lanes are done, and which of these have converged."""
    tolerance = _TOLERANCE[str(state.change.dtype)]
    diagonal = jnp.diagonal(state.moments.matrix, axis1=1, axis2=2)
    gradient = jnp.sum(jnp.square(state.moments.vector) / diagonal, axis=1)
    still = state.change <= tolerance**2
    flat = gradient <= (10 * tolerance) ** 2 * diagonal[:, 0]
    done = ~valid | still | (state.iterations >= MAX_ITERATIONS)
    return done, valid & still & flat


def _propose(state: _Lanes) -> _Lanes:
    """The next trial of every lane: a damped Gauss-Newton step from its best."""
    matrix, vector = state.moments.matrix, state.moments.vector
    scale = jnp.sqrt(jnp.diagonal(matrix, axis1=1, axis2=2))
    floor = jnp.finfo(matrix.dtype).eps * scale[:, :1]
    scale = jnp.maximum(scale, floor)
    scaled = matrix / (scale[:, :, None] * scale[:, None, :])
    damped = scaled + state.damping[:, None, None] * jnp.eye(6, dtype=matrix.dtype)
    step = _solve_positive_definite(damped, vector / scale)
    norm = linalg.einsum("ki,kij,kj->k", step, scaled, step)
    change = norm / matrix[:, 0, 0]
    return state._replace(
        trial=state.best + moments.apply_step(state.best, step / scale),
        # A step that cannot be computed ends the fit where it stands.
        change=jnp.where(jnp.isfinite(change), change, 0),
    )


def _solve_positive_definite(matrix: jax.Array, vector: jax.Array) -> jax.Array:
    """Gauss-Jordan without pivoting, (K, 6, 6) and (K, 6) to (K, 6).

    Unrolled over the six columns and elementwise over the lanes: the same few
    operations on every backend, in the same order for every lane.
    """
    table = jnp.concatenate([matrix, vector[..., None]], axis=-1)
    for k in range(matrix.shape[-1]):
        row = table[:, k] / table[:, k, k, None]
        table = table - table[:, :, k, None] * row[:, None, :]
        table = table.at[:, k].set(row)
    return table[..., -1]


def _answer(
    state: _Lanes, converged: jax.Array, starts: Starts, pixels: int
) -> Solution:
    """What the lanes would answer now, in the maps' own scale.

    Worked out here, lane by lane, and not for all N at the end: how a compiler rounds
    depends on the length of an array.
    """
    row = jnp.minimum(state.job, starts.peak.shape[0] - 1)
    peak = starts.peak[row]
    start = heatmaps.start_quadratic(peak, starts.mean[row])
    best = state.best.at[:, 0].multiply(peak)
    quadratic = jnp.where(converged[:, None], best, start)
    sigma, theta = ellipses.from_quadratic(quadratic[:, 3:])
    cost = jnp.where(converged, state.moments.cost, state.start_cost)
    rmse = jnp.sqrt(cost / pixels) * peak
    return Solution(quadratic, sigma, theta, rmse, state.iterations, converged)
