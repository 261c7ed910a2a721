"""The pixels of a crop that is turned, of any size.

    Picture, Crop -> cut: Patch of an upright square that holds the turned one
    patches, turns -> sample: (B, n, n, 3) float32 in 0..255

As ``warp`` does it, black outside and averaged over blocks first, but for one thing:
rows and columns cannot be taken one after the other here.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.detector.crops import warp
from jaxflow.detector.crops.crop import CROP_SIZE, Crop
from jaxflow.detector.crops.warp import Patch
from jaxflow.detector.readers.pictures import Picture

DIAGONAL = math.sqrt(2)  # of a square over its side


def cut(picture: Picture, square: Crop) -> Patch:
    """The patch that holds one square, however it is turned: as ``warp.cut``."""
    around = Crop(square.center, DIAGONAL * np.float64(square.side))
    return warp.cut(picture, around)


@functools.partial(jax.jit, static_argnames="size")
def sample(patches: Patch, turn: jax.Array, size: int = CROP_SIZE) -> jax.Array:
    """Samples patches (B, ...) bilinearly.

    Args:
      patches: from `cut`.
      turn: (B,) radians, as in ``Crop``.
      size: n, pixels a side; their outer edges are those of the crop's 256.

    Returns:
      (B, n, n, 3) float32, 0 to 255.
    """
    pixels, start, stride = map(jnp.asarray, patches)
    one = functools.partial(_sample, size)
    return jax.vmap(one)(pixels, start, stride, jnp.asarray(turn, jnp.float32))


def _sample(
    size: int, pixels: jax.Array, start: jax.Array, stride: jax.Array, turn: jax.Array
) -> jax.Array:
    middle = CROP_SIZE / 2
    places = (
        (jnp.arange(size, dtype=jnp.float32) + 0.5) * (CROP_SIZE / size) - 0.5 - middle
    )
    y, x = jnp.meshgrid(places, places, indexing="ij")
    cos, sin = jnp.cos(turn), jnp.sin(turn)
    offset = jnp.stack([cos * x - sin * y, sin * x + cos * y], axis=-1) / DIAGONAL
    place = start + stride * (middle + offset)
    corner = jnp.floor(place)
    share = (place - corner)[..., None, :]
    column, row = jnp.moveaxis(corner.astype(jnp.int32), -1, 0)
    colours = pixels.astype(jnp.float32)
    above = _mixed(colours[row, column], colours[row, column + 1], share[..., 0])
    below = _mixed(
        colours[row + 1, column], colours[row + 1, column + 1], share[..., 0]
    )
    return _mixed(above, below, share[..., 1])


def _mixed(first: jax.Array, second: jax.Array, share: jax.Array) -> jax.Array:
    return first * (1 - share) + second * share
