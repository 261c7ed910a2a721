"""Signs that a run goes wrong without breaking down.

In: mean losses, a validation's spread. Out: warnings, one when a sign appears and not
again until it has gone. They stop nothing: a loss that is not finite does.

Exploding critic: its objective beyond +-100. Untrained, with no gradient yet, the
penalty makes it read 10; trained on poses in metres it stays within a few units.

Vanished diversity: the hypotheses spread along an axis by less than a quarter of what
the heatmaps do, as the heatmap loss measures them (paper section 3.3). Across the
picture the heatmaps' own axis is taken, for the depth, of which they say nothing, the
mean of both. A trained model spreads wider than its heatmaps on all three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from jaxflow.gaussians.condition import PER_JOINT, SIGMA_UNIT
from jaxflow.losses import METRES_PER_PIXEL

CRITIC_BOUND = 100.0
SPREAD_BOUND = 0.25


class Health:
    """Warns of a run's state."""

    def __init__(self, warn: Callable[[str], None]):
        """``warn`` is told of every sign that appears."""
        self._warn = warn
        self._present: set[str] = set()

    def losses(self, step: int, means: Mapping[str, float]) -> None:
        """Looks at the mean losses up to a step."""
        critic = means.get("critic", 0.0)  # not every method has one
        self._sign(
            "critic",
            abs(critic) > CRITIC_BOUND,
            f"warning: step {step}: the critic's objective is {critic:.3g}, beyond "
            f"+-{CRITIC_BOUND:g}: it explodes, and what it tells the flow is worth "
            "nothing; lower critic_learning_rate or raise gradient_penalty_weight",
        )

    def spread(self, step: int, poses: np.ndarray, heatmaps: np.ndarray) -> None:
        """Looks at a validation's hypotheses.

        Args:
          step: of the validation.
          poses: (3,) mm, the hypotheses' standard deviation along x, y, z.
          heatmaps: (2,) mm, that of the heatmaps, see `heatmap_spread`.
        """
        expected = [*heatmaps, np.mean(heatmaps)]
        for axis, ours, theirs in zip("xyz", poses, expected, strict=True):
            self._sign(
                f"spread {axis}",
                ours < SPREAD_BOUND * theirs,
                f"warning: step {step}: hypotheses differ by {ours:.1f} mm along "
                f"{axis}, less than {SPREAD_BOUND:g} of the heatmaps' {theirs:.1f} mm: "
                "their diversity has vanished",
            )

    def _sign(self, name: str, present: bool, text: str) -> None:
        if present and name not in self._present:
            self._warn(text)
        self._present = self._present | {name} if present else self._present - {name}


def heatmap_spread(cond: np.ndarray) -> np.ndarray:
    """Mean standard deviation of the heatmaps' Gaussians along x and y.

    Args:
      cond: (N, 78), the condition.

    Returns:
      (2,) mm at the subject, with the scale of the heatmap loss (paper section 3.3).
    """
    variance = np.asarray(cond).reshape(len(cond), -1, PER_JOINT)[..., [3, 5]]
    pixels = SIGMA_UNIT * np.sqrt(np.maximum(variance, 0))
    return 1000 * METRES_PER_PIXEL * pixels.mean(axis=(0, 1))
