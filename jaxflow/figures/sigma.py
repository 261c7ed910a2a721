"""The detector's own doubt beside its error: mean fitted sigma against 2D error.

In: ``sigma_error.SigmaError``. Out: a figure with the content of the paper's figure 6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxflow.figures import style
from jaxflow.sigma_error import SigmaError
from jaxflow.skeleton import MPII_JOINTS

_FEWEST = 5  # observations that a mean is drawn of
_NAMED = 4  # joints with the widest Gaussians, by name


def sigma(found: SigmaError) -> Figure:
    """Mean 2D error per bin of sigma with its deviation, and every joint's means."""
    with style.themed():
        figure = Figure(figsize=(4.4, 3.5), layout="constrained")
        axes = figure.subplots()
        drawn = found.observations >= _FEWEST
        x, y, width = found.sigma[drawn], found.error[drawn], found.deviation[drawn]
        low = np.maximum(y - width, 0)
        band: Any = {"color": style.LEFT, "alpha": 0.15, "linewidth": 0}
        axes.fill_between(x, low, y + width, label="± one deviation", **band)
        axes.plot(
            x, y, color=style.LEFT, marker="o", markersize=3, linewidth=1.6,
            label="mean error of joints with this sigma",
        )  # fmt: skip
        axes.scatter(
            found.joint_sigma, found.joint_error, s=14, color=style.RIGHT, zorder=4,
            linewidths=0, label="each joint, all frames",
        )  # fmt: skip
        _name_joints(axes, found)
        axes.set(
            xlabel="mean of the two fitted sigmas, heatmap px",
            ylabel="2D error, heatmap px",
            title=f"The detector's doubt and its error (r = {found.correlation:.2f})",
        )  # fmt: skip
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper left", fontsize=8)
    return figure


def _name_joints(axes: Any, found: SigmaError) -> None:
    """The joints that the detector is least sure of."""
    for joint in np.argsort(-found.joint_sigma, kind="stable")[:_NAMED]:
        axes.annotate(
            MPII_JOINTS[joint], (found.joint_sigma[joint], found.joint_error[joint]),
            textcoords="offset points", xytext=(5, -3), fontsize=7, color=style.MUTED,
        )  # fmt: skip
