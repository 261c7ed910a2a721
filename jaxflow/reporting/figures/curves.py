"""Plots: calibration, error against the number of samples, CPS, spread, training.

In: ``sums.Means`` and rows of a training log. Out: figures about as wide as a
phone, so that their text stays legible on one.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from jaxflow import metrics
from jaxflow.metrics import errors
from jaxflow.metrics.coverage import CALIBRATION_LEVELS
from jaxflow.metrics.sums import Means
from jaxflow.reporting.figures import style
from jaxflow.runs.errors import UserError
from jaxflow.skeleton import H36M_JOINTS

_COLOURS = (style.LEFT, style.RIGHT, style.GOOD, style.MODE, style.MIDDLE)
_LINES = ("-", (0, (5, 2)), (0, (2, 1.5)), (0, (6, 2, 1, 2)))


def looks(count: int) -> list[dict[str, Any]]:
    """A colour and a line style for each of some series, told apart up to twenty."""
    pairs = itertools.cycle(itertools.product(_LINES, _COLOURS))
    some = itertools.islice(pairs, count)
    return [{"linestyle": line, "color": colour} for line, colour in some]


def calibration(series: Mapping[str, Means]) -> Figure:
    """How often the truth lies within each quantile, and the two ways to be wrong.

    Args:
      series: figures by name.
    """
    with style.plot() as (figure, axes):
        calibration_axes(axes)
        for (name, means), look in zip(series.items(), looks(len(series)), strict=True):
            axes.plot(
                CALIBRATION_LEVELS,
                means.calibration,
                marker="o",
                markersize=2.5,
                linewidth=1.6,
                label=f"{name}: ECE {means.ece:.3f}",
                **look,
            )
        note: Any = {
            "color": style.MUTED,
            "fontsize": 8,
            "ha": "center",
            "va": "center",
        }
        axes.text(0.22, 0.68, "too unsure", rotation=0, **note)
        axes.text(0.78, 0.32, "over-confident", rotation=0, **note)
        axes.legend(loc="upper left", fontsize=8)
    return figure


def calibration_axes(axes: Axes) -> None:
    """What every calibration plot stands on: the ideal, both axes in percent."""
    axes.plot([0, 1], [0, 1], color=style.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="quantile of the hypotheses",
        ylabel="truth lies within it",
        title="Calibration",
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))


def samples(series: Mapping[str, Means], num_hypotheses: int) -> Figure:
    """Error of the best hypothesis against the number drawn (paper figure 5).

    Args:
      series: figures by name.
      num_hypotheses: M that they all rest on.
    """
    above = _labelled_above([float(means.best_of[-1]) for means in series.values()])
    with style.plot() as (figure, axes):
        for (name, means), look, high in zip(
            series.items(), looks(len(series)), above, strict=True
        ):
            colour = look["color"]
            counts = errors.sample_counts(num_hypotheses)
            axes.plot(
                counts,
                means.best_of,
                label=name,
                marker="o",
                markersize=3,
                linewidth=1.6,
                **look,
            )
            axes.axhline(
                means.mpjpe[0], color=colour, linewidth=0.9, linestyle=(0, (1, 2))
            )
            axes.annotate(
                f"{means.best_of[-1]:.1f}",
                (counts[-1], means.best_of[-1]),
                color=colour,
                textcoords="offset points",
                ha="center",
                fontsize=8,
                xytext=(0, 5 if high else -12),
            )
        axes.set_xscale("log")
        axes.margins(y=0.1)  # room below for the last label
        shown = [
            count
            for count in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
            if count <= counts[-1]
        ]
        axes.set_xticks(shown, [str(count) for count in shown])
        axes.minorticks_off()
        axes.set(
            xlabel="hypotheses drawn (dotted: the z = 0 pose)",
            ylabel="best MPJPE, mm",
            title="Error against the number of hypotheses",
        )
        axes.legend(loc="upper right", fontsize=8)
    return figure


def _labelled_above(values: Sequence[float]) -> list[bool]:
    """Which labels go above their point: all but those with another just above them."""
    near = 4.0  # mm; closer, two labels would overlap
    return [not any(0 < other - value < near for other in values) for value in values]


def cps(series: Mapping[str, Means]) -> Figure:
    """Share of frames with a correct hypothesis against the threshold."""
    with style.plot() as (figure, axes):
        for (name, means), look in zip(series.items(), looks(len(series)), strict=True):
            axes.plot(
                metrics.CPS_THRESHOLDS,
                means.cps_curve,
                linewidth=1.6,
                label=f"{name}: area {means.cps:.1f}",
                **look,
            )
        axes.set(
            xlim=(0, 300),
            ylim=(0, 1.02),
            xlabel="threshold for every joint, mm",
            ylabel="frames with a correct hypothesis",
            title="Correct poses score",
        )
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.legend(loc="lower right", fontsize=8)
    return figure


def spread(figures: Means) -> Figure:
    """Standard deviation of the hypotheses per joint, a bar an axis."""
    with style.plot((4.4, 5.6)) as (figure, axes):
        rows = np.arange(len(H36M_JOINTS) - 1)[::-1]  # the hip never moves
        look = (
            ("x, across", style.LEFT),
            ("y, down", style.GOOD),
            ("z, depth", style.RIGHT),
        )
        for axis, (label, colour) in enumerate(look):
            mean = figures.spread_per_axis[axis]
            axes.barh(
                rows + 0.27 * (1 - axis),
                figures.spread[1:, axis],
                height=0.25,
                color=colour,
                label=f"{label}: mean {mean:.1f}",
            )
        axes.set_yticks(rows, H36M_JOINTS[1:], color=style.INK)
        axes.grid(visible=False, axis="y")
        axes.set(
            ylim=(-0.6, len(rows) - 0.4),
            xlabel="standard deviation, mm",
            title="Spread of the hypotheses",
        )
        figure.legend(
            loc="outside lower center",
            ncols=3,
            fontsize=8,
            handlelength=1,
            columnspacing=1,
        )
    return figure


def training(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> Figure:
    """A small plot for each of some columns of a training log, against the iteration.

    Args:
      rows: of the log, in order; each has ``step``.
      titles: of the columns to draw, by name; a row that lacks one is left out of its
        plot.

    Raises:
      UserError: no columns.
    """
    if not titles:
        raise UserError("expected at least one column of the training log to draw")
    columns = 2
    lines = -(-len(titles) // columns)
    with style.themed():
        figure = Figure(figsize=(5.2, 1.45 * lines + 0.3), layout="constrained")
        grid = figure.subplots(lines, columns, sharex=True, squeeze=False)
        for axes in grid.flat[len(titles) :]:
            axes.set_visible(False)
        for axes, (name, title) in zip(grid.flat, titles.items(), strict=False):
            points = [(row["step"], row[name]) for row in rows if name in row]
            steps, values = np.asarray(points, float).T
            _smoothed(axes, steps, values)
            if values.min() > 0 and values.max() > 20 * values.min():
                _logarithmic(axes)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.set_title(title, fontsize=8)
            axes.tick_params(labelsize=7)
        for axes in grid.flat[max(0, len(titles) - columns) : len(titles)]:
            axes.tick_params(labelbottom=True)  # nothing is drawn below
        figure.supxlabel("iteration", fontsize=8, color=style.MUTED)
    return figure


def _logarithmic(axes: Axes) -> None:
    """A logarithmic y axis with plain numbers, where Matplotlib would set a formula."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=5))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _smoothed(axes: Any, steps: np.ndarray, values: np.ndarray) -> None:
    """The values faintly, and their running mean over a twentieth of the run."""
    axes.plot(steps, values, color=style.LEFT, alpha=0.25, linewidth=0.7)
    width = max(1, len(values) // 20)
    weights = np.ones(width)
    total = np.convolve(values, weights, mode="full")[: len(values)]
    share = np.convolve(np.ones_like(values), weights, mode="full")[: len(values)]
    axes.plot(steps, total / share, color=style.LEFT, linewidth=1.4)
