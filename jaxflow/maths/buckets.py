"""Any number of frames through functions compiled for a few fixed numbers of them.

arrays (N, ...) -> batches of one of the sizes, filled up -> what comes out, (N, ...)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def apply(
    function: Callable[..., tuple[Any, ...]],
    arrays: Sequence[np.ndarray],
    sizes: Sequence[int],
) -> list[np.ndarray]:
    """Applies a function of fixed batch sizes to any number of frames.

    Args:
      function: takes arrays of one of the sizes and gives several of the same size.
      arrays: N frames each, at least one.
      sizes: numbers of frames, in increasing order. A batch that is too small is filled
        up with the last frame.

    Returns:
      What the function gives, N frames each, on the host.
    """
    count = len(arrays[0])
    parts: list[list[np.ndarray]] = []
    start = 0
    while start < count:
        size = _size(count - start, sizes)
        stop = min(start + size, count)
        rows = np.minimum(np.arange(start, start + size), count - 1)
        found = function(*(array[rows] for array in arrays))
        parts.append([np.asarray(one)[: stop - start] for one in found])
        start = stop
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


def _size(rest: int, sizes: Sequence[int]) -> int:
    """The largest size that the rest fills at least by half."""
    return max((size for size in sizes if size <= 2 * rest - 1), default=sizes[0])
