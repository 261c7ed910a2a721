"""The losses of paper section 3.3, each a plain function of arrays.

``mmd`` compares latents; ``best_of_m`` and ``heatmap_covariance`` judge the hypotheses
(M, B, 48) of a batch; ``gradient_penalty`` holds the critic's slope at one.
``energy_score``, which the paper does not have, judges hypotheses as a whole. Those of
hypotheses are offered per pose, too, so that training can take a batch in tiles.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow import critic
from jaxflow.gaussians.condition import PER_JOINT, SIGMA_UNIT, UNCERTAIN_SIGMA
from jaxflow.maths import checks
from jaxflow.maths.geometry import with_hip
from jaxflow.maths.linalg import length, root
from jaxflow.skeleton import CONDITIONED_H36M_16
from jaxflow.types import Params

# 5 mm of pose for a pixel of heatmap: with uncertain sigmas doubled in the condition,
# the paper's "1 px = 10 mm" for the joints that count.
METRES_PER_PIXEL = 0.005
GRADIENT_PENALTY_WEIGHT = 10.0
BANDWIDTHS = (0.0025, 0.04, 0.81)


def mmd(
    x: jax.typing.ArrayLike, y: jax.typing.ArrayLike, *, unbiased: bool = False
) -> jax.Array:
    """Squared MMD between the rows of two samples of the same size (equations 6, 10).

    The kernel is a mixture of inverse multiquadrics, the bandwidths are the paper's:

        k(v, v') = sum over b of b / (b + |v - v'|^2),   b in {0.0025, 0.04, 0.81}

    Args:
      x: (B, D) rows of one sample.
      y: (B, D) rows of the other.
      unbiased: leave the diagonal of the within-sample terms out (paper equation 6);
        the released code averages over all B^2 pairs.

    Returns:
      A scalar; the unbiased estimate can be negative.

    Raises:
      TypeError: not floating point.
      ValueError: not two matrices of one shape, or fewer than two rows when unbiased.
    """
    x = checks.floating("x", x, (None, None))
    y = checks.floating("y", y, (None, None))
    if x.shape != y.shape or x.ndim != 2:
        raise ValueError(
            f"expected two (B, D) samples of one shape; got {x.shape} and {y.shape}"
        )
    rows = x.shape[0]
    if rows < 1 + unbiased:
        raise ValueError(f"expected at least {1 + unbiased} rows; got {rows}")
    within = kernel(x, x) + kernel(y, y)
    across = jnp.mean(kernel(x, y))
    if not unbiased:
        return jnp.mean(within) - 2 * across
    off_diagonal = jnp.where(jnp.eye(rows, dtype=bool), 0, within)
    return jnp.sum(off_diagonal) / (rows * (rows - 1)) - 2 * across


@checks.promoting
def best_of_m(
    hypotheses: jax.typing.ArrayLike, pose3d: jax.typing.ArrayLike, k: int = 5
) -> jax.Array:
    """Distance of the k best hypotheses' average to the true pose (paper equation 8).

    Args:
      hypotheses: (M, B, 48) network's frame, metres.
      pose3d: (B, 48) the true poses.
      k: how many hypotheses count, static; 1 is the usual best-of-M loss.

    Returns:
      A scalar in metres, mean over B and the 51 numbers of a pose with its hip.

    Raises:
      TypeError: not floating point.
      ValueError: shapes that do not belong together, or k not in 1..M.
    """
    hypotheses, pose3d = _checked(hypotheses, pose3d, "pose3d", 48)
    if not 1 <= k <= hypotheses.shape[0]:
        raise ValueError(f"k must be 1 to M = {hypotheses.shape[0]}, not {k}")
    per_pose = jax.vmap(pose_best_of_m, in_axes=(1, 0, None))
    return jnp.mean(per_pose(hypotheses, pose3d, k))


@checks.promoting
def heatmap_covariance(
    hypotheses: jax.typing.ArrayLike,
    cond: jax.typing.ArrayLike,
    *,
    mask_needs_both: bool = False,
) -> jax.Array:
    """Keeps hypotheses as spread in the image as the heatmaps (paper equations 3, 4).

    Args:
      hypotheses: (M, B, 48) network's frame, metres, M at least 2.
      cond: (B, 78) from `jaxflow.condition`.
      mask_needs_both: count a joint only where both axes are uncertain (paper); the
        released code asks for one.

    Returns:
      A scalar in square metres, mean over B and the 13 conditioned joints.

    Raises:
      TypeError: not floating point.
      ValueError: shapes that do not belong together.
    """
    hypotheses, cond = _checked(hypotheses, cond, "cond", 78)
    if hypotheses.shape[0] < 2:
        raise ValueError("a covariance needs M of at least 2 hypotheses; got 1")
    per_pose = jax.vmap(pose_heatmap_covariance, in_axes=(1, 0, None))
    return jnp.mean(per_pose(hypotheses, cond, mask_needs_both))


@checks.promoting
def energy_score(
    hypotheses: jax.typing.ArrayLike,
    pose3d: jax.typing.ArrayLike,
    *,
    pairwise: bool = False,
) -> jax.Array:
    """How well hypotheses describe where the true pose may be, position and spread.

        ES = E d(h, x) - E d(h, h') / 2,    d(a, b) = mean_j |a_j - b_j|
                                                      + |a - b| / sqrt(16)

    for hypotheses h and h', drawn independently, and the true pose x: joints relative
    to the hip, the first distance joint by joint, the second over all 48 numbers of a
    pose. It is a strictly proper score: in expectation over x it is least for no other
    distribution of poses than the true posterior. Best-of-M losses are not proper.

    Args:
      hypotheses: (M, B, 48) network's frame, metres, M at least 2, independent.
      pose3d: (B, 48) the true poses.
      pairwise: take E d(h, h') over all M (M - 1) pairs, static. Otherwise each
        hypothesis is compared with the one before it in the list: the same in
        expectation, at the cost of M pairs. Either way no hypothesis is compared with
        itself, so the mean over draws does not depend on M.

    Returns:
      A scalar in metres, mean over B. It may be negative.

    Raises:
      TypeError: not floating point.
      ValueError: shapes that do not belong together, or M of 1.

    Source: Gneiting and Raftery, Strictly proper scoring rules, prediction, and
    estimation (JASA 2007), section 4.3, for each joint and for the whole pose.
    """
    hypotheses, pose3d = _checked(hypotheses, pose3d, "pose3d", 48)
    if hypotheses.shape[0] < 2:
        raise ValueError("a spread needs M of at least 2 hypotheses; got 1")
    per_pose = jax.vmap(pose_energy_score, in_axes=(1, 0, None))
    return jnp.mean(per_pose(hypotheses, pose3d, pairwise))


def gradient_penalty(
    critic_params: Params,
    real: jax.typing.ArrayLike,
    fake: jax.typing.ArrayLike,
    mix: jax.typing.ArrayLike,
    *,
    weight: float = GRADIENT_PENALTY_WEIGHT,
) -> jax.Array:
    """WGAN-GP's penalty on the critic's slope between real and generated poses.

    Args:
      critic_params: from `critic.init`.
      real: (B, 48) poses of the data set.
      fake: (B, 48) generated poses.
      mix: (B, 1) uniform in [0, 1]: the share of the real pose.
      weight: included in the result (10, paper section 3.3 after Gulrajani et al.).

    Returns:
      A scalar, weight * mean (|grad| - 1)^2.

    Raises:
      TypeError: not floating point.
      ValueError: shapes that do not belong together.
    """
    real = checks.floating("real", real, (None, 48))
    fake = checks.floating("fake", fake, (None, 48))
    mix = checks.floating("mix", mix, (None, 1))
    checks.same_batch(real=real.shape[:1], fake=fake.shape[:1], mix=mix.shape[:1])
    between = mix * real + (1 - mix) * fake
    slopes = jax.vmap(jax.grad(critic.score, argnums=1), in_axes=(None, 0))(
        critic_params, between
    )
    return slope_penalty(slopes, weight)


def slope_penalty(slopes: jax.Array, weight: float) -> jax.Array:
    """`gradient_penalty` of slopes (B, 48)."""
    norm = length(slopes)
    return weight * jnp.mean((norm - 1) ** 2)


def kernel(x: jax.Array, y: jax.Array) -> jax.Array:
    """(N, D), (M, D) -> the kernel of every pair, (N, M).

    Distances are sums of squared differences: the shorter expansion by inner products
    would lose the small ones, which the narrow kernels see, to rounding.
    """
    squared = jnp.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=-1)
    return sum(
        (bandwidth / (bandwidth + squared) for bandwidth in BANDWIDTHS),
        start=jnp.zeros_like(squared),
    )


def pose_best_of_m(hypotheses: jax.Array, pose3d: jax.Array, k: int) -> jax.Array:
    """`best_of_m` of one pose: (M, 48), (48,) -> scalar, the mean over 51 numbers."""
    candidates, target = with_hip(hypotheses), with_hip(pose3d)
    squared = jnp.sum((candidates - target) ** 2, axis=-1)
    ranking = jnp.mean(jnp.sqrt(jax.lax.stop_gradient(squared)), axis=-1)
    _, best = jax.lax.top_k(-ranking, k)
    # Not candidates[best], whose gradient would be scattered.
    places = jnp.arange(len(candidates), dtype=best.dtype)
    chosen = jnp.any(best[:, None] == places, axis=0)
    average = jnp.sum(jnp.where(chosen[:, None, None], candidates, 0), axis=0) / k
    return jnp.mean(jnp.abs(average - target))


def pose_heatmap_covariance(
    hypotheses: jax.Array, cond: jax.Array, mask_needs_both: bool = False
) -> jax.Array:
    """`heatmap_covariance` of one pose: (M, 48), (78,) -> mean over its 13 joints."""
    c00, c01, c11 = _target_covariance(cond)
    var_x, cov_xy, var_y = _image_covariance(hypotheses)
    threshold = (UNCERTAIN_SIGMA * METRES_PER_PIXEL) ** 2
    wide_x, wide_y = c00 > threshold, c11 > threshold
    counted = wide_x & wide_y if mask_needs_both else wide_x | wide_y
    squared = (
        jax.nn.relu(c00 - var_x) ** 2
        + jax.nn.relu(c11 - var_y) ** 2
        + (c01 - cov_xy) ** 2
    )
    return jnp.sum(jnp.where(counted, root(squared), 0)) / len(CONDITIONED_H36M_16)


def pose_energy_score(
    hypotheses: jax.Array, pose3d: jax.Array, pairwise: bool = False
) -> jax.Array:
    """`energy_score` of one pose: (M, 48), (48,) -> scalar."""
    drawn, target = with_hip(hypotheses)[:, 1:], with_hip(pose3d)[1:]
    error = jnp.mean(_distance(drawn, target))
    if pairwise:
        count = drawn.shape[0]
        total = jnp.sum(jax.vmap(_distance, in_axes=(None, 0))(drawn, drawn))
        spread = total / (count * (count - 1))
    else:
        spread = jnp.mean(_distance(drawn, jnp.roll(drawn, 1, axis=0)))
    return error - spread / 2


def _distance(a: jax.Array, b: jax.Array) -> jax.Array:
    """Mean plus root-mean-square distance of joints: two (..., 16, 3) -> (...)."""
    squared = jnp.sum((a - b) ** 2, axis=-1)
    return jnp.mean(root(squared), axis=-1) + root(jnp.mean(squared, axis=-1))


def _target_covariance(cond: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """C00, C01, C11 in square metres: (78,) -> three of (16,), 0 where there are none.

    The 13 are put among all joints, since the condition is not differentiated: taking
    13 of the hypotheses' joints would make a scatter of their gradient.
    """
    per_joint = cond.reshape(13, PER_JOINT) * (METRES_PER_PIXEL * SIGMA_UNIT) ** 2
    place = jnp.asarray(CONDITIONED_H36M_16)
    joints = jnp.zeros((16, PER_JOINT), cond.dtype).at[place].set(per_joint)
    return joints[:, 3], joints[:, 4], joints[:, 5]


def _image_covariance(hypotheses: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Unbiased var x, cov xy, var y of the joints: (M, 48) -> three of (16,).

    Positions are relative to each hypothesis's own midpoint of the hips.
    """
    joints = with_hip(hypotheses)[:, 1:, :2]
    deviation = joints - jnp.mean(joints, axis=0)
    x, y = deviation[..., 0], deviation[..., 1]
    count = hypotheses.shape[0] - 1
    return (
        jnp.sum(x * x, axis=0) / count,
        jnp.sum(x * y, axis=0) / count,
        jnp.sum(y * y, axis=0) / count,
    )


def _checked(
    hypotheses: jax.typing.ArrayLike, other: jax.typing.ArrayLike, name: str, size: int
) -> tuple[jax.Array, jax.Array]:
    hypotheses = checks.floating("hypotheses", hypotheses, (None, None, 48))
    other = checks.floating(name, other, (None, size))
    if hypotheses.ndim != 3 or hypotheses.shape[1:2] != other.shape[:-1]:
        raise ValueError(
            f"expected hypotheses (M, B, 48) and {name} (B, {size}); got "
            f"{hypotheses.shape} and {other.shape}"
        )
    if not len(other):
        raise ValueError(f"expected at least 1 pose; got {name} {other.shape}")
    return hypotheses, other
