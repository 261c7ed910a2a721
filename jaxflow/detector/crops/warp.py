"""The pixels of a crop: from a picture of any size to 256 x 256.

    Picture, Crop -> cut: Patch (516, 516, 3)     host; only the square is touched
    patches -> warp: crops (B, 256, 256, 3)       one compiled program for all sizes
    crops uint8 -> normalize: float32             what HRNet was trained on

Interpolation is bilinear, black outside the picture. A crop of more than 512 pixels is
first averaged over blocks of r x r pixels, r the whole part of its side over 256, so
that neighbouring samples are less than two blocks apart: none is passed over, which
would alias. Up to 512 pixels r is 1 and the warp is the one that the detector was
trained with. Blocks stand where their middle is, so that no coordinate shifts.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.detector.crops.crop import CROP_SIZE, Crop
from jaxflow.detector.readers.pictures import Picture

_LARGEST = 1e15  # px a side of a square; the area of larger ones overflows
_MOST_SUMMED = 2**20  # bytes of a picture that are summed at a time
_SMALL = 16  # px a side of the largest block whose sum is below 2^16
PATCH_SIZE = 2 * CROP_SIZE + 4  # the largest side over r, a block beyond each edge
# Means and deviations of the pictures that HRNet's first weights come from, RGB / 255.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


class Patch(NamedTuple):
    """The part of a picture that a crop needs, reduced, on black.

    Attributes:
      pixels: (..., 516, 516, 3) uint8.
      start: (..., 2) x, y in patch px of crop px (0, 0).
      stride: (...) patch px a crop px.
    """

    pixels: np.ndarray
    start: np.ndarray
    stride: np.ndarray


def crops(pictures: Sequence[Picture] | Picture, squares: Crop) -> jax.Array:
    """The crops of one or several pictures.

    Args:
      pictures: one for all squares, or one for each.
      squares: Crop (B,), or () with a single picture.

    Returns:
      (B, 256, 256, 3) uint8, RGB; B is 1 for a single square.

    Raises:
      ValueError: a square lies outside its picture, is not finite or empty, or the
        numbers of pictures and squares differ.
    """
    centers = np.asarray(squares.center, np.float64).reshape(-1, 2)
    sides = np.asarray(squares.side, np.float64).reshape(-1)
    if np.any(squares.turn):
        raise ValueError("expected upright squares; ``turned`` has the others")
    if isinstance(pictures, Picture):
        pictures = [pictures] * len(sides)
    if len(pictures) != len(sides) or len(centers) != len(sides):
        raise ValueError(
            f"expected a picture for each square; got {len(pictures)} pictures and "
            f"{len(centers)} centres, {len(sides)} sides"
        )
    patches = [
        cut(picture, Crop(center, side))
        for picture, center, side in zip(pictures, centers, sides, strict=True)
    ]
    return warp(Patch(*(np.stack(field) for field in zip(*patches, strict=True))))


def cut(picture: Picture, square: Crop) -> Patch:
    """The patch around one square.

    Args:
      picture: read at any reduction.
      square: Crop () in px of the original.

    Raises:
      ValueError: the square lies outside the picture, is not finite, empty or beyond
        all measure.
    """
    center = np.asarray(square.center, np.float64)
    side = float(square.side)
    within = np.isfinite([*center, side]).all() and 0 < side < _LARGEST
    if center.shape != (2,) or not within:
        raise ValueError(
            f"expected a square of finite centre and side, below {_LARGEST:g} px; got "
            f"{square}"
        )
    step = side / CROP_SIZE / picture.step  # pixels of the file a crop px
    block = max(1, int(step))
    first = (center - side / 2 - picture.offset) / picture.step  # of crop px (0, 0)
    corner = np.floor(first) - block
    left, top = (int(value) for value in corner)
    height, width = picture.pixels.shape[:2]
    reach = PATCH_SIZE * block
    if left >= width or top >= height or left + reach <= 0 or top + reach <= 0:
        raise ValueError(
            f"the square of side {side:g} px around ({center[0]:g}, {center[1]:g}) "
            f"lies outside the picture of {picture.width} x {picture.height} px"
        )
    pixels = _blocks(picture.pixels, left, top, block)
    start = (first - corner - (block - 1) / 2) / block
    return Patch(pixels, start.astype(np.float32), np.asarray(step / block, np.float32))


def _blocks(pixels: np.ndarray, left: int, top: int, block: int) -> np.ndarray:
    """Means over blocks, from (left, top) on; black outside."""
    height, width = pixels.shape[:2]
    if block == 1 and min(left, top) >= 0:
        part = pixels[top : top + PATCH_SIZE, left : left + PATCH_SIZE]
        if part.shape[:2] == (PATCH_SIZE, PATCH_SIZE):
            return part
    patch = np.zeros((PATCH_SIZE, PATCH_SIZE, 3), np.uint8)
    # The blocks that the picture touches, and a few rows of them at a time.
    (above, below), (low, high) = (
        (max(0, -start // block), min(PATCH_SIZE, -(-(size - start) // block)))
        for start, size in ((top, height), (left, width))
    )
    means = _means if block <= _SMALL else _means_within
    columns = [left + block * i for i in range(low, high + 1)]
    many = max(1, _MOST_SUMMED // (3 * block * (columns[-1] - columns[0])))
    for first in range(above, below, many):
        last = min(first + many, below)
        rows = [top + block * i for i in range(first, last + 1)]
        patch[first:last, low:high] = means(pixels, rows, columns, block)
    return patch


def _means(
    pixels: np.ndarray, rows: list[int], columns: list[int], block: int
) -> np.ndarray:
    """Rounded means (n, m, 3) of square blocks between n + 1 and m + 1 edges.

    Filled up with black where they reach beyond the picture: for small blocks, of which
    255 of each pixel fit in 16 bits.
    """
    part = _filled(pixels, (rows[0], rows[-1]), (columns[0], columns[-1]))
    if block == 1:
        return part
    sums = part.reshape(len(rows) - 1, block, -1).sum(axis=1, dtype=np.uint16)
    sums = sums.reshape(len(rows) - 1, len(columns) - 1, block, 3)
    total = sums[:, :, 0].copy()
    for i in range(1, block):
        total += sums[:, :, i]
    return np.rint(total / np.float64(block**2))


def _means_within(
    pixels: np.ndarray, rows: list[int], columns: list[int], block: int
) -> np.ndarray:
    """As `_means`, of blocks that may be far larger than the picture."""
    high, wide = pixels.shape[:2]
    first, left = max(rows[0], 0), max(columns[0], 0)
    part = pixels[first : min(rows[-1], high), left : min(columns[-1], wide)]
    starts = [max(edge, 0) - first for edge in rows[:-1]]
    sums = np.add.reduceat(part, starts, axis=0, dtype=np.uint64)
    starts = [max(edge, 0) - left for edge in columns[:-1]]
    return np.rint(np.add.reduceat(sums, starts, axis=1) / float(block) ** 2)


def _filled(
    pixels: np.ndarray, rows: tuple[int, int], columns: tuple[int, int]
) -> np.ndarray:
    """A part of a picture, black outside."""
    inside = [
        (max(start, 0), min(stop, size))
        for (start, stop), size in zip((rows, columns), pixels.shape[:2], strict=True)
    ]
    part = pixels[slice(*inside[0]), slice(*inside[1])]
    outside = [
        (within[0] - start, stop - within[1])
        for within, (start, stop) in zip(inside, (rows, columns), strict=True)
    ]
    return np.pad(part, (*outside, (0, 0))) if np.any(outside) else part


@jax.jit
def warp(patches: Patch) -> jax.Array:
    """Samples patches (B, ...) bilinearly: (B, 256, 256, 3) uint8."""
    return jnp.rint(sample(patches)).astype(jnp.uint8)


@functools.partial(jax.jit, static_argnames="size")
def sample(patches: Patch, size: int = CROP_SIZE) -> jax.Array:
    """Samples patches (B, ...) bilinearly: (B, n, n, 3) float32, 0 to 255.

    Args:
      patches: of any number of crops.
      size: n, pixels a side; their outer edges are those of the crop's 256.
    """
    pixels, start, stride = map(jnp.asarray, patches)
    return jax.vmap(functools.partial(_sample, size))(pixels, start, stride)


def _sample(
    size: int, pixels: jax.Array, start: jax.Array, stride: jax.Array
) -> jax.Array:
    """One patch; rows and columns one after the other, the same and cheaper."""
    grid = np.arange(size, dtype=np.float32)
    if size != CROP_SIZE:
        grid = ((grid + 0.5) * (CROP_SIZE / size) - 0.5).astype(np.float32)
    places = jnp.asarray(grid)[:, None] * stride + start
    rows = _between(pixels, places[:, 1])
    columns = _between(jnp.swapaxes(rows, 0, 1), places[:, 0])
    return jnp.swapaxes(columns, 0, 1)


def _between(rows: jax.Array, places: jax.Array) -> jax.Array:
    """Rows (P, ...) at fractional places (n,): (n, ...) float32."""
    below = jnp.floor(places)
    share = (places - below)[:, None, None]
    index = below.astype(jnp.int32)
    first = rows[index].astype(jnp.float32)
    second = rows[index + 1].astype(jnp.float32)
    return first * (1 - share) + second * share


@jax.jit
def normalize(images: jax.Array) -> jax.Array:
    """uint8 RGB (..., 3) as HRNet takes it: / 255, mean and deviation removed."""
    gain = jnp.asarray([1 / (255 * one) for one in DEVIATION], jnp.float32)
    shift = jnp.asarray(
        [one / other for one, other in zip(MEAN, DEVIATION, strict=True)], jnp.float32
    )
    return images.astype(jnp.float32) * gain - shift


def flip(images: np.ndarray) -> np.ndarray:
    """Pictures or crops (..., H, W, 3), left and right exchanged."""
    return images[..., ::-1, :]
