"""Detections of people in any pictures, by two kinds of detector.

As in ``detector``, a joint that a detector is unsure of by the covariance E is off by
an error drawn from N(0, E), and its fit reports C = 2^2 I + E (heatmap px). How unsure
it is depends on what the picture shows of the joint: in sight, behind the person's own
body, behind something else, or beyond the picture's border.

* One kind draws heatmaps that are fitted, as HRNet: sigmas scatter by some per cent,
  amplitudes fall as those of its maps do.
* The other gives keypoints with covariances, as BlazePose with its own blob taken off,
  from which ``gaussians.keypoints`` makes fits: no sigma below 2 px, an amplitude of
  4 / (sx sy), and spine, thorax and hip made of shoulders and hips.

What a detector places outside its crop it cannot say. Half of these joints count as not
found (as ``keypoints.to_fits`` has it: sigma 10 px, in the middle of the others), half
lie at the crop's edge with a wide sigma. All others are calibrated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_builders.simulation.cameras import CROP_SIZE
from data_builders.simulation.detector import turned
from jaxflow.gaussians.heatmaps import START_SIGMA
from jaxflow.gaussians.keypoints import HEATMAP_SIZE, WIDEST_SIGMA
from jaxflow.skeleton import CROP_PER_HEATMAP, MPII_JOINTS

FITTED_SHARE = 0.5  # of the frames come from heatmaps
OCCLUDED_SHARE = 0.15  # of the frames have something in front of the person


class _Mixture(NamedTuple):
    """How unsure joints of one kind are: E's larger standard deviation, heatmap px.

    Attributes:
      shares: of its parts, adding up to 1.
      medians: heatmap px.
      spreads: logarithmic standard deviations.
    """

    shares: tuple[float, ...]
    medians: tuple[float, ...]
    spreads: tuple[float, ...]


# In sight, behind the body, behind something, beyond the border; each may be seen
# well, be doubtful or be lost.
_IN_SIGHT = _Mixture((0.967, 0.03, 0.003), (0.45, 1.5, 5.0), (0.40, 0.5, 0.4))
_HIDDEN = _Mixture((0.72, 0.24, 0.04), (0.95, 2.2, 5.0), (0.55, 0.5, 0.4))
_OCCLUDED = _Mixture((0.25, 0.75), (1.5, 3.5), (0.5, 0.5))
_CUT = _Mixture((1.0,), (5.0,), (0.4,))

_FRAME_SPREAD = 0.25  # logarithm of how much less sure all joints of a frame are
_ASPECT_SPREAD = 0.45
_HEAD_GUESS = 1.2  # px that a head made of a face is off
_WIDEST = np.sqrt(WIDEST_SIGMA**2 - START_SIGMA**2)
_OCCLUDER = (0.05, 0.2)  # half a side, of the crop's

# Heatmap fits: sigmas' logarithm, amplitude, distance of the peak from the fit (px).
_SIGMA_NOISE = (-0.02, 0.05)
_AMPLITUDE = (0.95, -0.6, 0.055)
_PEAK_NOISE = 0.05
_EDGE_SIGMA = (6.0, 10.0)  # px, of joints put at the crop's edge


class Detections(NamedTuple):
    """What the detectors say.

    Attributes:
      pose2d: (N, 16, 2) float32, crop px.
      gaussfit: (N, 16, 7) float32, heatmap px: A, x0, y0, sx, theta, sy, rmse.
      outside: (N, 16) bool, joints that fell outside the crop.
    """

    pose2d: np.ndarray
    gaussfit: np.ndarray
    outside: np.ndarray


def detect(
    rng: np.random.Generator, truth: np.ndarray, hidden: np.ndarray, cut: np.ndarray
) -> Detections:
    """Simulated detections.

    Args:
      rng: the detectors' random numbers.
      truth: (N, 16, 2) crop px, MPII-16 order, where the joints are.
      hidden: (N, 16) bool, which the person's own body hides.
      cut: (N, 16) bool, which lie beyond the picture's border.
    """
    fitted = rng.random(len(truth)) < FITTED_SHARE
    spread = _spread(rng, hidden, _occluded(rng, truth), cut)
    head = MPII_JOINTS.index("Head")
    guessed = np.hypot(spread[:, head], _HEAD_GUESS)
    spread[:, head] = np.where(fitted[:, None], spread[:, head], guessed)
    angle = rng.uniform(0, np.pi, hidden.shape)
    mean = truth / CROP_PER_HEATMAP
    mean = mean + turned(spread * rng.standard_normal(spread.shape), angle)
    mean, spread, angle = _made_up(mean, spread, angle, ~fitted)
    sigma = np.sqrt(START_SIGMA**2 + spread**2)
    noise = _SIGMA_NOISE[0] + _SIGMA_NOISE[1] * rng.standard_normal(sigma.shape)
    sigma = np.where(fitted[:, None, None], sigma * np.exp(noise), sigma)
    amplitude = _amplitude(rng, sigma, fitted)
    mean, sigma, amplitude, outside = _within_crop(rng, mean, sigma, amplitude)
    rmse = 0.012 + 0.003 * rng.standard_normal(angle.shape)
    rmse = np.where(fitted[:, None], np.abs(rmse), 0)
    off = np.where(outside | ~fitted[:, None], 0, _PEAK_NOISE)[..., None]
    peak = mean + off * rng.standard_normal(mean.shape)
    # Angles of fits turn from x towards up, and pictures have y down.
    columns = [amplitude, mean[..., 0], mean[..., 1], sigma[..., 0]]
    columns += [np.mod(-angle, np.pi), sigma[..., 1], rmse]
    return Detections(
        (CROP_PER_HEATMAP * peak).astype(np.float32),
        np.stack(columns, axis=-1).astype(np.float32),
        outside,
    )


def _occluded(rng: np.random.Generator, truth: np.ndarray) -> np.ndarray:
    """Joints (N, 16) behind a rectangle that stands before some people."""
    count = len(truth)
    joint = rng.integers(0, truth.shape[1], count)
    middle = truth[np.arange(count), joint][:, None]
    half = CROP_SIZE * rng.uniform(*_OCCLUDER, (count, 1, 2))
    there = rng.random(count) < OCCLUDED_SHARE
    return (np.abs(truth - middle) < half).all(axis=-1) & there[:, None]


def _spread(
    rng: np.random.Generator, hidden: np.ndarray, occluded: np.ndarray, cut: np.ndarray
) -> np.ndarray:
    """E's two standard deviations, (N, 16, 2) heatmap px, in either order."""
    frame = np.exp(_FRAME_SPREAD * rng.standard_normal((len(hidden), 1)))
    larger = _drawn(rng, _IN_SIGHT, hidden.shape)
    for kind, chosen in ((_HIDDEN, hidden), (_OCCLUDED, occluded), (_CUT, cut)):
        larger = np.where(chosen, _drawn(rng, kind, hidden.shape), larger)
    larger = np.minimum(frame * larger, _WIDEST)
    aspect = np.exp(_ASPECT_SPREAD * np.abs(rng.standard_normal(hidden.shape)))
    pair = np.stack([larger, larger / aspect], axis=-1)
    return np.where(rng.random((*hidden.shape, 1)) < 0.5, pair, pair[..., ::-1])


def _drawn(
    rng: np.random.Generator, kind: _Mixture, shape: tuple[int, ...]
) -> np.ndarray:
    """Standard deviations of one kind of joint."""
    part = np.searchsorted(np.cumsum(kind.shares)[:-1], rng.random(shape), side="right")
    spread = np.asarray(kind.spreads)[part] * rng.standard_normal(shape)
    return np.asarray(kind.medians)[part] * np.exp(spread)


def _made_up(
    mean: np.ndarray, spread: np.ndarray, angle: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hip, thorax and spine of hips and shoulders, as ``keypoints.to_mpii`` has them.

    Args:
      mean: (N, 16, 2) heatmap px.
      spread: (N, 16, 2) and
      angle: (N, 16): E by its axes, image frame.
      chosen: (N,) bool, which frames.
    """
    mean, spread, angle = mean.copy(), spread.copy(), angle.copy()
    hips, shoulders = ("RHip", "LHip"), ("RShoulder", "LShoulder")
    made = {"Hip": hips, "Thorax": shoulders, "Spine": hips + shoulders}
    for name, parts in made.items():
        joint = MPII_JOINTS.index(name)
        places = [MPII_JOINTS.index(part) for part in parts]
        covariance = _covariance(spread[:, places], angle[:, places])
        own, turned = _axes(covariance.sum(axis=1) / len(parts) ** 2)
        mean[chosen, joint] = mean[:, places].mean(axis=1)[chosen]
        spread[chosen, joint], angle[chosen, joint] = own[chosen], turned[chosen]
    return mean, spread, angle


def _covariance(spread: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """(..., 3): xx, xy, yy, of axes' deviations (..., 2) turned by angles (...)."""
    c, s = np.cos(angle), np.sin(angle)
    first, second = np.moveaxis(spread**2, -1, 0)
    parts = [c * c * first + s * s * second, c * s * (first - second)]
    return np.stack([*parts, s * s * first + c * c * second], axis=-1)


def _axes(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of ``_covariance``, the longer axis first."""
    xx, xy, yy = np.moveaxis(covariance, -1, 0)
    mean, half = (xx + yy) / 2, (xx - yy) / 2
    radius = np.hypot(half, xy)
    squares = np.stack([mean + radius, np.maximum(mean - radius, 0)], axis=-1)
    return np.sqrt(squares), np.arctan2(xy, half) / 2


def _amplitude(
    rng: np.random.Generator, sigma: np.ndarray, fitted: np.ndarray
) -> np.ndarray:
    """Peaks (N, 16): a wider bump is a lower one."""
    area = sigma.prod(axis=-1) / START_SIGMA**2
    peak, power, noise = _AMPLITUDE
    drawn = peak * area**power * (1 + noise * rng.standard_normal(area.shape))
    return np.where(fitted[:, None], np.clip(drawn, 0.05, 1.15), 1 / area)


def _within_crop(
    rng: np.random.Generator, mean: np.ndarray, sigma: np.ndarray, amplitude: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Means, sigmas and amplitudes that a crop can hold, and which it could not."""
    bounded = np.clip(mean, 0, HEATMAP_SIZE - 1)
    outside = (bounded != mean).any(axis=-1)
    missing = outside & (rng.random(outside.shape) < 0.5)
    missing &= outside.sum(axis=1, keepdims=True) < outside.shape[1] - 4
    weight = ~missing[..., None]
    middle = (weight * bounded).sum(axis=1) / weight.sum(axis=1)
    wide = np.maximum(sigma, rng.uniform(*_EDGE_SIGMA, (*outside.shape, 1)))
    wide = np.where(missing[..., None], WIDEST_SIGMA, np.minimum(wide, WIDEST_SIGMA))
    sigma = np.where(outside[..., None], wide, sigma)
    low = np.clip(START_SIGMA**2 / sigma.prod(axis=-1), 0.04, None)
    amplitude = np.where(outside, low, amplitude)
    mean = np.where(missing[..., None], middle[:, None], bounded)
    return mean, sigma, amplitude, outside
