"""What a mirror does to what the flow sees and gives: it only changes signs.

    (..., 16) joints -> (..., 16) sums and differences of left and right

The sum of a left and a right joint (over sqrt 2) is in a mirror what it was, their
difference changes its sign, and what lies across the picture does so once more. Sums
stand where the first joint of a pair did, differences where the second one did, in both
orders of joints at the same places. The change is its own inverse.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.gaussians.condition import PER_JOINT
from jaxflow.skeleton import CONDITIONED_MPII, H36M_MIRRORED, MPII_MIRRORED

_JOINTS = 16
# In a mirror, of A, x, y, C00, C01, C11 of the condition.
_SIGNS = np.asarray((1, -1, 1, 1, -1, 1), np.float32)
# Indices are int32 whatever jax_enable_x64 says: what JAX has traced of one under a
# setting it takes for the other, too.
_CONDITIONED = np.asarray(
    [CONDITIONED_MPII.index(MPII_MIRRORED[i]) for i in CONDITIONED_MPII], np.int32
)
# The other side's joint, in the order of poses without the hip and in the detector's.
_OF_POSE = np.asarray(H36M_MIRRORED[1:], np.int32) - 1
_OF_PICTURE = np.asarray(MPII_MIRRORED, np.int32)


def signs() -> np.ndarray:
    """(48,) of depths, then x, then y, as sums and differences."""
    even = np.where(_OF_POSE < np.arange(_JOINTS), -1, 1).astype(np.float32)
    return np.concatenate([even, -even, even])


def of_pose(numbers: jax.Array) -> jax.Array:
    """Axes (..., 16 n) of joints in the order of poses."""
    return _halves(numbers, _OF_POSE)


def of_picture(numbers: jax.Array) -> jax.Array:
    """Axes (..., 16 n) of joints in the detector's order."""
    return _halves(numbers, _OF_PICTURE)


def _halves(numbers: jax.Array, other: np.ndarray) -> jax.Array:
    place = np.arange(_JOINTS)
    half = np.sqrt(0.5)
    own = np.where(other == place, 1, np.where(other > place, half, -half))
    theirs = np.where(other == place, 0, half)
    count = numbers.shape[-1] // _JOINTS
    axes = numbers.reshape(*numbers.shape[:-1], count, _JOINTS)
    own, theirs = own.astype(axes.dtype), theirs.astype(axes.dtype)
    return (own * axes + theirs * axes[..., other]).reshape(numbers.shape)


def pose2d(normalised: jax.Array) -> jax.Array:
    """A normalised 2D pose (..., 32) as a mirror shows it."""
    x, y = jnp.split(normalised, 2, axis=-1)
    return jnp.concatenate([-x[..., _OF_PICTURE], y[..., _OF_PICTURE]], axis=-1)


def cond(condition: jax.Array) -> jax.Array:
    """A condition (..., 78) of what a mirror shows."""
    rows = condition.reshape(*condition.shape[:-1], len(_CONDITIONED), PER_JOINT)
    rows = rows[..., _CONDITIONED, :] * _SIGNS.astype(rows.dtype)
    return rows.reshape(condition.shape)
