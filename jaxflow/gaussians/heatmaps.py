"""Heatmaps: what counts as one, where a fit starts, and how a Gaussian is drawn.

In: maps (..., H, W) of a detector, x = column 0..W-1, y = row 0..H-1, nominally in
[0, 1]. Out: start values (paper section 3.1, appendix A; released code) and, the other
way, the heatmap of a Gaussian.

A *quadratic* is a Gaussian as six numbers (A, x0, y0, a, b, c), see ``gaussians``. In
them the derivatives of the bump are the bump times a polynomial, and nothing is
singular at the start, where the two sigmas are equal and the angle has no meaning.

What is done to a map before it is fitted:

* Integers: only uint8 is taken, as value / 255.
* float16 and bfloat16 become float32, exactly. float64 stays, under x64.
* Negative pixels become 0, as in the released code: a detector's noise goes both ways
  and half of an ordinary map lies slightly below zero. What is above 1 stays, so that
  scaling a map scales the amplitude alone (``condition`` clips the amplitude).
* A map is no heatmap, and its fit is flagged, if a pixel is not finite, if none is
  positive, or if one lies below zero by more than a tenth, both outright and of the
  map's peak: detectors do not undershoot like that.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.gaussians import ellipses
from jaxflow.types import GaussianFit

START_SIGMA = 2.0  # px, the width a detector's training targets are drawn with
NEGATIVE_TOLERANCE = 0.1
_STARTS_AT_ONCE = 64

# 1 / 255 = high + low, the high part of few enough bits for exact products.
_INVERSE_255_HIGH = 65792 / 2**24
_INVERSE_255_LOW = 1 / 255 - _INVERSE_255_HIGH


class Starts(NamedTuple):
    """Where the fits of N maps start.

    Attributes:
      peak: (N,) the largest finite value, never below 0.
      mean: (N, 2) column, row.
      valid: (N,) bool, whether the map can be fitted at all.
    """

    peak: jax.Array
    mean: jax.Array
    valid: jax.Array


def check_heatmaps(heatmaps: jax.typing.ArrayLike) -> jax.Array:
    """``heatmaps`` as an array, its rank, size and dtype checked; nothing is copied.

    Raises:
      TypeError: neither floating point nor uint8.
      ValueError: rank below 2, or a map of fewer than 3 rows or columns.
    """
    heatmaps = jnp.asarray(heatmaps)
    floating = jnp.issubdtype(heatmaps.dtype, jnp.floating)
    if not floating and heatmaps.dtype != jnp.uint8:
        raise TypeError(
            "expected heatmaps of floating point, or of uint8 for value / 255; got "
            f"{heatmaps.dtype}"
        )
    if heatmaps.ndim < 2 or min(heatmaps.shape[-2:]) < 3:
        raise ValueError(
            "expected heatmaps of shape (..., rows, columns), at least 3 x 3; got "
            f"{heatmaps.shape}"
        )
    return heatmaps


def working_dtype(dtype: jax.typing.DTypeLike) -> jnp.dtype:
    """The dtype in which maps of ``dtype`` are fitted: float32 or float64."""
    return jnp.dtype(jnp.float64 if dtype == jnp.float64 else jnp.float32)


def to_float(maps: jax.Array) -> jax.Array:
    """Pixels as float32 or float64; uint8 as value / 255, correctly rounded."""
    dtype = working_dtype(maps.dtype)
    pixels = maps.astype(dtype)
    if maps.dtype == jnp.uint8:
        # Compilers turn a division by a constant into a product with its rounded
        # inverse. With the inverse in two parts the first product is exact.
        return pixels * _INVERSE_255_HIGH + pixels * _INVERSE_255_LOW
    return pixels


def clean(maps: jax.Array) -> jax.Array:
    """Pixels as floats, with 0 for what is negative or not finite."""
    maps = to_float(maps)
    return jnp.where(jnp.isfinite(maps) & (maps > 0), maps, 0)


def start_values(maps: jax.Array, init: jax.Array | None) -> Starts:
    """The released start: the map's maximum, at ``init`` or where the maximum is.

    Args:
      maps: (N, H, W) as the detector gave them.
      init: (N, 2) column and row, or None. A start that is not finite is replaced by
        the place of the maximum.

    Returns:
      Starts, in the working dtype.
    """
    # In pieces, so that no copy of all the maps as floats is ever made. The last piece
    # overlaps the one before it: cutting off a remainder would copy the rest.
    count = maps.shape[0]
    piece = min(_STARTS_AT_ONCE, count)

    def advance(i: jax.Array, starts: Starts) -> Starts:
        first = jnp.minimum(i * piece, count - piece)
        piece_starts = jax.vmap(_start_of)(
            jax.lax.dynamic_slice_in_dim(maps, first, piece)
        )
        return jax.tree.map(
            lambda whole, part: jax.lax.dynamic_update_slice_in_dim(
                whole, part, first, axis=0
            ),
            starts,
            piece_starts,
        )

    dtype = working_dtype(maps.dtype)
    blank = Starts(
        jnp.zeros(count, dtype), jnp.zeros((count, 2), dtype), jnp.zeros(count, bool)
    )
    starts = jax.lax.fori_loop(0, -(-count // piece), advance, blank)
    if init is None:
        return starts
    places = init.astype(starts.mean.dtype)
    finite = jnp.all(jnp.isfinite(places), axis=-1, keepdims=True)
    return starts._replace(mean=jnp.where(finite, places, starts.mean))


def _start_of(raw: jax.Array) -> Starts:
    """The start of one map (H, W): its first maximum, in row-major order."""
    pixels, cleaned = to_float(raw), clean(raw)
    # Two short searches: an argmax over all pixels at once is far slower on CPU.
    row_peak = jnp.max(cleaned, axis=1)
    row = jnp.argmax(row_peak)
    peak = row_peak[row]
    column = jnp.argmax(cleaned[row])
    depth = -jnp.min(pixels)
    valid = jnp.all(jnp.isfinite(pixels)) & (peak > jnp.finfo(peak.dtype).tiny)
    valid &= depth <= NEGATIVE_TOLERANCE * jnp.maximum(peak, 1)
    return Starts(peak, jnp.stack([column, row]).astype(peak.dtype), valid)


def start_quadratic(peak: jax.Array, mean: jax.Array) -> jax.Array:
    """Amplitudes (...) and means (..., 2) as round quadratics (..., 6) of sigma 2."""
    width = jnp.full_like(peak, 1 / (2 * START_SIGMA**2))
    columns = [peak, mean[..., 0], mean[..., 1], width, jnp.zeros_like(peak), width]
    return jnp.stack(columns, axis=-1)


def offsets(
    quadratic: jax.Array, height: int, width: int
) -> tuple[jax.Array, jax.Array]:
    """Distances to the mean: dx (..., width) and dy (..., height)."""
    x = jnp.arange(width, dtype=quadratic.dtype) - quadratic[..., 1, None]
    y = jnp.arange(height, dtype=quadratic.dtype) - quadratic[..., 2, None]
    return x, y


def render_quadratic(quadratic: jax.Array, height: int, width: int) -> jax.Array:
    """The bump at every pixel: quadratics (..., 6) to maps (..., height, width)."""
    dx, dy = offsets(quadratic, height, width)
    amplitude, a, b, c = (quadratic[..., i, None, None] for i in (0, 3, 4, 5))
    dx, dy = dx[..., None, :], dy[..., :, None]
    return amplitude * jnp.exp(-(a * dx * dx + 2 * b * dx * dy + c * dy * dy))


def render(fit: GaussianFit, height: int = 64, width: int = 64) -> jax.Array:
    """The heatmap that a fit describes.

    Args:
      fit: GaussianFit of shape (...).
      height: rows.
      width: columns.

    Returns:
      (..., height, width).
    """
    shape = ellipses.to_quadratic(fit.sigma, fit.theta)
    place = jnp.concatenate([fit.amplitude[..., None], fit.mean], axis=-1)
    return render_quadratic(jnp.concatenate([place, shape], -1), height, width)
