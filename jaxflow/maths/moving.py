"""Things that move from frame to frame: which is which, and how fast."""

from __future__ import annotations

import math

import numpy as np

_STEADY = 0.15  # seconds over which a velocity is a mean


def nearest(distance: np.ndarray) -> dict[int, int]:
    """Pairs of rows and columns, the nearest first, each in one pair at most.

    Args:
      distance: (n, m); infinity between those that cannot belong together.

    Returns:
      A column for each row that has one.
    """
    left = np.array(distance, np.float64)
    found: dict[int, int] = {}
    while left.size and np.isfinite(left.min()):
        row, column = divmod(int(left.argmin()), left.shape[1])
        found[row] = column
        left[row], left[:, column] = np.inf, np.inf
    return found


def steadied(velocity: np.ndarray, way: np.ndarray, seconds: float) -> np.ndarray:
    """The velocity after another way, a mean over a short while.

    Args:
      velocity: before; zero of what has not moved yet, for which the way counts alone.
      way: since then.
      seconds: that it took.
    """
    now = way / max(seconds, 1e-3)
    share = 1 - math.exp(-seconds / _STEADY) if velocity.any() else 1.0
    return velocity + share * (now - velocity)
