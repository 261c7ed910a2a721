"""The detector's own doubt beside its error: mean fitted sigma against 2D error.

In: ``sigma_error.SigmaError``. Out: a figure with the content of the paper's figure 6.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from jaxflow.metrics.sigma_error import ERROR_EDGES, SigmaError
from jaxflow.reporting.figures import style

_FEWEST = 5  # observations that a mean is drawn of


def sigma(result: SigmaError) -> Figure:
    """How often each error goes with each sigma, and the mean error per sigma."""
    with style.plot() as (figure, axes):
        _cells(axes, result)
        drawn = result.observations >= _FEWEST
        axes.plot(
            result.sigma[drawn],
            result.error[drawn],
            color=style.RIGHT,
            marker="o",
            markersize=3,
            linewidth=1.6,
            label="mean error of joints with this sigma",
        )
        highest = np.flatnonzero(result.table.any(axis=0)).max() + 1
        axes.set(
            xlim=(0, result.edges[-1]),
            ylim=(0, 1.15 * ERROR_EDGES[highest]),
            xlabel="mean of the two fitted sigmas, heatmap px",
            ylabel="2D error, heatmap px",
            title=f"The detector's doubt and its error (r = {result.correlation:.2f})",
        )
        axes.legend(loc="upper left", fontsize=8)
    return figure


def _cells(axes: Axes, result: SigmaError) -> None:
    """A cell for each bin of sigma and error that has joints, the darker the more."""
    columns, rows = np.nonzero(result.table)
    left, right = result.edges[columns], result.edges[columns + 1]
    errors = np.asarray(ERROR_EDGES)
    low, high = errors[rows], errors[rows + 1]
    corners = np.stack(
        [
            np.stack(pair, axis=-1)
            for pair in ((left, low), (right, low), (right, high), (left, high))
        ],
        axis=1,
    )
    counts = np.log1p(result.table[columns, rows])
    shade = 0.06 + 0.7 * counts / counts.max()
    colours = np.column_stack([np.tile(to_rgb(style.LEFT), (len(shade), 1)), shade])
    axes.add_collection(PolyCollection(list(corners), facecolors=colours, linewidths=0))
