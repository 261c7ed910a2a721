"""The operations of BlazePose's networks, as pure functions of arrays.

    OPS[kind](arrays, options) -> array,   arrays (B, H, W, C)

A depthwise convolution is a sum of k x k shifted products: on a CPU XLA's grouped
convolution takes 6 to 20 times as long, elsewhere both are fast. What DEQUANTIZE and
DENSIFY do is done when a file is read (``tflite_reader``).

Source: TensorFlow Lite's operator definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Options = Mapping[str, Any]
Op = Callable[[Sequence[Any], Options], jax.Array]


def convolution(arrays: Sequence[Any], options: Options) -> jax.Array:
    """CONV_2D: pictures, weights (out, k, k, in), perhaps a bias (out,).

    Most have k = 1. As products of matrices these take a CPU half the time, and those
    that see three colours a third.
    """
    pictures, weights, *bias = arrays
    pictures = _padded(pictures, weights.shape[1:3], options)
    seen, weights = _unfolded(pictures, weights, _strides(options))
    result = jnp.einsum("bhwi,oi->bhwo", seen, weights, precision=lax.Precision.HIGHEST)
    return activated(result + bias[0] if bias else result, options)


def depthwise(arrays: Sequence[Any], options: Options) -> jax.Array:
    """DEPTHWISE_CONV_2D: pictures, weights (1, k, k, C), perhaps a bias (C,)."""
    pictures, weights, *bias = arrays
    _, height, width, _ = weights.shape
    strides = _strides(options)
    padded = _padded(pictures, (height, width), options)
    rows, columns = _places(padded, (height, width), strides)
    result = bias[0] if bias else jnp.zeros((), pictures.dtype)
    for i in range(height):
        for j in range(width):
            part = padded[
                :,
                i : i + strides[0] * (rows - 1) + 1 : strides[0],
                j : j + strides[1] * (columns - 1) + 1 : strides[1],
            ]
            result = result + part * weights[0, i, j]
    return activated(result, options)


def add(arrays: Sequence[Any], options: Options) -> jax.Array:
    """ADD of two arrays."""
    return activated(arrays[0] + arrays[1], options)


def pad(arrays: Sequence[Any], options: Options) -> jax.Array:
    """PAD with zeros: an array, and how many (rank, 2) before and after."""
    return jnp.pad(arrays[0], np.asarray(arrays[1]))


def resize(arrays: Sequence[Any], options: Options) -> jax.Array:
    """RESIZE_BILINEAR, of pixels' middles: pictures, and the new (height, width)."""
    pictures, size = arrays
    height, width = (int(n) for n in np.asarray(size))
    rows = jnp.asarray(_between(pictures.shape[1], height), pictures.dtype)
    columns = jnp.asarray(_between(pictures.shape[2], width), pictures.dtype)
    exact = lax.Precision.HIGHEST
    taller = jnp.einsum("yh,bhwc->bywc", rows, pictures, precision=exact)
    wider = jnp.einsum("xw,bywc->byxc", columns, taller, precision=exact)
    return activated(wider, options)


def max_pool(arrays: Sequence[Any], options: Options) -> jax.Array:
    """MAX_POOL_2D."""
    window = options["FilterHeight"], options["FilterWidth"]
    return lax.reduce_window(
        arrays[0],
        -jnp.inf,
        lax.max,
        (1, *window, 1),
        (1, *_strides(options), 1),
        options["Padding"],
    )


def reshape(arrays: Sequence[Any], options: Options) -> jax.Array:
    """RESHAPE to the shape that is given for one example."""
    shape = [int(n) for n in np.asarray(arrays[1])]
    return arrays[0].reshape(arrays[0].shape[0], *shape[1:])


def logistic(arrays: Sequence[Any], options: Options) -> jax.Array:
    """LOGISTIC: 1 / (1 + exp(-x))."""
    return jax.nn.sigmoid(arrays[0])


def depth_to_space(arrays: Sequence[Any], options: Options) -> jax.Array:
    """DEPTH_TO_SPACE: channels of a pixel as a block of pixels."""
    pictures, block = arrays[0], options["BlockSize"]
    batch, height, width, channels = pictures.shape
    deep = channels // block**2
    parts = pictures.reshape(batch, height, width, block, block, deep)
    parts = parts.transpose(0, 1, 3, 2, 4, 5)
    return parts.reshape(batch, height * block, width * block, deep)


def concatenation(arrays: Sequence[Any], options: Options) -> jax.Array:
    """CONCATENATION along an axis."""
    return activated(jnp.concatenate(arrays, options["Axis"]), options)


def activated(array: jax.Array, options: Options) -> jax.Array:
    """What an operation does to its own result."""
    activation = options.get("activation", "")
    if activation == "relu6":
        return jnp.clip(array, 0, 6)
    return jnp.maximum(array, 0) if activation == "relu" else array


OPS: dict[str, Op] = {
    "ADD": add,
    "CONCATENATION": concatenation,
    "CONV_2D": convolution,
    "DEPTHWISE_CONV_2D": depthwise,
    "DEPTH_TO_SPACE": depth_to_space,
    "LOGISTIC": logistic,
    "MAX_POOL_2D": max_pool,
    "PAD": pad,
    "RESHAPE": reshape,
    "RESIZE_BILINEAR": resize,
}
# Inputs that say how many, not what: numbers before anything runs.
STATIC = {"PAD": 1, "RESHAPE": 1, "RESIZE_BILINEAR": 1}


def _strides(options: Options) -> tuple[int, int]:
    return options["StrideH"], options["StrideW"]


def _padded(
    pictures: jax.Array, kernel: tuple[int, int], options: Options
) -> jax.Array:
    """With the zeros that SAME adds at the borders, the odd one behind."""
    if options["Padding"] == "VALID":
        return pictures
    width = [(0, 0, 0)]
    sizes = zip(pictures.shape[1:3], kernel, _strides(options), strict=True)
    for size, reach, stride in sizes:
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        width.append((total // 2, total - total // 2, 0))
    return lax.pad(pictures, jnp.asarray(0, pictures.dtype), [*width, (0, 0, 0)])


def _unfolded(
    pictures: jax.Array, weights: jax.Array, strides: tuple[int, int]
) -> tuple[jax.Array, jax.Array]:
    """A convolution that pads nothing as one of single pixels.

    Blocks of as many pixels as a stride is long become one pixel of their channels, so
    that the kernel moves by one; then the few blocks that it covers become one, too.

    Returns:
      (B, rows, columns, i) and (out, i).
    """
    kernel = weights.shape[1:3]
    if kernel == strides == (1, 1):
        return pictures, weights[:, 0, 0]
    (down, across), channels = strides, pictures.shape[-1]
    rows, columns = _places(pictures, kernel, strides)
    high, wide = -(-kernel[0] // down), -(-kernel[1] // across)  # in blocks
    area = ((rows + high - 1) * down, (columns + wide - 1) * across)
    blocks = _cornered(pictures, (len(pictures), *area, channels))
    blocks = _in_blocks(blocks, strides)
    parts = [
        blocks[:, i : i + rows, j : j + columns]
        for i in range(high)
        for j in range(wide)
    ]
    whole = (len(weights), high * down, wide * across, channels)
    weights = _in_blocks(_cornered(weights, whole), strides)
    return jnp.concatenate(parts, axis=-1), weights.reshape(len(weights), -1)


def _places(
    pictures: jax.Array, kernel: Sequence[int], strides: Sequence[int]
) -> tuple[int, int]:
    """How many rows and columns a kernel gives that stays within."""
    rows, columns = (
        (size - reach) // stride + 1
        for size, reach, stride in zip(
            pictures.shape[1:3], kernel, strides, strict=True
        )
    )
    return rows, columns


def _cornered(array: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Cut or filled up with zeros behind."""
    behind = [(0, new - old, 0) for old, new in zip(array.shape, shape, strict=True)]
    return lax.pad(array, jnp.zeros((), array.dtype), behind)


def _in_blocks(pictures: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Pictures (B, H, W, C) as blocks (B, H / h, W / w, h w C) of (h, w) pixels."""
    batch, height, width, channels = pictures.shape
    rows, columns = height // size[0], width // size[1]
    parts = pictures.reshape(batch, rows, size[0], columns, size[1], channels)
    return parts.transpose(0, 1, 3, 2, 4, 5).reshape(batch, rows, columns, -1)


def _between(old: int, new: int) -> np.ndarray:
    """The matrix (new, old) that interpolates pixels' middles; edges repeated."""
    places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(1 - np.abs(places[:, None] - np.arange(old)), 0)
