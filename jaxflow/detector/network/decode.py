"""Heatmaps to joints: the largest pixel, or DARK.

    heatmaps (..., H, W) -> Joints: place (..., 2) heatmap px, score (...)

Both begin at the first largest pixel m, whose value is the score. ``dark`` (Zhang et
al. 2020) takes the heatmap for a Gaussian bump. Its logarithm L is then a quadratic, of
which three points an axis give the peak exactly:

    m - H^-1 D,     D, H  gradient and Hessian of L at m, central differences.

Against noise the map is smoothed by a Gaussian of 2 px, the bump's own width, first.
Like the published form, it leaves a peak at the border where it is. Either can be the
``init`` of ``jaxflow.fit_gaussians``.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.typing
import numpy as np

from jaxflow.gaussians.heatmaps import START_SIGMA, check_heatmaps, to_float
from jaxflow.maths import checks

_KERNEL = 11  # px, the width of the published smoothing
_LEAST = 1e-10  # below, logarithms are taken of this
_FARTHEST = 1.5  # px; a peak found farther off contradicts m being the largest pixel


class Joints(NamedTuple):
    """Joints found in heatmaps.

    Attributes:
      place: (..., 2) x (column), y (row), heatmap px.
      score: (...) the map's largest value.
    """

    place: jax.Array
    score: jax.Array


@checks.promoting
@jax.jit
def largest_pixel(heatmaps: jax.typing.ArrayLike) -> Joints:
    """The first largest pixel of each map, in row-major order.

    Args:
      heatmaps: (..., H, W) floating point, or uint8 for value / 255.

    Raises:
      TypeError: neither floating point nor uint8.
      ValueError: rank below 2 or under 3 x 3 pixels.
    """
    maps = to_float(check_heatmaps(heatmaps))
    flat = maps.reshape(*maps.shape[:-2], -1)
    index = jnp.argmax(flat, axis=-1)
    row, column = jnp.divmod(index, maps.shape[-1])
    place = jnp.stack([column, row], axis=-1).astype(maps.dtype)
    return Joints(place, jnp.max(flat, axis=-1))


@checks.promoting
@jax.jit
def dark(heatmaps: jax.typing.ArrayLike) -> Joints:
    """The peak of the bump through the smoothed map, by its logarithm's quadratic.

    Args and errors as of ``largest_pixel``. Where the logarithm is not curved downwards
    or its peak lies more than 1.5 px away, the largest pixel stays.
    """
    joints = largest_pixel(heatmaps)
    maps = to_float(jnp.asarray(heatmaps))
    logs = jnp.log(jnp.maximum(_smooth(maps, joints.score), _LEAST))
    step = _to_peak(_around(logs, joints.place))
    size = jnp.asarray([maps.shape[-1], maps.shape[-2]], maps.dtype)
    inside = jnp.all((joints.place > 1) & (joints.place < size - 2), axis=-1)
    near = jnp.all(jnp.abs(step) <= _FARTHEST, axis=-1)  # False for NaN
    step = jnp.where((inside & near)[..., None], step, 0)
    return joints._replace(place=joints.place + step)


def _to_peak(logs: jax.Array) -> jax.Array:
    """From the middle of (..., 5, 5) logarithms to the peak: (..., 2), or NaN."""
    dx = (logs[..., 2, 3] - logs[..., 2, 1]) / 2
    dy = (logs[..., 3, 2] - logs[..., 1, 2]) / 2
    dxx = (logs[..., 2, 4] - 2 * logs[..., 2, 2] + logs[..., 2, 0]) / 4
    dyy = (logs[..., 4, 2] - 2 * logs[..., 2, 2] + logs[..., 0, 2]) / 4
    dxy = (logs[..., 3, 3] - logs[..., 1, 3] - logs[..., 3, 1] + logs[..., 1, 1]) / 4
    determinant = dxx * dyy - dxy * dxy
    down = (determinant > 0) & (dxx < 0)
    determinant = jnp.where(down, determinant, jnp.nan)
    x = -(dyy * dx - dxy * dy) / determinant
    y = -(dxx * dy - dxy * dx) / determinant
    return jnp.stack([x, y], axis=-1)


def _around(maps: jax.Array, place: jax.Array) -> jax.Array:
    """The (..., 5, 5) pixels around whole places (..., 2); edges repeated."""
    height, width = maps.shape[-2:]
    offsets = jnp.arange(-2, 3)
    column = jnp.clip(place[..., 0, None].astype(jnp.int32) + offsets, 0, width - 1)
    row = jnp.clip(place[..., 1, None].astype(jnp.int32) + offsets, 0, height - 1)
    rows = jnp.take_along_axis(maps, row[..., :, None], axis=-2)
    return jnp.take_along_axis(rows, column[..., None, :], axis=-1)


def _smooth(maps: jax.Array, peak: jax.Array) -> jax.Array:
    """Blurred with zeros outside, and scaled to have its old largest value."""
    blurred = _banded(maps.shape[-2], maps.dtype) @ maps
    blurred = blurred @ _banded(maps.shape[-1], maps.dtype)
    largest = jnp.max(blurred, axis=(-2, -1))
    gain = peak / jnp.where(largest > 0, largest, 1)
    return blurred * gain[..., None, None]


def _banded(size: int, dtype: jax.typing.DTypeLike) -> jax.Array:
    """The (symmetric) matrix that blurs columns of this many pixels."""
    distance = np.arange(size)[:, None] - np.arange(size)
    kernel = np.exp(-(distance**2) / (2 * START_SIGMA**2))
    kernel[np.abs(distance) > _KERNEL // 2] = 0
    offsets = np.arange(-(_KERNEL // 2), _KERNEL // 2 + 1)
    total = np.exp(-(offsets**2) / (2 * START_SIGMA**2)).sum()
    return jnp.asarray(kernel / total, dtype)
