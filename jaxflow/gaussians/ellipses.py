"""2D Gaussians: their covariances in both frames, their layouts, their ambiguity.

A fit describes the bump (paper section 3.1, with the released code's signs)

    g(x, y) = A exp(-(a dx^2 + 2 b dx dy + c dy^2)),   dx = x - x0, dy = y - y0
    a =  cos^2(t) / (2 sx^2) + sin^2(t) / (2 sy^2)
    b = -sin(2 t) / (4 sx^2) + sin(2 t) / (4 sy^2)
    c =  sin^2(t) / (2 sx^2) + cos^2(t) / (2 sy^2)

over heatmap pixels, x the column and y the row, so y points DOWN.

The sign trap. With R = [[cos t, -sin t], [sin t, cos t]], the matrix

    C = R diag(sx^2, sy^2) R^T

looks like the covariance of g, but it is not the one in heatmap pixels: inverting
2 [[a, b], [b, c]] gives C with the sign of its off-diagonal flipped, because b carries
the minus. In words, t turns from x towards *up*. So C is the covariance in the pose
frame, where y points up (``pose2d``, ``pose3d``, the condition), and the image frame,
y down, has C01 negated. Everything here that depends on it goes through
``covariance_pose_frame``; nothing else in the project may negate it again.

In: ``GaussianFit`` of any batch shape (...). Out: covariances (..., 2, 2), px^2.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.maths import checks
from jaxflow.types import GaussianFit

# A raw sigma above this many heatmap pixels makes a pose ambiguous (H36MA).
AMBIGUOUS_SIGMA = 5.0


@jax.jit
def covariance_pose_frame(sigma: jax.Array, theta: jax.Array) -> jax.Array:
    """C = R diag(sigma^2) R^T, x right and y UP, the unit that of sigma squared.

    Args:
      sigma: (..., 2) sx, sy.
      theta: (...) radians.

    Returns:
      (..., 2, 2).
    """
    cos, sin = jnp.cos(theta), jnp.sin(theta)
    xx, yy = jnp.square(sigma[..., 0]), jnp.square(sigma[..., 1])
    c00 = cos * cos * xx + sin * sin * yy
    c01 = cos * sin * (xx - yy)
    c11 = sin * sin * xx + cos * cos * yy
    return symmetric(c00, c01, c11)


@jax.jit
def covariance_image_frame(sigma: jax.Array, theta: jax.Array) -> jax.Array:
    """The covariance in heatmap pixels, x right and y DOWN: (..., 2, 2), px^2."""
    return flip_y(covariance_pose_frame(sigma, theta))


def flip_y(covariance: jax.Array) -> jax.Array:
    """(..., 2, 2) between the image frame and the pose frame: C01 changes sign."""
    return covariance * jnp.asarray([[1, -1], [-1, 1]], covariance.dtype)


def symmetric(c00: jax.Array, c01: jax.Array, c11: jax.Array) -> jax.Array:
    """Three arrays (...) as the symmetric matrices (..., 2, 2)."""
    rows = [jnp.stack([c00, c01], -1), jnp.stack([c01, c11], -1)]
    return jnp.stack(rows, -2)


@jax.jit
def sigma_theta(covariance: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The inverse of ``covariance_pose_frame``, in one canonical form.

    Args:
      covariance: (..., 2, 2) positive definite, pose frame (y up).

    Returns:
      sigma (..., 2), the longer axis first, both positive; theta (...) in [0, pi), the
      longer axis's direction, 0 where both are equal. A circle has no direction, so
      the derivatives there are those of sx = sy: the angle's are zero, never NaN.
    """
    return _axes(covariance[..., 0, 0], covariance[..., 0, 1], covariance[..., 1, 1])


def _axes(
    c00: jax.Array, c01: jax.Array, c11: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Square roots of the eigenvalues (..., 2) and the first one's direction (...)."""
    mean, half = (c00 + c11) / 2, (c00 - c11) / 2
    round_ = jnp.hypot(half, c01) <= 4 * jnp.finfo(mean.dtype).eps * mean
    # Both arms of a where are differentiated, so the unused one must be harmless too.
    half, off = jnp.where(round_, 1.0, half), jnp.where(round_, 0.0, c01)
    radius = jnp.where(round_, 0.0, jnp.hypot(half, off))
    longer = mean + radius
    determinant = c00 * c11 - c01 * c01
    # Of a line nothing but rounding is left of it.
    least = jnp.finfo(mean.dtype).eps * longer
    shorter = jnp.where(determinant > 0, determinant / longer, least)
    shorter = jnp.where(round_, mean, shorter)
    angle = jnp.arctan2(off, half) / 2
    angle = jnp.where(angle < 0, angle + jnp.pi, angle)
    angle = jnp.where(angle >= jnp.pi, 0.0, angle)  # -tiny + pi rounds to pi
    return jnp.sqrt(jnp.stack([longer, shorter], -1)), angle


def from_quadratic(quadratic: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The coefficients (..., 3) = a, b, c of g as sigma (..., 2) and theta (...)."""
    a, b, c = jnp.moveaxis(quadratic, -1, 0)
    # Inverting 2 [[a, b], [b, c]] gives the image frame; without the minus on b, the
    # pose frame. The matrix is not put together on the way: XLA's CPU compiler (jaxlib
    # 0.10.2) miscompiles the forward derivative of stacking and taking apart again.
    twice_det = 2 * (a * c - b * b)
    return _axes(c / twice_det, b / twice_det, a / twice_det)


def to_quadratic(sigma: jax.Array, theta: jax.Array) -> jax.Array:
    """The coefficients (..., 3) = a, b, c of g from sigma (..., 2) and theta (...)."""
    inverse = covariance_pose_frame(1 / sigma, theta) / 2
    return jnp.stack([inverse[..., 0, 0], -inverse[..., 0, 1], inverse[..., 1, 1]], -1)


def is_ambiguous(fits: GaussianFit | jax.typing.ArrayLike) -> jax.Array:
    """Whether any joint of an image is uncertain: the paper's subset H36MA.

    Args:
      fits: GaussianFit of shape (..., J), or raw numbers (..., J, 7).

    Returns:
      (...) bool: some sx or sy exceeds 5 heatmap px. Only the size of a sigma counts,
      since a fit is defined up to its sign.

    Raises:
      ValueError: there is no joint axis, or an array's last axis is not 7 long.
    """
    if not isinstance(fits, GaussianFit):
        fits = GaussianFit.from_array(checks.floating("fits", fits, (None, 7)))
    if fits.sigma.ndim < 2:
        raise ValueError(f"expected fits of shape (..., J); got {fits.theta.shape}")
    return jnp.any(jnp.abs(fits.sigma) > AMBIGUOUS_SIGMA, axis=(-2, -1))


def to_released_layout(fits: GaussianFit) -> jax.Array:
    """GaussianFit (..., 16) as the released data's joint-major (..., 112) numbers.

    Raises:
      ValueError: the last axis does not hold 16 joints.
    """
    array = fits.as_array()
    checks.floating("fits", array, (16, 7))
    return array.reshape(*array.shape[:-2], 112)


def from_released_layout(numbers: jax.typing.ArrayLike) -> GaussianFit:
    """The released data's (..., 112) numbers as a GaussianFit of shape (..., 16).

    Signs and angles stay as they are: the released fits may have a negative sigma.

    Raises:
      TypeError: not floating point.
      ValueError: the last axis is not 112 long.
    """
    numbers = checks.floating("numbers", numbers, (112,))
    return GaussianFit.from_array(numbers.reshape(*numbers.shape[:-1], 16, 7))
