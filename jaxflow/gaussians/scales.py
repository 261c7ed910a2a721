"""On which scale a detector's heatmaps are, and the way to 0..1.

maps (..., H, W) as a file or a network has them -> maps nominally in [0, 1]

The fits, their condition and all that a model has learned are for maps whose peak is
about 1 where the detector is sure. What the values themselves say against that is told
with the range seen, and never cut off in silence: a person or file of another scale is
refused, a single map that is unlike its neighbours counts as one without an answer
(all NaN, which no fit takes for a heatmap).
"""

from __future__ import annotations

import numpy as np

from jaxflow.gaussians.heatmaps import NEGATIVE_TOLERANCE
from jaxflow.runs.errors import UserError

SCALES = ("probability", "logits", "0..255")
UNDERSHOOT = 0.5  # of a network's raw answer, which is cut at 0
OVERSHOOT = 1.1  # of trained networks, cut at 1 as the released code does
LARGEST = 2.0  # no detector trained on peaks of 1 gives more
_SUM_TOLERANCE = 1e-3


def usable(
    maps: np.ndarray, scale: str = "probability", option: str = "--maps"
) -> np.ndarray:
    """A person's or a file's maps (..., H, W) as `to_probability`, `check` passed."""
    check(maps, scale, option=option)
    return to_probability(maps, scale)


def to_probability(maps: np.ndarray, scale: str) -> np.ndarray:
    """`convert`; a map whose values cannot be meant is NaN throughout."""
    maps = convert(maps, scale)
    if maps.dtype == np.uint8:
        return maps
    strange = _strange(*_range(maps), NEGATIVE_TOLERANCE)
    if strange.any():
        maps = np.where(strange[..., None, None], maps.dtype.type(np.nan), maps)
    return maps


def convert(maps: np.ndarray, scale: str) -> np.ndarray:
    """Maps of a scale as maps in about [0, 1]: the logistic function, or / 255."""
    if scale == "logits":
        return 1 / (1 + np.exp(-np.clip(maps, -80, 80)))
    if scale == "0..255" and maps.dtype != np.uint8:
        return maps / maps.dtype.type(255)
    return maps


def check(
    maps: np.ndarray,
    scale: str = "probability",
    lowest: float = NEGATIVE_TOLERANCE,
    option: str = "--maps",
) -> None:
    """Refuses maps most of which, those that are empty aside, are on another scale.

    Args:
      maps: (..., H, W), floating point, or uint8 for value / 255.
      scale: of `SCALES`.
      lowest: how far below zero ordinary maps go, as a share of their peak or of 1.
      option: the flag or the argument that says the scale.

    Raises:
      UserError: says which range was seen and what can be done.
    """
    if scale not in SCALES:
        raise UserError(f"expected maps of {', '.join(SCALES)}; got {scale!r}")
    if maps.dtype == np.uint8:
        if scale == "logits":
            raise UserError("heatmaps of uint8 stand for value / 255, not for logits")
        return
    low, high = _range(maps)
    there = (low != 0) | (high != 0)
    suspect = {
        "probability": _strange(low, high, lowest) | _sums_to_one(maps, high),
        "logits": low >= 0,
        "0..255": (high <= 1) | _strange(low / 255, high / 255, lowest),
    }[scale] & there
    if 2 * suspect.sum() <= there.sum():
        return
    least, most = low[suspect].min(), high[suspect].max()
    seen = f"heatmaps with values from {least:.4g} to {most:.4g}"
    if scale != "probability":
        raise UserError(f"{seen}: these are no {scale}, as {option} says")
    if most < 1 and least >= 0:
        raise UserError(
            f"{seen} that sum to 1 in each map, as a softmax gives them; expected "
            "peaks of about 1 where the detector is sure"
        )
    raise UserError(
        f"{seen}; expected 0 to about 1. If they are log-odds give {option}=logits, if "
        f"255 stands for 1 {option}=0..255"
    )


def above_one(maps: np.ndarray) -> str:
    """The note about usable maps (..., H, W) that are cut at 1, or ""."""
    most = float(_range(maps)[1].max(initial=0))
    if maps.dtype == np.uint8 or most <= OVERSHOOT:
        return ""
    return f"heatmaps reach {most:.3g}, and are cut at 1"


def _range(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest value (...) of each map; 0 for one that is not finite."""
    low, high = maps.min((-2, -1)), maps.max((-2, -1))
    finite = np.isfinite(low) & np.isfinite(high)
    return np.where(finite, low, 0), np.where(finite, high, 0)


def _strange(low: np.ndarray, high: np.ndarray, lowest: float) -> np.ndarray:
    """Which maps have values that no map in [0, 1] has, noise allowed for."""
    return (high > LARGEST) | (low < -lowest * np.maximum(high, 1))


def _sums_to_one(maps: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Which maps are a distribution over their pixels: the output of a softmax."""
    total = np.sum(maps, (-2, -1), dtype=np.float64)
    return (high > 0) & (high < 0.5) & (np.abs(total - 1) < _SUM_TOLERANCE)
