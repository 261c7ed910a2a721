"""One pose out of many, for those who need a single answer.

    hypotheses (..., M, 17, 3) -> (..., 17, 3)

``RULES`` (at the end) names the ways to choose, and `select` applies one of them. The
paper reports z0 (section 4.3) and names no other rule. A mean, of all hypotheses or of
a cluster, is a pose that was not drawn, and its bones may shrink.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.maths import checks
from jaxflow.maths.kmeans import KMeans, kmeans

# As many as the fewest that the paper clusters its hypotheses to.
CLUSTERS = 5


@checks.promoting
def select(
    rule: str,
    hypotheses: jax.typing.ArrayLike,
    *,
    mode: jax.typing.ArrayLike | None = None,
    log_density: jax.typing.ArrayLike | None = None,
    key: jax.Array | None = None,
) -> jax.Array:
    """The one pose that a rule makes of the hypotheses of each frame.

    Args:
      rule: one of ``RULES``; static.
      hypotheses: (..., M, 17, 3), any length unit.
      mode: (..., 17, 3), the z = 0 pose; needed by z0.
      log_density: (..., M) from ``sampling.sample_with_log_density``; needed by
        most_likely.
      key: a typed key or one a frame; needed by largest_cluster.

    Returns:
      (..., 17, 3) in the same unit and frame of reference.

    Raises:
      TypeError: not floating point, or a legacy key.
      ValueError: an unknown rule, what it needs is missing, or shapes that do not fit.
    """
    if rule not in RULES:
        raise ValueError(f"expected a rule of {', '.join(RULES)}; got {rule!r}")
    choose, needs, _ = RULES[rule]
    if needs is None:
        return choose(hypotheses)
    needed = {"mode": mode, "log_density": log_density, "key": key}[needs]
    if needed is None:
        raise ValueError(f"the rule {rule} needs {needs}, which was not given")
    return choose(hypotheses, needed)


def z0(hypotheses: jax.typing.ArrayLike, mode: jax.typing.ArrayLike) -> jax.Array:
    """The z = 0 pose itself, (..., 17, 3), whatever the hypotheses (..., M, 17, 3)."""
    hypotheses = _checked(hypotheses)
    mode = checks.floating("mode", mode, (17, 3))
    checks.same_batch(hypotheses=hypotheses.shape[:-3], mode=mode.shape[:-2])
    return mode


def mean(hypotheses: jax.typing.ArrayLike) -> jax.Array:
    """The mean of each joint over the hypotheses: (..., M, 17, 3) -> (..., 17, 3)."""
    return jnp.mean(_checked(hypotheses), axis=-3)


def medoid(hypotheses: jax.typing.ArrayLike) -> jax.Array:
    """The hypothesis with the least summed MPJPE to the others: their median in space.

    The first of equals. Distances go row by row, from differences: exact in float32,
    and memory grows with M, not M^2.

    Args:
      hypotheses: (..., M, 17, 3).

    Returns:
      (..., 17, 3), one of them.
    """
    hypotheses = _checked(hypotheses)
    # Hypotheses last: plain vector arithmetic along the longest axis.
    columns = jnp.moveaxis(hypotheses, -3, -1)

    def summed_distance(pose: jax.Array) -> jax.Array:
        squared = jnp.sum(jnp.square(columns - pose[..., None]), axis=-2)
        return jnp.sum(jnp.sqrt(squared), axis=(-2, -1))

    sums = jax.lax.map(summed_distance, jnp.moveaxis(hypotheses, -3, 0))
    return _take(hypotheses, jnp.argmin(sums, axis=0))


@checks.promoting
def largest_cluster(
    hypotheses: jax.typing.ArrayLike, key: jax.Array, *, clusters: int = CLUSTERS
) -> jax.Array:
    """The centre of the K-means cluster with the most hypotheses, the first of equals.

    Args:
      hypotheses: (..., M, 17, 3).
      key: one typed key, or one a frame.
      clusters: k; as many as there are hypotheses, if those are fewer.

    Returns:
      (..., 17, 3), the mean of the cluster's hypotheses.
    """
    hypotheses = _checked(hypotheses)
    return fullest(kmeans(hypotheses, min(clusters, hypotheses.shape[-3]), key))


def fullest(clusters: KMeans) -> jax.Array:
    """The centre (..., 17, 3) of the cluster with the most hypotheses."""
    return _take(clusters.centres, jnp.argmax(clusters.sizes, axis=-1))


def most_likely(
    hypotheses: jax.typing.ArrayLike, log_density: jax.typing.ArrayLike
) -> jax.Array:
    """The hypothesis of the highest log-density, the first of equals.

    Args:
      hypotheses: (..., M, 17, 3).
      log_density: (..., M).

    Returns:
      (..., 17, 3), one of them.
    """
    hypotheses = _checked(hypotheses)
    count = hypotheses.shape[-3]
    log_density = checks.floating("log_density", log_density, (count,))
    checks.same_batch(
        hypotheses=hypotheses.shape[:-3], log_density=log_density.shape[:-1]
    )
    return _take(hypotheses, jnp.argmax(log_density, axis=-1))


def _checked(hypotheses: jax.typing.ArrayLike) -> jax.Array:
    hypotheses = checks.floating("hypotheses", hypotheses, (None, 17, 3))
    if hypotheses.shape[-3] == 0:
        raise ValueError(f"expected at least one hypothesis; got {hypotheses.shape}")
    return hypotheses


def _take(poses: jax.Array, numbers: jax.Array) -> jax.Array:
    """(..., M, 17, 3) and indices (...) -> (..., 17, 3)."""
    index = numbers[..., None, None, None]
    return jnp.take_along_axis(poses, index, axis=-3)[..., 0, :, :]


class Rule(NamedTuple):
    """A way to choose.

    Attributes:
      choose: gives the pose of the hypotheses, and of what it needs.
      needs: what it needs beside the hypotheses, by `select`'s argument.
      text: the pose that it gives, in words.
    """

    choose: Callable[..., jax.Array]
    needs: str | None
    text: str


RULES: dict[str, Rule] = {
    "z0": Rule(z0, "mode", "the pose of the latents' mode"),
    "mean": Rule(mean, None, "the mean of the hypotheses, joint by joint"),
    "medoid": Rule(
        medoid, None, "the hypothesis with the least summed distance to the others"
    ),
    "largest_cluster": Rule(
        largest_cluster, "key", "the centre of the largest of five K-means clusters"
    ),
    "most_likely": Rule(
        most_likely, "log_density", "the hypothesis of the highest log-density"
    ),
}
