"""The similarity that brings one point set onto another (protocol 2's alignment).

In: points (..., J, 3) and targets (..., J, 3), any unit. Out: the points moved, scaled
and turned, never mirrored, so that their squared distance to the targets is least.

Minimise sum_j || c R (x_j - x_mean) - (y_j - y_mean) ||^2 over scales c and proper
rotations R. With S = sum_j (x_j - x_mean)(y_j - y_mean)^T, the unit quaternion of R is
the eigenvector of a symmetric 4x4 matrix N(S) to its largest eigenvalue, and
c = lambda_max / sum_j ||x_j - x_mean||^2 (Horn, 1987). Proper by construction: point
sets that a mirror image would fit better, flat ones and those on a line need no special
case.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxflow.maths import checks, linalg


def align(points: jax.typing.ArrayLike, target: jax.typing.ArrayLike) -> jax.Array:
    """``points`` after the best similarity transform onto ``target``.

    Args:
      points: (..., J, 3). Where all its points coincide, they come to lie on the
        target's mean.
      target: (..., J, 3), leading axes that broadcast with those of ``points``.

    Returns:
      The aligned points, of the broadcast shape, in the unit of ``target``.

    Raises:
      TypeError: not floating point.
      ValueError: the last axis is not 3 long, or the shapes do not fit.

    Source: paper section 4.3, protocol 2 (scale, rotation and translation).
    """
    points = checks.floating("points", points, (None, 3))
    target = checks.floating("target", target, (points.shape[-2], 3))
    centre = jnp.mean(target, axis=-2, keepdims=True)
    moved = points - jnp.mean(points, axis=-2, keepdims=True)
    covariance = linalg.einsum("...ja,...jb->...ab", moved, target - centre)
    rotation, gain = best_rotation(covariance)
    energy = jnp.sum(moved**2, axis=(-2, -1))
    scale = jnp.where(energy > 0, gain / jnp.where(energy > 0, energy, 1), 0)
    turned = linalg.einsum("...ab,...jb->...ja", rotation, moved)
    return scale[..., None, None] * turned + centre


def best_rotation(covariance: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The proper rotation that maximises trace(R S), and that maximum.

    Args:
      covariance: (..., 3, 3) S = sum_j x_j y_j^T.

    Returns:
      rotation (..., 3, 3), with y ~ R x, and trace(R S) (...), at least zero.
    """
    values, vectors = linalg.eigh_jacobi(_quaternion_form(covariance))
    top = jnp.argmax(values, axis=-1)[..., None]
    gain = jnp.take_along_axis(values, top, axis=-1)[..., 0]
    quaternion = jnp.take_along_axis(vectors, top[..., None, :], axis=-1)[..., 0]
    return _rotation(quaternion), gain


def _quaternion_form(covariance: jax.Array) -> jax.Array:
    """N(S) (..., 4, 4): q^T N q = trace(R(q) S), unit quaternions q = (w, x, y, z)."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = (
        [covariance[..., i, j] for j in range(3)] for i in range(3)
    )
    rows = [
        [xx + yy + zz, yz - zy, zx - xz, xy - yx],
        [yz - zy, xx - yy - zz, xy + yx, zx + xz],
        [zx - xz, xy + yx, yy - xx - zz, yz + zy],
        [xy - yx, zx + xz, yz + zy, zz - xx - yy],
    ]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def _rotation(quaternion: jax.Array) -> jax.Array:
    """The rotation matrix (..., 3, 3) of unit quaternions (..., 4)."""
    w, x, y, z = jnp.moveaxis(quaternion, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
