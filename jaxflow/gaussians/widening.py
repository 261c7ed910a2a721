"""Fits of maps that one Gaussian does not describe: as wide as the maps are.

    maps (..., 64, 64), fits (...) -> fits (...)

A Gaussian fitted to a map of two peaks is as narrow as the higher one, and would say
that its joint is sure. Where the fitted bump holds less than 0.6 of the map's volume,
the map's second moments about the fitted mean take the place of its covariance, if
they are wider, and the amplitude is that of the volume. What is below a tenth of a
map's peak is background.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxflow.gaussians import ellipses, heatmaps
from jaxflow.maths import checks, linalg
from jaxflow.types import GaussianFit

FLOOR = 0.1  # of the peak; below, a map is background
HELD = 0.6  # of a map's volume; with less a Gaussian does not describe it


@checks.promoting
@jax.jit
def widened(maps: jax.Array, fits: GaussianFit) -> GaussianFit:
    """The fits, those of maps of several peaks widened.

    Args:
      maps: (..., H, W) in [0, 1], or uint8 for value / 255.
      fits: (...) heatmap px, as fitted to them.
    """
    maps = heatmaps.clean(maps)
    held, moments = _moments(maps, fits.mean)
    area = 2 * jnp.pi * jnp.prod(fits.sigma, -1)
    wider = moments[..., 0, 0] + moments[..., 1, 1] > jnp.sum(fits.sigma**2, -1)
    poor = fits.converged & (fits.amplitude * area < HELD * held) & wider
    # No axis of none: two single pixels have moments in one direction only.
    least = jnp.min(fits.sigma, -1)[..., None, None] ** 2
    unit = jnp.eye(2, dtype=maps.dtype)
    usable = jnp.where(poor[..., None, None], moments + 1e-4 * least * unit, unit)
    sigma, theta = ellipses.sigma_theta(ellipses.flip_y(usable))
    height = held / (2 * jnp.pi * jnp.prod(sigma, -1))
    return fits._replace(
        amplitude=jnp.where(poor, height, fits.amplitude),
        sigma=jnp.where(poor[..., None], sigma, fits.sigma),
        theta=jnp.where(poor, theta, fits.theta),
    )


def _moments(maps: jax.Array, mean: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A map's volume (...) without its background, and second moments about a point."""
    height, width = maps.shape[-2:]
    floor = FLOOR * jnp.max(maps, (-2, -1), keepdims=True)
    weight = jnp.where(maps > floor, maps, 0)
    total = jnp.sum(weight, (-2, -1))
    share = weight / jnp.maximum(total, 1e-9)[..., None, None]
    dx = jnp.arange(width, dtype=maps.dtype) - mean[..., 0, None]
    dy = jnp.arange(height, dtype=maps.dtype) - mean[..., 1, None]
    xx = linalg.einsum("...yx,...x,...x->...", share, dx, dx)
    xy = linalg.einsum("...yx,...y,...x->...", share, dy, dx)
    yy = linalg.einsum("...yx,...y,...y->...", share, dy, dy)
    return total, ellipses.symmetric(xx, xy, yy)
