"""A detection as a less sure detector would have reported it.

    detections, an error e ~ N(0, E) and what is then said of it -> detections

A detector that errs by e ~ N(0, E) and knows it draws a bump of its own blob and E
together: the mean moves by e, the covariance says E, the peak is lower, since the bump
is wider. Training makes detections of it (`training.augmentation`), and evaluation asks
with it whether hypotheses follow (`metrics.response`).

In: heatmap pixels for fits and errors, y down; crop pixels for 2D poses. Covariances
are in the pose frame, y up, as `ellipses` has them.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxflow.gaussians.ellipses import covariance_pose_frame, flip_y, sigma_theta
from jaxflow.skeleton import CROP_PER_HEATMAP

# A peak falls as the bump's area grows, to this power: detectors' peaks, measured.
PEAK_POWER = -0.6


def covariance_of(gaussfit: jax.Array) -> jax.Array:
    """C of fits (..., 7): (..., 2, 2) px^2, pose frame."""
    return covariance_pose_frame(gaussfit[..., 3:6:2], gaussfit[..., 4])


def draw_error(covariance: jax.Array, normal: jax.Array) -> jax.Array:
    """N(0, covariance) in heatmap pixels, y down.

    Args:
      covariance: (..., 2, 2) px^2, pose frame, positive semi-definite.
      normal: (..., 2) standard normal numbers.
    """
    image = flip_y(covariance)
    # The Cholesky factor by hand: of zero it is zero.
    first = jnp.sqrt(image[..., 0, 0])
    mixed = image[..., 0, 1] / jnp.where(first > 0, first, 1)
    second = jnp.sqrt(jnp.maximum(image[..., 1, 1] - mixed**2, 0))
    x = first * normal[..., 0]
    return jnp.stack([x, mixed * normal[..., 0] + second * normal[..., 1]], -1)


def reported(
    pose2d: jax.Array,
    gaussfit: jax.Array,
    error: jax.Array,
    covariance: jax.Array,
    area: float | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Detections moved by an error, and fits that report another covariance.

    Args:
      pose2d: (..., 2) crop pixels.
      gaussfit: (..., 7) A, x0, y0, sx, theta, sy, rmse.
      error: (..., 2) heatmap pixels, y down.
      covariance: (..., 2, 2) px^2, pose frame, positive definite: what they report.
      area: of the bumps as they were, px^2 (sx * sy); the fits' own if None.

    Returns:
      Both, changed; the amplitude by `PEAK_POWER` of how much the bump's area grew.
    """
    # Not by a determinant, which rounding makes negative where bumps are lines.
    before = jnp.abs(gaussfit[..., 3] * gaussfit[..., 5]) if area is None else area
    sigma, theta = sigma_theta(covariance)
    grown = jnp.prod(sigma, axis=-1) / before
    amplitude = gaussfit[..., 0] * grown**PEAK_POWER
    mean = gaussfit[..., 1:3] + error
    columns = [amplitude, mean[..., 0], mean[..., 1], sigma[..., 0], theta]
    columns += [sigma[..., 1], gaussfit[..., 6]]
    return pose2d + CROP_PER_HEATMAP * error, jnp.stack(columns, axis=-1)
