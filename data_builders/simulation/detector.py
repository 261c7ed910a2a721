"""A simulated 2D detector: noisy joints and the Gaussians fitted to its heatmaps.

A joint that the detector is unsure of by the covariance E leaves a heatmap blob of
covariance ``C = 2^2 I + E``: the detector is trained to draw a point as a Gaussian of
two heatmap pixels (paper section 4.2), and its uncertainty smears that point. The
fitted Gaussian reports C. Its mean is the detection, whose error is drawn from N(0, E):

    detection - truth ~ N(0, C - 2^2 I)        (heatmap pixels).

A sure joint thus has sigmas little above 2. Joints hidden by the body are less sure,
and in a fixed share of the frames a joint is lost: a sigma exceeds 5, the paper's mark
of an ambiguous frame.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxflow.gaussians.ellipses import AMBIGUOUS_SIGMA
from jaxflow.gaussians.heatmaps import START_SIGMA
from jaxflow.skeleton import CROP_PER_HEATMAP

AMBIGUOUS_SHARE = 0.07  # of all frames

# Logarithmic mean and spread of E's larger standard deviation, heatmap pixels.
_SURE = (np.log(0.45), 0.38)
_HIDDEN = (np.log(0.95), 0.55)
# How much likelier a hidden joint is lost than one in sight: 250x.
_SURE_TO_LOSE = 0.004
_LOST_SPREAD = 0.5
_ASPECT_SPREAD = 0.45


class Detections(NamedTuple):
    """What the detector says.

    Attributes:
      pose2d: (F, J, 2) float32, crop pixels.
      gaussfit: (F, J, 7) float32, heatmap pixels: A, x0, y0, sx, theta, sy, rmse.
    """

    pose2d: np.ndarray
    gaussfit: np.ndarray


def detect(
    rng: np.random.Generator,
    truth: np.ndarray,
    hidden: np.ndarray,
    share: float = AMBIGUOUS_SHARE,
) -> Detections:
    """Simulated detections.

    Args:
      rng: the detector's random numbers.
      truth: (F, J, 2) crop pixels, where the joints are.
      hidden: (F, J) bool, which the body hides.
      share: of the frames in which a joint is lost; their number is exact.

    Returns:
      ``Detections`` of the F frames.
    """
    lost = _lose(rng, hidden, share)
    spread = _spread(rng, hidden, lost)  # (F, J, 2): along and across
    angle = rng.uniform(0, np.pi, hidden.shape)  # of the first axis, y up
    error = turned(spread * rng.standard_normal(spread.shape), angle)
    error[..., 1] *= -1  # pictures have y down
    pose2d = (truth + CROP_PER_HEATMAP * error).astype(np.float32)
    sigma = np.sqrt(START_SIGMA**2 + spread**2)
    return Detections(pose2d, _fits(rng, pose2d, sigma, angle))


def _lose(rng: np.random.Generator, hidden: np.ndarray, share: float) -> np.ndarray:
    """Which joints are lost, (F, J): some in exactly ``share`` of the frames."""
    weight = np.where(hidden, 1.0, _SURE_TO_LOSE)
    frames = _choose(rng, weight.sum(axis=1), int(round(share * len(hidden))))
    # One joint for certain, by weight; a second one now and then.
    cumulative = np.cumsum(weight[frames], axis=1)
    draw = rng.random(len(frames)) * cumulative[:, -1]
    joint = np.argmax(cumulative > draw[:, None], axis=1)
    lost = np.zeros(hidden.shape, bool)
    lost[frames] = rng.random((len(frames), hidden.shape[1])) < 0.03 * weight[frames]
    lost[frames, joint] = True
    return lost


def _choose(rng: np.random.Generator, weight: np.ndarray, count: int) -> np.ndarray:
    """Rows of a systematic sample: ``count`` rows, likelier the larger their weight."""
    if count == 0:
        return np.zeros(0, int)
    probability = weight * (count / weight.sum())
    while np.any(probability > 1):  # none is chosen twice: pass the excess on
        sure = probability >= 1
        probability[sure] = 1
        rest = probability[~sure]
        probability[~sure] = rest * ((count - sure.sum()) / rest.sum())
    steps = np.floor(np.cumsum(probability) + rng.random())
    return np.flatnonzero(np.diff(steps, prepend=0.0) > 0)[:count]


def _spread(
    rng: np.random.Generator, hidden: np.ndarray, lost: np.ndarray
) -> np.ndarray:
    """E's two standard deviations, (F, J, 2) heatmap pixels, in either order."""
    limit = np.sqrt(AMBIGUOUS_SIGMA**2 - START_SIGMA**2)  # the fitted sigma reaches 5
    mean = np.where(hidden, _HIDDEN[0], _SURE[0])
    scale = np.where(hidden, _HIDDEN[1], _SURE[1])
    larger = np.exp(mean + scale * rng.standard_normal(hidden.shape))
    larger = np.minimum(larger, 0.98 * limit)  # only lost joints are ambiguous
    far = 1.02 * limit * np.exp(_LOST_SPREAD * np.abs(rng.standard_normal(lost.shape)))
    larger = np.where(lost, far, larger)
    aspect = np.exp(_ASPECT_SPREAD * np.abs(rng.standard_normal(lost.shape)))
    pair = np.stack([larger, larger / aspect], axis=-1)
    # A fit names its axes in either order.
    return np.where(rng.random((*lost.shape, 1)) < 0.5, pair, pair[..., ::-1])


def turned(vectors: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Vectors (..., 2) turned by angles (...) radians, from x towards y."""
    c, s = np.cos(angle), np.sin(angle)
    x, y = vectors[..., 0], vectors[..., 1]
    return np.stack([c * x - s * y, s * x + c * y], axis=-1)


def _fits(
    rng: np.random.Generator, pose2d: np.ndarray, sigma: np.ndarray, angle: np.ndarray
) -> np.ndarray:
    """The seven fitted numbers, (F, J, 7) float32.

    The fitted function's angle turns its axes in the frame with y up, as ``angle``
    does: its covariance is R(theta) diag(sx^2, sy^2) R(theta)^T there.
    """
    wide = np.max(sigma, axis=-1) > 1.25 * START_SIGMA
    area = np.prod(sigma, axis=-1) / START_SIGMA**2
    noise = rng.standard_normal((2, *angle.shape))
    # Smeared blobs are lower and fit less well; amounts as real detectors show them.
    amplitude = np.clip(0.95 * area**-0.6 * (1 + 0.055 * noise[0]), 0.05, 1.15)
    rmse = np.abs(np.where(wide, 0.020, 0.010) + 0.004 * noise[1])
    x, y = np.moveaxis(pose2d / CROP_PER_HEATMAP, -1, 0)
    columns = [amplitude, x, y, sigma[..., 0], angle, sigma[..., 1], rmse]
    return np.stack(columns, axis=-1).astype(np.float32)
