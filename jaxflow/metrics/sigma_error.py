"""How well a fitted Gaussian's width tells the 2D detector's error (paper figure 6).

    gaussfit (N, 16, 7), pose2d (N, 16, 2), pose2d_true (N, 16, 2) -> SigmaErrorSums
    SigmaErrorSums -> SigmaError

One observation is one joint of one frame: sigma, the mean of the fit's two standard
deviations, beside the distance of the detected joint from the true one, both in
heatmap pixels. The paper shows all of them in one plot and names no bins (appendix B).
Here they go into bins, so that sums, which add up over batches, hold all that is drawn.

Host arrays in float64: a few sums of numbers that are read, not computed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxflow.gaussians.condition import SIGMA_RANGE
from jaxflow.skeleton import CROP_PER_HEATMAP

# Heatmap px. Wider fits count as 10, as in the condition; larger errors fall into the
# last bin.
SIGMA_EDGES = tuple(i / 2 for i in range(21))
ERROR_EDGES = tuple(i / 2 for i in range(41))
_BINS = len(SIGMA_EDGES) - 1


class SigmaErrorSums(NamedTuple):
    """Sums over observations, float64; `sums.add` joins them.

    Attributes:
      table: (20, 40) observations, per bin of ``SIGMA_EDGES`` and of ``ERROR_EDGES``.
      by_bin: (20, 2) sums of sigma and error, per bin of sigma.
      moments: (5,) sums of sigma, error, sigma^2, error^2 and sigma * error.
    """

    table: np.ndarray
    by_bin: np.ndarray
    moments: np.ndarray


class SigmaError(NamedTuple):
    """Sigma beside 2D error, heatmap px. NaN where there are no observations.

    Attributes:
      edges: (21,) of the bins of sigma.
      observations: (20,) how many per bin of sigma.
      sigma: (20,) mean sigma per bin.
      error: (20,) mean error per bin.
      table: (20, 40) how many per bin of sigma and bin of ``ERROR_EDGES``.
      correlation: Pearson's, over all observations.
      total: how many these are.
    """

    edges: np.ndarray
    observations: np.ndarray
    sigma: np.ndarray
    error: np.ndarray
    table: np.ndarray
    correlation: float
    total: int


def sums_of(
    gaussfit: np.ndarray, pose2d: np.ndarray, pose2d_true: np.ndarray
) -> SigmaErrorSums:
    """The sums over some frames.

    Args:
      gaussfit: (N, 16, 7) heatmap px: A, x0, y0, sx, theta, sy, rmse.
      pose2d: (N, 16, 2) detected, px of the 256-px crop, MPII-16.
      pose2d_true: (N, 16, 2) true, likewise.

    Source: paper appendix B.
    """
    sigmas = np.abs(np.asarray(gaussfit, np.float64)[..., [3, 5]])
    sigma = np.mean(np.clip(sigmas, *SIGMA_RANGE), axis=-1)
    offset = np.asarray(pose2d, np.float64) - np.asarray(pose2d_true, np.float64)
    error = np.linalg.norm(offset, axis=-1) / CROP_PER_HEATMAP

    bins = _bin(sigma, SIGMA_EDGES)
    table = np.zeros((_BINS, len(ERROR_EDGES) - 1))
    np.add.at(table, (bins, _bin(error, ERROR_EDGES)), 1)
    by_bin = np.zeros((_BINS, 2))
    np.add.at(by_bin, bins, np.stack([sigma, error], axis=-1))
    products = (sigma, error, sigma**2, error**2, sigma * error)
    moments = np.array([product.sum() for product in products])
    return SigmaErrorSums(table, by_bin, moments)


def _bin(values: np.ndarray, edges: tuple[float, ...]) -> np.ndarray:
    """The bin of each value; the last takes all that lie above."""
    bins = np.searchsorted(edges, values, side="right") - 1
    return np.minimum(bins, len(edges) - 2)


def summarize(sums: SigmaErrorSums) -> SigmaError:
    """Means and the correlation, of at least one observation."""
    count = sums.table.sum(axis=1)
    with np.errstate(invalid="ignore"):  # 0 / 0: bins without observations
        sigma, error = (sums.by_bin / count[:, None]).T
    return SigmaError(
        edges=np.asarray(SIGMA_EDGES),
        observations=count.astype(int),
        sigma=sigma,
        error=error,
        table=sums.table.astype(int),
        correlation=_correlation(sums),
        total=int(count.sum()),
    )


def _correlation(sums: SigmaErrorSums) -> float:
    """Pearson's; NaN where sigma or error is the same everywhere."""
    s, e, ss, ee, se = sums.moments / sums.table.sum()
    spread = (ss - s**2) * (ee - e**2)
    return float((se - s * e) / np.sqrt(spread)) if spread > 0 else float("nan")
