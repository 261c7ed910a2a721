"""A sheet of fits: each heatmap, its Gaussian's ellipses, and what the fit leaves.

In: maps (n, H, W) and their fits (n, 7). Out: a Matplotlib figure. Paper figure 2 shows
such ellipses on the image.
"""

from __future__ import annotations

import io
import os
import pathlib
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxflow import gaussians
from jaxflow.gaussians import heatmaps
from jaxflow.reporting.figures import style
from jaxflow.runs import files
from jaxflow.skeleton import MPII_JOINTS
from jaxflow.types import GaussianFit

_PAIRS = 4  # maps side by side, each with its residual


def sheet(
    maps: np.ndarray,
    fits: np.ndarray,
    converged: np.ndarray,
    names: Sequence[str] = MPII_JOINTS,
) -> Figure:
    """Draws every map with the ellipses at 1 and 2 sigma, and its residual beside it.

    Args:
      maps: (n, H, W) as they were fitted.
      fits: (n, 7) A, x0, y0, sx, theta, sy, rmse.
      converged: (n,) bool; a fit that did not converge is dashed and says so.
      names: of the joints, repeated if there are more maps.
    """
    cleaned = np.asarray(heatmaps.clean(jnp.asarray(maps)))
    fit = GaussianFit.from_array(jnp.asarray(fits))
    height, width = maps.shape[1:]
    residuals = cleaned - np.asarray(heatmaps.render(fit, height, width))
    outlines = ellipses(fit)
    rows = -(-len(maps) // _PAIRS)
    columns = 2 * min(len(maps), _PAIRS)
    with style.themed():
        figure = Figure(
            figsize=(1.55 * columns, 1.95 * rows + 0.8), layout="constrained"
        )
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis in axes.flat[2 * len(maps) :]:
            axis.set_axis_off()
        for i in range(len(maps)):
            left, right = axes[i // _PAIRS, 2 * (i % _PAIRS) :][:2]
            _draw_map(left, cleaned[i], outlines[i], bool(converged[i]))
            limit = max(float(np.abs(residuals[i]).max()), 1e-6)
            right.imshow(residuals[i], cmap="RdBu_r", vmin=-limit, vmax=limit)
            _frame(left, right)
            left.set_title(names[i % len(names)])
            left.set_xlabel(_describe(fits[i]), fontsize=7)
            title = f"residual, ±{limit:.2g}" if converged[i] else "not converged"
            right.set_title(title, fontweight="normal", fontsize=8)
        figure.suptitle(
            "Heatmaps, fitted Gaussians at 1 and 2 sigma, and what the fit leaves",
            x=0.01,
            ha="left",
            fontsize=11,
        )
    return figure


def ellipses(fit: GaussianFit, points: int = 72) -> np.ndarray:
    """Outlines (n, 2 radii, points, 2) at 1 and 2 sigma, column and row."""
    covariance = gaussians.covariance_image_frame(fit.sigma, fit.theta)
    root = np.linalg.cholesky(np.asarray(covariance, np.float64))
    angle = np.linspace(0, 2 * np.pi, points)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    radii = np.array([1.0, 2.0])[:, None, None]
    around = np.einsum("nij,rpj->nrpi", root, radii * circle)
    return np.asarray(fit.mean)[:, None, None] + around


def _describe(fit: np.ndarray) -> str:
    amplitude, _, _, sx, _, sy, _ = fit
    return f"A {amplitude:.2g}, sigma {sx:.1f} x {sy:.1f} px"


def _frame(*axes: Axes) -> None:
    """A thin frame, no ticks, no grid."""
    for axis in axes:
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
        axis.spines[:].set_visible(True)


def _draw_map(axis: Axes, heatmap: np.ndarray, outline: np.ndarray, fine: bool) -> None:
    height, width = heatmap.shape
    axis.imshow(heatmap, cmap="gray_r", vmin=0, vmax=max(float(heatmap.max()), 1e-6))
    for radius in outline:
        line = "-" if fine else "--"
        axis.plot(*radius.T, color=style.RIGHT, linewidth=1.2, linestyle=line)
    axis.set_xlim(-0.5, width - 0.5)
    axis.set_ylim(height - 0.5, -0.5)


def save(path: str | os.PathLike[str], figure: Figure) -> None:
    """Writes the figure; the suffix decides the format (.png, .svg, .pdf)."""
    content = io.BytesIO()
    figure.savefig(
        content, format=pathlib.Path(path).suffix.lower().lstrip(".") or "png"
    )
    files.write_bytes(path, content.getvalue())
