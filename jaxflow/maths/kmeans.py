"""K-means over the hypotheses of each frame (paper appendix C, table 5).

    points (..., M, J, A), key -> centres (..., k, J, A), labels (..., M)

A method that gives few poses is compared fairly with one that samples many by letting k
centres stand for the M hypotheses; the best centre's error then counts. Distances are
Euclidean over all J * A numbers of a pose, from differences: expanded into inner
products they would lose in float32 what tells close hypotheses apart.

Centres start as hypotheses drawn by k-means++: each with a probability proportional to
its squared distance from the centres so far, the best of a few candidates being taken.
The other usual start, always the farthest point, needs no key but seeds the clusters
with the posterior's outliers. Then Lloyd's iterations run until no centre moves.
"""

from __future__ import annotations

import functools
import math
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.maths import checks, keys, linalg

# Far more than 200 hypotheses ever take; bounds the time of pathological points.
MOST_ITERATIONS = 100


class KMeans(NamedTuple):
    """A clustering of each example's points.

    Attributes:
      centres: (..., k, J, A) in the points' unit: the mean of each cluster.
      labels: (..., M) int32, the nearest centre of each point, the first of equals.
      sizes: (..., k) int32, points of each cluster. Once converged, 0 only where there
        are fewer distinct points than k; the centre is then one of the points.
      inertia: (...) sum of squared distances of the points to their centres.
      converged: (...) bool; False where the iterations ran out before the centres
        stood still, which are then means of slightly other clusters.
    """

    centres: jax.Array
    labels: jax.Array
    sizes: jax.Array
    inertia: jax.Array
    converged: jax.Array


def kmeans(
    points: jax.typing.ArrayLike,
    k: int,
    key: jax.Array,
    *,
    iterations: int = MOST_ITERATIONS,
) -> KMeans:
    """Clusters the points of each example, by k-means++ and Lloyd's iterations.

    Works under jit and vmap; an example's clusters depend on its own points and key
    alone. The loop has no reverse-mode derivative.

    Args:
      points: (..., M, J, A), floating: hypotheses (..., M, 17, 3).
      k: number of clusters, from 1 to M; static.
      key: one typed key, of which example i of the batch uses ``fold_in(key, i)``, or
        one key an example.
      iterations: at most so many of Lloyd's; static.

    Returns:
      The same whenever points and key are the same.

    Raises:
      TypeError: not floating point, or a legacy key.
      ValueError: rank below 3, k not within 1 to M, or no iterations.

    Source: paper appendix C; Arthur and Vassilvitskii 2007 for the start.
    """
    points = checks.floating("points", points, (None, None, None))
    k, iterations = operator.index(k), operator.index(iterations)
    count = points.shape[-3]
    if not 1 <= k <= count:
        raise ValueError(f"expected k from 1 to the {count} points; got {k}")
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, not {iterations}")
    example_keys = keys.for_batch(key, points.shape[:-3])
    return _kmeans(points, k, example_keys, iterations)


@functools.partial(jax.jit, static_argnames=("k", "iterations"))
def _kmeans(points: jax.Array, k: int, key: jax.Array, iterations: int) -> KMeans:
    *batch_shape, count, joints, axes = points.shape
    examples = points.reshape(math.prod(batch_shape), count, joints * axes)

    def one_example(points: jax.Array, key: jax.Array) -> KMeans:
        return lloyd(points, plus_plus(points, k, key), iterations=iterations)

    clusters = jax.vmap(one_example)(examples, key.reshape(-1))
    clusters = clusters._replace(centres=clusters.centres.reshape(-1, k, joints, axes))
    return jax.tree.map(lambda a: a.reshape(*batch_shape, *a.shape[1:]), clusters)


def plus_plus(points: jax.typing.ArrayLike, k: int, key: jax.Array) -> jax.Array:
    """Where the centres of one example start: k of its points, drawn by k-means++.

    Args:
      points: (M, D).
      k: static.
      key: one typed key.

    Returns:
      (k, D). Points are repeated only where fewer than k are distinct.
    """
    points = jnp.asarray(points)
    count = points.shape[0]
    candidates = 2 + int(math.log(k))

    def step(nearest: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        # Where every point is a centre already any will do: equal weights.
        weights = jnp.where(jnp.max(nearest) > 0, nearest, jnp.ones_like(nearest))
        drawn = jax.random.categorical(key, jnp.log(weights), shape=(candidates,))
        reach = jnp.minimum(nearest, _squared_distances(points[drawn], points))
        best = jnp.argmin(jnp.sum(reach, axis=-1))
        return reach[best], points[drawn[best]]

    step_keys = jax.random.split(key, k)
    first = points[jax.random.randint(step_keys[0], (1,), 0, count)]
    nearest = _squared_distances(first, points)[0]
    _, others = jax.lax.scan(step, nearest, step_keys[1:])
    return jnp.concatenate([first, others])


class _State(NamedTuple):
    centres: jax.Array
    moved: jax.Array
    iteration: jax.Array


def lloyd(
    points: jax.typing.ArrayLike,
    centres: jax.typing.ArrayLike,
    *,
    iterations: int = MOST_ITERATIONS,
) -> KMeans:
    """Lloyd's iterations on one example, from given centres.

    A cluster that has lost all its points starts again at the point farthest from its
    own centre, a second one at the second farthest, which lowers the inertia.

    Args:
      points: (M, D).
      centres: (k, D), k at most M.
      iterations: static.

    Returns:
      As `kmeans`, with centres (k, D).
    """
    points, centres = jnp.asarray(points), jnp.asarray(centres)

    def unfinished(state: _State) -> jax.Array:
        return state.moved & (state.iteration < iterations)

    def step(state: _State) -> _State:
        new = _means(points, state.centres)
        return _State(new, jnp.any(new != state.centres), state.iteration + 1)

    start = _State(centres, jnp.asarray(True), jnp.asarray(0))
    end = jax.lax.while_loop(unfinished, step, start)
    labels, distances = _nearest(points, end.centres)
    members = jax.nn.one_hot(labels, len(centres), dtype=jnp.int32)
    return KMeans(
        centres=end.centres,
        labels=labels,
        sizes=jnp.sum(members, axis=0),
        inertia=jnp.sum(distances),
        converged=~end.moved,
    )


def _means(points: jax.Array, centres: jax.Array) -> jax.Array:
    """One iteration: each centre to the mean of the points nearest to it."""
    labels, distances = _nearest(points, centres)
    members = jax.nn.one_hot(labels, len(centres), dtype=points.dtype)
    sizes = jnp.sum(members, axis=0)
    # Means of differences from a member: equal points have exactly themselves as mean.
    member = points[jnp.argmax(members, axis=0)]
    sums = linalg.einsum("mk,md->kd", members, points - member[labels])
    means = member + sums / jnp.maximum(sizes, 1)[:, None]
    empty = sizes == 0
    farthest_first = jnp.argsort(-distances)
    turn = jnp.cumsum(empty) - 1  # 0 for the first empty cluster, 1 for the next
    return jnp.where(empty[:, None], points[farthest_first[turn]], means)


def _nearest(points: jax.Array, centres: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The nearest centre of each point (M,) int32, and its squared distance (M,)."""
    distances = _squared_distances(points, centres)
    labels = jnp.argmin(distances, axis=-1).astype(jnp.int32)
    return labels, jnp.min(distances, axis=-1)


def _squared_distances(a: jax.Array, b: jax.Array) -> jax.Array:
    """(n, D) and (m, D) -> (n, m)."""
    return jnp.sum(jnp.square(a[:, None, :] - b[None, :, :]), axis=-1)
