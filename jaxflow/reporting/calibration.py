"""A calibration as a text and a picture.

In: what ``calibrating`` found. Out: a table of some temperatures and where everything
lies, and the curves before and after as a PNG.
"""

from __future__ import annotations

import pathlib

import numpy as np

from jaxflow.evaluation import temperature, tempered, widened
from jaxflow.evaluation.calibrating import Calibrated
from jaxflow.evaluation.temperature import Curve
from jaxflow.evaluation.widths import Widths
from jaxflow.runs.errors import install

_SHOWN = (0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)  # rows of the text's table


def describe(result: Calibrated, picture: pathlib.Path | None) -> str:
    """A table of some temperatures, and where everything lies."""
    curve = result.curve
    plain, after = result.plain, curve.ece[curve.fitted]
    before = plain.ece[plain.at(1.0)]
    ends = temperature.LOWEST, temperature.HIGHEST
    at_end = min(abs(result.temperature - end) for end in ends) < 0.1
    note = " (at the end of the range: this model is far from calibrated)"
    return (
        f"{_table(curve)}\n"
        f"temperature {result.temperature:.2f}: calibration error "
        f"{before:.3f} -> {after:.3f}{note if at_end else ''}; calibrated best "
        f"{curve.best[curve.fitted]:.1f} mm\n"
        f"{_spread(result.spread)}{_limbs(result.limbs_kept)}{_widths(result.widths)}"
        f"written: {result.path}\n"
        f"picture: {picture or 'none, for want of Matplotlib: ' + install('report')}\n"
        "use it:  --temperature=fitted"
    )


def _spread(spread: float | None) -> str:
    """How much the hypotheses' temperatures differ, where that was asked."""
    if spread is None:
        return ""
    if not spread:
        return "spread of hypotheses' own temperatures: 0, one for all is best\n"
    low, high = np.exp(spread * np.array([-1, 1]))
    end = " (at the end of the range)" if spread == max(tempered.SPREADS) else ""
    return (
        f"spread of hypotheses' own temperatures: {spread:.2f}{end}, two thirds from "
        f"{low:.2f} to {high:.2f} of it\n"
    )


def _limbs(kept: float) -> str:
    """How limbs were held, where they were."""
    if kept == 1:
        return ""
    return f"limbs held: {kept:.2f} of how much their proportions differ is kept\n"


def _widths(fitted: Widths | None) -> str:
    """What the factors mend, by sigma; over joints in the mean."""
    if fitted is None:
        return ""
    lines = ["sigma px  held in 90 % regions  drawn wider by"]
    for k, sigma in enumerate(widened.KNOTS):
        factors = fitted.factors[:, k]
        wider = f"{factors.mean():.2f} ({factors.min():.2f} to {factors.max():.2f})"
        held = 100 * fitted.held[:, k].mean()
        lines.append(f"{sigma:8g}  {held:18.0f} %  {wider if k else 'as it is'}")
    return "\n".join(["where one joint is made unsure:", *lines]) + "\n"


def _table(curve: Curve) -> str:
    """A line for some temperatures, the fitted one marked."""
    lines = ["temperature  calibration error  best mm  mean mm"]
    for i in sorted({curve.at(t) for t in _SHOWN} | {curve.fitted}):
        mark = "  <- fitted" if i == curve.fitted else ""
        lines.append(
            f"{curve.temperatures[i]:11.2f}  {curve.ece[i]:17.3f}  "
            f"{curve.best[i]:7.1f}  {curve.mean[i]:7.1f}{mark}"
        )
    return "\n".join(lines)


def draw(result: Calibrated) -> pathlib.Path | None:
    """calibration.png beside the document; None where Matplotlib is not installed."""
    try:
        from jaxflow.reporting.figures import style
        from jaxflow.reporting.figures import temperature as temperature_figure
    except ImportError:
        return None
    figure = temperature_figure.temperature(result.curve, result.plain)
    png, _ = style.save(figure, result.path.with_name("calibration"))
    return pathlib.Path(png)
