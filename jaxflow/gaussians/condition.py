"""Fitted Gaussians to the 78 numbers that condition the flow.

    (..., 16, 7) fits -> (..., 78) = 13 joints x (A, mean x, mean y, C00, C01, C11)

Paper section 3.2; the numbers are the released code's, which keeps the amplitude that
the paper drops. The hips are left out: the alignment of 3D poses to the root leaves
them almost no variance.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.gaussians import ellipses, keypoints
from jaxflow.maths import checks
from jaxflow.maths.geometry import normalize_pose2d, to_joints
from jaxflow.skeleton import CONDITIONED_MPII
from jaxflow.types import GaussianFit

PER_JOINT = 6  # numbers of a joint: A, x, y, C00, C01, C11
MAX_AMPLITUDE = 1.2
MAP_EDGE = 63.0  # last column, and last row, of a 64 x 64 heatmap
SIGMA_RANGE = (0.2, 10.0)
# 1.05 times the detector's training sigma: above it a detection counts as uncertain.
UNCERTAIN_SIGMA = 2.1
SIGMA_UNIT = 20.0  # brings doubled sigmas of up to 20 px into [0, 1]


@checks.promoting
def condition(fits: GaussianFit | jax.typing.ArrayLike) -> jax.Array:
    """The condition of an image's sixteen fits.

    Args:
      fits: (..., 16, 7) floating array A, x0, y0, sx, theta, sy, rmse in heatmap pixels
        (y down), MPII-16 order, or a `GaussianFit` of batch shape (..., 16), whose
        joints that did not converge count as not found (``keypoints.fill_missing``).

    Returns:
      (..., 78), joint-major. Means are normalised as 2D poses are (y up); C is the
      covariance in the same y-up frame, in units of (20 px)^2 with uncertain sigmas
      doubled. The means are NaN, as a 2D pose is, where all joints lie in one place of
      the map: fewer than two were found, or all lie beyond one of its corners
      (`jaxflow.normalize_pose2d` says what to do).

    Raises:
      TypeError: not floating point.
      ValueError: the shape does not end in (16, 7).

    Source: paper section 3.2 and the released code. One difference: that code clips a
    negative sigma, which describes the same Gaussian as its absolute value, to 0.2 px;
    here its sign is dropped first.
    """
    if isinstance(fits, GaussianFit):
        checks.floating("fits", fits.as_array(), (16, 7))
        filled: GaussianFit = keypoints.fill_missing(fits)
        fits = filled.as_array()
    fits = checks.floating("fits", fits, (16, 7))
    amplitude = jnp.clip(fits[..., 0], 0.0, MAX_AMPLITUDE)
    means = to_joints(normalize_pose2d(jnp.clip(fits[..., 1:3], 0.0, MAP_EDGE)), axes=2)
    sigma = _scaled_sigma(fits[..., jnp.asarray([3, 5])])
    covariance = ellipses.covariance_pose_frame(sigma, jnp.mod(fits[..., 4], jnp.pi))
    rows = covariance.reshape(*covariance.shape[:-2], 4)
    features = jnp.concatenate(
        [amplitude[..., None], means, rows[..., :2], rows[..., 3:]], axis=-1
    )
    kept = features[..., jnp.asarray(CONDITIONED_MPII), :]
    return kept.reshape(*kept.shape[:-2], len(CONDITIONED_MPII) * PER_JOINT)


def _scaled_sigma(sigma: jax.Array) -> jax.Array:
    """Positive, clipped, doubled where uncertain, in units of 20 px."""
    sigma = jnp.clip(jnp.abs(sigma), *SIGMA_RANGE)
    return jnp.where(sigma > UNCERTAIN_SIGMA, 2 * sigma, sigma) / SIGMA_UNIT
