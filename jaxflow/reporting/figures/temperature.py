"""The fitted temperature: calibration and errors against it, before and after.

In: a ``temperature.Curve``. Out: a figure of two plots.
"""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxflow.evaluation.temperature import Curve
from jaxflow.metrics.coverage import CALIBRATION_LEVELS
from jaxflow.reporting.figures import curves, style

_SIZE = (8.4, 3.6)


def temperature(curve: Curve, plain: Curve) -> Figure:
    """What each temperature gives, and how often the truth lies within each quantile.

    Args:
      curve: from `jaxflow.evaluation.temperature.fit`, of what is drawn.
      plain: the same of the model as it was trained.
    """
    with style.themed():
        figure = Figure(figsize=_SIZE, layout="constrained")
        left, right = figure.subplots(1, 2)
        _against_temperature(left, curve)
        _quantiles(right, curve, plain)
    return figure


def _against_temperature(axes: Axes, curve: Curve) -> None:
    fitted = curve.temperatures[curve.fitted]
    axes.plot(curve.temperatures, curve.ece, color=style.LEFT, linewidth=1.6)
    axes.axvline(fitted, color=style.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        f"{fitted:.2f}",
        (fitted, curve.ece[curve.fitted]),
        xytext=(5, 6),
        textcoords="offset points",
        color=style.LEFT,
        fontsize=8,
    )
    axes.set(
        xlabel="temperature of the latents",
        ylim=(0, None),
        title="Calibration error and MPJPE",
    )
    axes.set_ylabel("calibration error", color=style.LEFT)
    errors = axes.twinx()
    errors.grid(visible=False)
    look: dict[str, Any] = {"color": style.RIGHT, "linewidth": 1.4}
    errors.plot(curve.temperatures, curve.best, label="best", **look)
    errors.plot(
        curve.temperatures, curve.mean, label="mean", linestyle=(0, (5, 2)), **look
    )
    errors.set(ylim=(0, None))
    errors.set_ylabel("MPJPE, mm", color=style.RIGHT)
    errors.legend(loc="lower right", fontsize=8)


def _quantiles(axes: Axes, curve: Curve, plain: Curve) -> None:
    curves.calibration_axes(axes)
    shown = (
        (plain, plain.at(1.0), "before", style.RIGHT),
        (curve, curve.fitted, "after", style.LEFT),
    )
    for of, i, name, colour in shown:
        axes.plot(
            CALIBRATION_LEVELS,
            of.frequency[i],
            color=colour,
            linewidth=1.6,
            marker="o",
            markersize=2.5,
            label=f"{name}, T = {of.temperatures[i]:.2f}: ECE {of.ece[i]:.3f}",
        )
    axes.legend(loc="upper left", fontsize=8)
