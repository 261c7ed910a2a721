"""Any number of rows through programs that are compiled for a few numbers of them.

    arrays (N, ...) -> blocks, buckets or tiles of one size, filled up -> (N, ...)

A *block* is a stretch of rows on the host; the last one is filled up with its last row,
so that one program serves all. A *bucket* is a number of rows that a program is
compiled for. A *tile* is what goes through the flow together: on a CPU the hidden
layers of M hypotheses stay in cache only for some 1,600 rows; writing 12,800 x 1,028
numbers out and back costs more than computing them; a TPU's fast memory holds them for
some 8,000. GPUs want rows in bulk, and a bound on memory all the same.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.maths import threads

_ROWS = {"cpu": 1600, "tpu": 1 << 13}
_BULK = 1 << 17

Tree = TypeVar("Tree")
Item = TypeVar("Item")


def filled(arrays: Tree, size: int) -> Tree:
    """NumPy arrays (n, ...) with their last row repeated up to ``size`` rows.

    Args:
      arrays: one, or a tree of them, of 1 to ``size`` rows.
      size: how many rows there shall be.
    """

    def fill(array: np.ndarray) -> np.ndarray:
        if len(array) == size:
            return array
        return array[np.minimum(np.arange(size), len(array) - 1)]

    return jax.tree.map(fill, arrays)


def blocks(count: int, size: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Consecutive rows, ``size`` at a time.

    Yields:
      The rows that a block holds, and the ``size`` row numbers (size,) to compute: the
      last block repeats the last row.
    """
    for start in range(0, count, size):
        rows = slice(start, min(start + size, count))
        yield rows, np.minimum(np.arange(start, start + size), count - 1)


def one_late(started: Iterable[Item]) -> Iterator[Item]:
    """The items, each one once the next has been made.

    Where making an item starts work on the device and the caller waits for it, the next
    is computed meanwhile; two are in memory at a time.
    """
    waiting: list[Item] = []
    for item in started:
        yield from waiting
        waiting = [item]
    yield from waiting


def apply(
    function: Callable[..., tuple[Any, ...]],
    arrays: Sequence[np.ndarray],
    sizes: Sequence[int],
    at_once: int = 1,
) -> list[np.ndarray]:
    """Applies a function of fixed batch sizes to any number of rows.

    Args:
      function: takes arrays of one of the sizes and gives several of the same size.
      arrays: N rows each, at least one.
      sizes: numbers of rows, in increasing order. A batch that is too small is filled
        up with the last row.
      at_once: how many batches may be under way together: cores, of which a small
        program uses little more than one.

    Returns:
      What the function gives, N rows each, on the host.
    """
    count, start = len(arrays[0]), 0
    parts: list[tuple[int, int]] = []
    while start < count:
        parts.append((start, _size(count - start, sizes)))
        start += parts[-1][1]

    def one(part: tuple[int, int]) -> list[np.ndarray]:
        start, size = part
        batch = filled([array[start : start + size] for array in arrays], size)
        return [np.asarray(a)[: count - start] for a in function(*batch)]

    if min(at_once, len(parts)) > 1:
        with ThreadPoolExecutor(min(at_once, len(parts))) as pool:
            results = list(pool.map(threads.carrying(one), parts))
    else:
        results = list(map(one, parts))
    return [np.concatenate(columns) for columns in zip(*results, strict=True)]


def cores() -> int:
    """How many cores of the processor this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _size(rest: int, sizes: Sequence[int]) -> int:
    """The largest size that the rest fills by more than half, else the smallest."""
    return max((size for size in sizes if size <= 2 * rest - 1), default=sizes[0])


def bucket(batch: int) -> int:
    """The number of poses that a program is compiled for, to serve this many.

    Powers of two and the numbers half-way between: 1, 2, 3, 4, 6, 8, 12, 16, ...; at
    most half as many again are computed in vain, a sixth on average.
    """
    power = 1 << max(0, batch - 1).bit_length()
    between = power // 4 * 3
    return between if batch <= between else power


def platform() -> str:
    """What programs are for: `jax.default_device`'s platform, or the default backend.

    A CPU asked for beside an accelerator is one, and gets a CPU's tiles.
    """
    settings: Any = jax.config
    device = settings.jax_default_device
    if device is None:
        return jax.default_backend()
    return device if isinstance(device, str) else device.platform


def rows_per_tile() -> int:
    """Hypotheses that go through the flow together there."""
    return _ROWS.get(platform(), _BULK)


def poses_per_tile(hypotheses: int) -> int:
    """Poses whose hypotheses together fill one tile."""
    return max(1, rows_per_tile() // hypotheses)


def dividing_tile(batch: int, hypotheses: int) -> int:
    """A number of poses that divides the batch: the largest that a tile holds.

    Where that is less than half of a tile, the next larger one, up to two tiles.
    """
    most = min(batch, poses_per_tile(hypotheses))
    divisors = [size for size in range(1, batch + 1) if batch % size == 0]
    below = max(size for size in divisors if size <= most)
    above = [size for size in divisors if most < size <= 2 * most]
    return above[0] if above and 2 * below < most else below


def even_parts(count: int, most: int) -> tuple[int, int]:
    """How many parts of at most ``most`` things hold ``count``, and their size.

    Parts of one size may hold a few more things than there are: fewer than parts.
    """
    parts = max(1, -(-count // most))
    return parts, -(-count // parts)


def tiled(function: Callable[..., jax.Array], most: int) -> Callable[..., jax.Array]:
    """A function of a few rows as one of any number, at most ``most`` at a time.

    Tiles are equal, so that one compiled body does all; what is computed to fill the
    last one is thrown away.

    Args:
      function: arrays (n, ...) -> (n, ...), for any n. A tile of one row comes without
        the axis of rows: a tenth faster.
      most: rows of a tile.
    """

    def of_all(*arrays: jax.Array) -> jax.Array:
        count = len(arrays[0])
        tiles, size = even_parts(count, most)

        def split(array: jax.Array) -> jax.Array:
            if tiles * size != count:
                array = array[jnp.arange(tiles * size) % count]
            return array.reshape(tiles, size, *array.shape[1:])

        if size == 1:
            return jax.lax.map(lambda row: function(*row), arrays)
        computed = jax.lax.map(lambda tile: function(*tile), tuple(map(split, arrays)))
        return jax.lax.collapse(computed, 0, 2)[:count]

    return of_all


def bucketed(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """A compiled function, called with as many rows as a `bucket` has.

    The batch axes are those of the first array but its last. Arrays that have them are
    filled up with their last row; others, a single key or a temperature, serve all
    rows. What is traced or spread over devices is passed on as it is.
    """

    @functools.wraps(function)
    def of_any(*arrays: Any, **options: Any) -> jax.Array:
        batch_shape = arrays[0].shape[:-1]
        count = math.prod(batch_shape)
        size = bucket(count)
        batched = [array.shape[: len(batch_shape)] == batch_shape for array in arrays]
        rows = [array for array, has in zip(arrays, batched, strict=True) if has]
        if size == count or not count or not all(map(_on_one_device, rows)):
            return function(*arrays, **options)
        full = [
            _filled_up(array, count, len(batch_shape), size) if has else array
            for array, has in zip(arrays, batched, strict=True)
        ]
        result = function(*full, **options)[:count]
        return result.reshape(*batch_shape, *result.shape[1:])

    return of_any


def _filled_up(array: jax.Array, count: int, batch_axes: int, size: int) -> jax.Array:
    """Batch axes as one, filled up by NumPy: nothing is compiled for another size."""
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        data = _filled_up(jax.random.key_data(array), count, batch_axes, size)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
    host = np.asarray(array)
    return jnp.asarray(filled(host.reshape(count, *host.shape[batch_axes:]), size))


def _on_one_device(array: jax.Array) -> bool:
    """Whether these are numbers, not traced, and not spread over devices."""
    if isinstance(array, jax.core.Tracer):
        return False
    return array.is_fully_addressable and len(array.devices()) == 1
