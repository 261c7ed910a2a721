"""Is one model better than another on these frames, or on these takes by chance?

    figures of the same frames by two models, takes -> Difference

Frames of a take are alike, whatever camera saw them, so takes are drawn, not frames: of
each draw the mean difference over its frames. The two models see the same frames with
the same noise, so what is hard for both cancels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_DRAWS = 2000
_BAND = (0.05, 0.95)
# Of fewer takes, what is called the band of 90 % would hold the truth in three cases of
# four at best; of a single take it would have no width.
LEAST_TAKES = 5


class Difference(NamedTuple):
    """Of a figure that is better when it is less, the first model's less the second's.

    Attributes:
      mean: over frames.
      low: the difference that 5 % of draws lie below; NaN, as the next two, of fewer
        than `LEAST_TAKES` takes.
      high: that 95 % lie below.
      better: share of draws in which the first model's is less.
      takes: that were drawn from.
    """

    mean: float
    low: float
    high: float
    better: float
    takes: int


class Differences(NamedTuple):
    """Of two models' figures that are better when they are less.

    Attributes:
      z0, best, mean, aligned, energy: as `frames.Frames` has them.
      ece: calibration error.
    """

    z0: Difference
    best: Difference
    mean: Difference
    aligned: Difference
    energy: Difference
    ece: Difference


def difference(first: np.ndarray, second: np.ndarray, take: np.ndarray) -> Difference:
    """The difference and its band.

    Args:
      first: (N,) a figure of each frame, of one model.
      second: (N,) of the other.
      take: (N,) each frame's, of any kind.
    """
    _, number = np.unique(take, return_inverse=True)
    frames = np.bincount(number).astype(float)
    total = np.bincount(number, np.asarray(first, float) - np.asarray(second, float))
    mean, count = float(total.sum() / frames.sum()), len(frames)
    if count < LEAST_TAKES:
        return Difference(mean, np.nan, np.nan, np.nan, count)
    rng = np.random.default_rng(0)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=_DRAWS)
    means = (weights @ total) / (weights @ frames)
    low, high = np.quantile(means, _BAND)
    return Difference(mean, float(low), float(high), float(np.mean(means < 0)), count)


def of_draws(
    first: float,
    second: float,
    first_draws: np.ndarray,
    second_draws: np.ndarray,
    takes: int,
) -> Difference:
    """The same of a figure that is no mean over frames.

    Args:
      first: what was found of the first model.
      second: of the other.
      first_draws: (draws,) of the same draws of takes.
      second_draws: likewise.
      takes: that were drawn from.
    """
    found, drawn = first - second, first_draws - second_draws
    if np.isnan(drawn).any():
        return Difference(found, np.nan, np.nan, np.nan, takes)
    # What chance adds to a figure it adds again to a draw's, less where that is large.
    drawn = drawn - 2 * (drawn.mean() - found)
    low, high = np.quantile(drawn, _BAND)
    return Difference(found, float(low), float(high), float(np.mean(drawn < 0)), takes)
