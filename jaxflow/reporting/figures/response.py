"""Coverage against sigma: do the hypotheses follow the detector?

In: ``evaluation.response.Response``. Out: a figure.
"""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from jaxflow.evaluation.response import Response
from jaxflow.metrics.response import REGIONS
from jaxflow.reporting.figures import curves, style

_REGION = REGIONS.index(0.9)


def response(result: Response) -> Figure:
    """The share of frames whose 90 % region holds the truth, a line a joint."""
    settings = result.of()
    sigmas = [result.settings[i].sigma for i in settings]
    with style.plot() as (figure, axes):
        axes.axhline(REGIONS[_REGION], color=style.MUTED, linewidth=1, linestyle=":")
        looks = curves.looks(len(result.joints))
        for j, (joint, look) in enumerate(zip(result.joints, looks, strict=True)):
            shares = result.coverage[j, settings, _REGION]
            axes.plot(sigmas, shares, marker="o", markersize=3, label=joint, **look)
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel("sigma that the joint's Gaussian is given, heatmap px")
        axes.set_ylabel("truth within the 90 % region")
        axes.legend(loc="lower left", fontsize=8)
    return figure
