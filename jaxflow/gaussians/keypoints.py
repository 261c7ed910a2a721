"""Keypoints instead of heatmaps: any 2D detector's output as Gaussian fits.

    keypoints (..., n, 2) px, with standard deviations, covariances or confidences
      -> to_mpii: MPII-16, what is missing synthesised, uncertainty propagated
      -> to_fits: GaussianFit (..., 16) in heatmap px, ready for ``condition``

What a fit would have said. A heatmap network is trained on bumps of sigma 2 px, and
what minimises its squared error is the mean of the bumps over what it cannot decide. If
the joint's place has covariance S, that mean has covariance 2^2 I + S and, since a blur
keeps the volume, the amplitude

    A = 2^2 / sqrt(det(2^2 I + S)).

So a perfect keypoint becomes sigma 2, amplitude 1, below the 2.1 px above which a joint
counts as uncertain. Read backwards for S = s^2 I, a confidence that behaves like a
heatmap's peak gives 2^2 + s^2 = 2^2 / A: sigma = 2 / sqrt(confidence), falling from 10
px (the widest that the condition knows, at 0.04 and below) to 2 px at 1.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.typing
import numpy as np

from jaxflow.gaussians import ellipses
from jaxflow.gaussians.heatmaps import START_SIGMA
from jaxflow.gaussians.skeletons import SKELETONS, ForeignSkeleton
from jaxflow.maths import checks, linalg
from jaxflow.skeleton import MPII_JOINTS
from jaxflow.types import GaussianFit

HEATMAP_SIZE = 64
WIDEST_SIGMA = 10.0  # px of the heatmap; the condition clips there
MOST_SURE = 10.0  # some networks' scores exceed 1, and count as 1; percents do not
MIN_JOINTS = 4  # found, of sixteen; fewer say nothing about a pose
_ROUNDING = 64  # epsilons of a covariance's largest number, that it may be off by
# The released crop is a square around the person, this much wider than its joints.
CROP_MARGIN = 1.25


class Keypoints(NamedTuple):
    """2D detections of some joints J, in any one unit, x right and y down.

    Attributes:
      mean: (..., J, 2).
      covariance: (..., J, 2, 2) in the unit squared, image frame.
      found: (..., J) bool; where False, the other two mean nothing (but are finite).
    """

    mean: jax.Array
    covariance: jax.Array
    found: jax.Array


@checks.promoting
@jax.jit
def from_sigma(points: jax.typing.ArrayLike, sigma: jax.typing.ArrayLike) -> Keypoints:
    """Keypoints with standard deviations.

    Args:
      points: (..., J, 2). A point that is not finite counts as not found.
      sigma: (..., J), the same along x and y, or (..., J, 2); the points' unit. Where
        one is negative or not finite, the point counts as not found.

    Raises:
      TypeError: not floating point.
      ValueError: the shapes do not belong together.
    """
    points = checks.floating("points", points, (None, 2))
    sigma = checks.floating("sigma", sigma, (None,))
    if sigma.shape == points.shape[:-1]:
        sigma = jnp.stack([sigma, sigma], axis=-1)
    if sigma.shape != points.shape:
        raise ValueError(
            f"expected sigma of shape {points.shape[:-1]} or {points.shape}, as the "
            f"points have; got {sigma.shape}"
        )
    zero = jnp.zeros_like(sigma[..., 0])
    keypoints = from_covariance(
        points, ellipses.symmetric(sigma[..., 0] ** 2, zero, sigma[..., 1] ** 2)
    )
    return keypoints._replace(found=keypoints.found & jnp.all(sigma >= 0, axis=-1))


@checks.promoting
@jax.jit
def from_covariance(
    points: jax.typing.ArrayLike, covariance: jax.typing.ArrayLike
) -> Keypoints:
    """Keypoints (..., J, 2) with covariances (..., J, 2, 2), image frame (y down).

    A point with a number that is not finite counts as not found, and so does one whose
    covariance has a negative eigenvalue (beyond rounding), which none has.

    Raises:
      TypeError: not floating point.
      ValueError: the shapes do not belong together.
    """
    points = checks.floating("points", points, (None, 2))
    covariance = checks.floating("covariance", covariance, (None, 2, 2))
    checks.same_batch(points=points.shape[:-1], covariance=covariance.shape[:-2])
    found = jnp.all(jnp.isfinite(points), -1)
    found &= jnp.all(jnp.isfinite(covariance), (-2, -1)) & _semidefinite(covariance)
    return Keypoints(
        jnp.where(found[..., None], points, 0),
        jnp.where(found[..., None, None], covariance, 0),
        found,
    )


def _semidefinite(covariance: jax.Array) -> jax.Array:
    """Whether symmetric matrices (..., 2, 2) have no negative eigenvalue: (...).

    That of a line may be less than 0 by rounding.
    """
    largest = jnp.max(jnp.abs(covariance), axis=(-2, -1), keepdims=True)
    unit = covariance / jnp.where(largest > 0, largest, 1)
    least = -_ROUNDING * jnp.finfo(covariance.dtype).eps
    xx, xy, yy = unit[..., 0, 0], unit[..., 0, 1], unit[..., 1, 1]
    return (xx >= least) & (yy >= least) & (xx * yy - xy * xy >= least)


def from_confidence(
    points: jax.typing.ArrayLike,
    confidence: jax.typing.ArrayLike,
    heatmap_pixel: jax.typing.ArrayLike,
) -> Keypoints:
    """Keypoints with confidences only.

    Args:
      points: (..., J, 2). A point that is not finite counts as not found.
      confidence: (..., J) in [0, 1]; 0 or less (or NaN) is a joint not found. The map
        to a standard deviation falls strictly from 0.04 to 1: see the module.
      heatmap_pixel: (...) how long one heatmap pixel is in the points' unit, as
        ``crop_of`` gives it.

    Raises:
      TypeError: not floating point.
      ValueError: the shapes do not belong together, or confidences that are percents
        (where they are no traced values).
    """
    points = checks.floating("points", points, (None, 2))
    confidence = checks.floating("confidence", confidence, (None,))
    checks.same_batch(points=points.shape[:-1], confidence=confidence.shape)
    pixel = jnp.asarray(heatmap_pixel, points.dtype)
    checks.one_or_each("heatmap_pixel", pixel, points.shape[:-2])
    if not isinstance(confidence, jax.core.Tracer) and confidence.size:
        if (most := float(np.nanmax(np.asarray(confidence), initial=0))) > MOST_SURE:
            raise ValueError(
                f"expected confidences of 0 to 1; got up to {most:g}: divide percents "
                "by 100"
            )
    return _from_confidence(points, confidence, pixel)


@checks.promoting
@jax.jit
def _from_confidence(
    points: jax.Array, confidence: jax.Array, heatmap_pixel: jax.Array
) -> Keypoints:
    """`from_confidence`, checked."""
    found = confidence > 0
    least = (START_SIGMA / WIDEST_SIGMA) ** 2
    peak = jnp.clip(jnp.where(found, confidence, 1), least, 1).astype(points.dtype)
    # Not by way of its root, which has no derivative where a joint is sure.
    variance = (1 / peak - 1) * (START_SIGMA * heatmap_pixel[..., None]) ** 2
    covariance = ellipses.symmetric(variance, jnp.zeros_like(variance), variance)
    keypoints = from_covariance(points, covariance)
    return keypoints._replace(found=keypoints.found & found)


@checks.promoting
@jax.jit
def crop_of(keypoints: Keypoints) -> tuple[jax.Array, jax.Array]:
    """The square crop a heatmap detector would have been given.

    Returns:
      corner (..., 2), the crop's left and top, and the length (...) of a heatmap pixel,
      both in the keypoints' unit: a square around the joints found, 1.25 times as wide.
    """
    found, mean = keypoints.found[..., None], keypoints.mean
    # Not infinity, which JAX_DEBUG_INFS would take for a mistake.
    most = jnp.finfo(mean.dtype).max
    low = jnp.min(jnp.where(found, mean, most), axis=-2)
    high = jnp.max(jnp.where(found, mean, -most), axis=-2)
    some = jnp.any(keypoints.found, axis=-1)[..., None]
    low, high = jnp.where(some, low, 0), jnp.where(some, high, 0)
    side = CROP_MARGIN * jnp.max(high - low, axis=-1)
    side = jnp.where(side > 0, side, HEATMAP_SIZE)  # one joint, or none: any scale
    return (low + high) / 2 - side[..., None] / 2, side / HEATMAP_SIZE


@checks.promoting
@functools.partial(jax.jit, static_argnames="skeleton")
def to_mpii(keypoints: Keypoints, skeleton: str) -> Keypoints:
    """Another skeleton's keypoints as MPII-16.

    Args:
      keypoints: (..., n, ...) in the order that ``skeletons`` lists.
      skeleton: a name in ``SKELETONS``.

    Returns:
      Keypoints of 16 joints. Errors of different joints count as independent, so
      covariances add with the squares of the weights. A joint is found if each of its
      groups has a joint that was found.

    Raises:
      ValueError: an unknown skeleton or another number of joints.
    """
    checks.record("keypoints", keypoints, Keypoints)
    if skeleton not in SKELETONS:
        known = ", ".join(SKELETONS)
        raise ValueError(f"expected a skeleton among {known}; got {skeleton!r}")
    foreign = SKELETONS[skeleton]
    if keypoints.found.shape[-1:] != (len(foreign.joints),):
        raise ValueError(
            f"expected {len(foreign.joints)} joints for {skeleton}; got keypoints of "
            f"shape {keypoints.mean.shape}"
        )
    members, sums = tables(foreign)
    dtype = keypoints.mean.dtype
    present = keypoints.found[..., None, :].astype(dtype) * jnp.asarray(members, dtype)
    count = jnp.sum(present, axis=-1, keepdims=True)
    shares = present / jnp.maximum(count, 1)
    weights = linalg.matmul(jnp.asarray(sums, dtype), shares)  # (16, n)
    needed = jnp.asarray(sums != 0)
    found = jnp.all(~needed | (count[..., 0] > 0)[..., None, :], axis=-1)
    mean = linalg.einsum("...mn,...nx->...mx", weights, keypoints.mean)
    covariance = linalg.einsum("...mn,...nxy->...mxy", weights**2, keypoints.covariance)
    return Keypoints(mean, covariance, found)


@checks.promoting
@jax.jit
def to_fits(
    keypoints: Keypoints,
    corner: jax.typing.ArrayLike | None = None,
    heatmap_pixel: jax.typing.ArrayLike | None = None,
) -> GaussianFit:
    """What a heatmap detector's fits would have been.

    Args:
      keypoints: (..., 16, ...) MPII-16.
      corner: (..., 2) left and top of the crop, and
      heatmap_pixel: (...) the length of a heatmap pixel, in the keypoints' unit;
        default ``crop_of(keypoints)``.

    Returns:
      GaussianFit (..., 16) in heatmap px, rmse 0. A joint not found has
      ``converged`` False, the widest sigma, amplitude 2^2 / 10^2 and the mean of the
      joints that were found (the crop's middle if none was).

    Raises:
      ValueError: not 16 joints, or only one of ``corner`` and ``heatmap_pixel``.
    """
    checks.record("keypoints", keypoints, Keypoints)
    checks.floating("keypoints.mean", keypoints.mean, (len(MPII_JOINTS), 2))
    if (corner is None) != (heatmap_pixel is None):
        raise ValueError("expected corner and heatmap_pixel together, or neither")
    if corner is None:
        corner, heatmap_pixel = crop_of(keypoints)
    dtype = keypoints.mean.dtype
    origin = jnp.asarray(corner, dtype)[..., None, :]
    pixel = jnp.asarray(heatmap_pixel, dtype)[..., None]
    mean = (keypoints.mean - origin) / pixel[..., None]
    mean = to_middle(mean, keypoints.found)

    narrow = START_SIGMA**2 * jnp.eye(2, dtype=dtype)
    blurred = narrow + keypoints.covariance / jnp.square(pixel)[..., None, None]
    wide = WIDEST_SIGMA**2 * jnp.eye(2, dtype=dtype)
    blurred = jnp.where(keypoints.found[..., None, None], blurred, wide)
    sigma, theta = ellipses.sigma_theta(ellipses.flip_y(blurred))
    sigma = jnp.minimum(sigma, WIDEST_SIGMA)
    amplitude = START_SIGMA**2 / jnp.prod(sigma, axis=-1)
    return GaussianFit(
        amplitude, mean, sigma, theta, jnp.zeros_like(amplitude), keypoints.found
    )


@checks.promoting
@jax.jit
def fill_missing(fit: GaussianFit) -> GaussianFit:
    """Fits (..., 16) of heatmaps, where those without an answer count as not found.

    A map that is empty, flat or not finite has no fit: ``converged`` is False. What
    stands for the joint is what ``to_fits`` gives for a keypoint of confidence 0: the
    widest sigma and the mean of the joints found. The other fits stay bit for bit.
    """
    checks.record("fit", fit, GaussianFit)
    found, dtype = fit.converged, fit.amplitude.dtype

    def pick(value: jax.Array, other: float) -> jax.Array:
        return jnp.where(found, value, jnp.asarray(other, dtype))

    return GaussianFit(
        amplitude=pick(fit.amplitude, (START_SIGMA / WIDEST_SIGMA) ** 2),
        mean=to_middle(fit.mean, found),
        sigma=jnp.where(found[..., None], fit.sigma, jnp.asarray(WIDEST_SIGMA, dtype)),
        theta=pick(fit.theta, 0),
        rmse=pick(fit.rmse, 0),
        converged=found,
    )


def are_missing(fits: np.ndarray) -> np.ndarray:
    """Which fits (..., 7) stand for joints not found, or are no surer than those.

    So unsure is a keypoint of confidence 0.04 or less.
    """
    amplitude, sigma = fits[..., 0], fits[..., [3, 5]]
    least = np.float32((START_SIGMA / WIDEST_SIGMA) ** 2)
    return np.isclose(amplitude, least) & np.isclose(sigma, WIDEST_SIGMA).all(-1)


@checks.promoting
def to_middle(mean: jax.Array, found: jax.Array) -> jax.Array:
    """Places (..., J, 2), heatmap px: one not found is in the middle of the others."""
    return jnp.where(found[..., None], mean, _middle(mean, found))


def _middle(mean: jax.Array, found: jax.Array) -> jax.Array:
    """The mean (..., 1, 2) of the joints found, or the middle of the heatmap."""
    weight = found[..., None].astype(mean.dtype)
    count = jnp.sum(weight, axis=-2, keepdims=True)
    # A place that was not found may be no number, and then spoils every product.
    seen = jnp.where(found[..., None], mean, 0)
    centre = jnp.sum(seen, axis=-2, keepdims=True) / jnp.maximum(count, 1)
    return jnp.where(count > 0, centre, (HEATMAP_SIZE - 1) / 2)


def tables(foreign: ForeignSkeleton) -> tuple[np.ndarray, np.ndarray]:
    """Which joints a group holds (16, n), and the groups' weights in a joint (16, 16).

    There is a group of the name of every MPII joint, except that of the spine, which
    may be made of others.
    """
    names = MPII_JOINTS
    members = np.zeros((len(names), len(foreign.joints)))
    for group, joints in foreign.groups.items():
        members[names.index(group), [foreign.joints.index(j) for j in joints]] = 1
    sums = np.zeros((len(names), len(names)))
    for joint, terms in foreign.sums.items():
        for weight, group in terms:
            sums[names.index(joint), names.index(group)] = weight
    return members, sums
