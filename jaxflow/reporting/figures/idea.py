"""The method in one picture, made of real output (paper figure 2's content).

In: one frame with its Gaussians, the flow's hypotheses for it and latents. Out: a wide
figure: heatmaps -> condition -> flow, and on both of the flow's sides what it joins: 2D
pose and latent on the left, 3D poses on the right, which fall back onto the 2D pose.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon

from jaxflow.reporting.figures import poses, style
from jaxflow.skeleton import H36M_BONES, H36M_ENDS, H36M_JOINTS, MPII_BONES, MPII_JOINTS
from jaxflow.types import Hypotheses

_SIZE = (13.0, 5.6)  # inches; the canvas has these units, too
_HEAT = LinearSegmentedColormap.from_list(
    "heat", ["#101a2b", "#23406b", "#3f7fa8", "#7cc3a3", "#f3e9a2"]
)
_BLOCKS = 8
_PLANE = -1.25  # metres in front of the body: where the picture plane stands
_VIEW = np.deg2rad([40.0, 12.0])  # azimuth and elevation of the 3D scene


def idea(frame: Hypotheses, latents: np.ndarray) -> Figure:
    """The picture.

    Args:
      frame: what is drawn; its log-densities and its target are not used.
      latents: (N, 2) two coordinates of latents that were drawn.
    """
    with style.themed():
        figure = Figure(figsize=_SIZE)
        canvas = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        canvas.set(xlim=(0, _SIZE[0]), ylim=(0, _SIZE[1]))
        canvas.set_axis_off()
        _heatmaps(_panel(figure, 0.3, 3.05, 2.1, 2.1), frame)
        _observation(_panel(figure, 0.35, 0.45, 1.25, 1.75), frame.pose2d)
        _latents(_panel(figure, 1.85, 0.75, 1.25, 1.25), latents)
        _scene(_panel(figure, 8.62, 0.1, 4.3, 4.8), frame)
        _condition(canvas)
        _flow(canvas)
        _words(canvas, len(frame.poses))
        _arrows(canvas)
    return figure


def _panel(figure: Figure, x: float, y: float, width: float, height: float) -> Axes:
    """Axes at a place of the canvas, inches from its lower left corner."""
    w, h = _SIZE
    return figure.add_axes((x / w, y / h, width / w, height / h))


def _heatmaps(axes: Axes, frame: Hypotheses) -> None:
    """All heatmaps of the frame in one, as their fits describe them, and the fits."""
    axes.imshow(heatmap(frame.fit), cmap=_HEAT, extent=(0, 256, 256, 0))
    means, covariances = poses.gaussians_in_crop(frame.fit)
    for mean, covariance in zip(means, covariances, strict=True):
        poses.ellipse(axes, mean, covariance, outline="#ffffff")
    style.bare(axes)
    # The square that the pose fills, within the picture.
    low, high = frame.pose2d.min(axis=0) - 22, frame.pose2d.max(axis=0) + 22
    side = min(256.0, float(np.max(high - low)))
    x, y = np.clip((low + high - side) / 2, 0, 256 - side)
    axes.set(xlim=(x, x + side), ylim=(y + side, y))


def heatmap(fit: np.ndarray, size: int = 256) -> np.ndarray:
    """The largest of a frame's sixteen fitted bumps at every pixel.

    Args:
      fit: (16, 7) heatmap px, the authors' layout.
      size: pixels along each side of the result, which covers the 64 of a heatmap.

    Returns:
      (size, size), rows downwards.
    """
    means, covariances = poses.gaussians_in_crop(fit)
    places = (np.arange(size) + 0.5) * 256 / size
    grid = np.stack(np.meshgrid(places, places), axis=-1)
    away = grid[None] - means[:, None, None]
    distance = np.einsum("jrca,jab,jrcb->jrc", away, np.linalg.inv(covariances), away)
    peaks = np.clip(fit[:, 0], 0, 1)[:, None, None]
    return np.max(peaks * np.exp(-distance / 2), axis=0)


def _observation(axes: Axes, pose2d: np.ndarray) -> None:
    poses.bones(axes, pose2d[None], MPII_BONES, MPII_JOINTS, linewidth=2.4)
    axes.scatter(pose2d[:, 0], pose2d[:, 1], s=8, color=style.INK, zorder=4)
    style.bare(axes)
    axes.invert_yaxis()
    axes.autoscale_view()


def _latents(axes: Axes, latents: np.ndarray) -> None:
    for radius, opacity in ((2.0, 0.1), (1.0, 0.16)):
        axes.add_patch(Circle((0, 0), radius, color=style.MODE, alpha=opacity, lw=0))
    x, y = latents.T
    axes.scatter(x, y, s=5, color=style.MODE, alpha=0.55, linewidths=0)
    style.bare(axes)
    axes.set(xlim=(-2.9, 2.9), ylim=(-2.9, 2.9))


def _scene(axes: Axes, frame: Hypotheses) -> None:
    """Hypotheses from an oblique view, and their shadows on the picture plane."""
    drawn = frame.poses[:: max(1, len(frame.poses) // 36)][:36]
    plane = _plane(axes, drawn)
    shadows = drawn.copy()
    shadows[..., 2] = _PLANE
    look: Any = {"linewidth": 0.8, "alpha": 0.22, "clip_path": plane}
    poses.bones(axes, _oblique(shadows), H36M_BONES, H36M_JOINTS, **look)
    for joint in frame.mode[list(H36M_ENDS)]:
        ends = _oblique(np.array([joint, [joint[0], joint[1], _PLANE]]))
        axes.plot(*ends.T, color=style.MUTED, lw=0.7, ls=(0, (2, 3)), zorder=1)
    look = {"linewidth": 1.0, "alpha": 0.3}
    poses.bones(axes, _oblique(drawn), H36M_BONES, H36M_JOINTS, **look)
    look = {"linewidth": 2.2, "colour": style.MODE, "zorder": 6}
    poses.bones(axes, _oblique(frame.mode[None]), H36M_BONES, H36M_JOINTS, **look)
    style.bare(axes)
    axes.autoscale_view()
    axes.margins(0.02)


def _plane(axes: Axes, drawn: np.ndarray) -> Polygon:
    """The picture plane, as wide as nearly all of the hypotheses."""
    low, high = np.quantile(drawn.reshape(-1, 3), (0.01, 0.99), axis=0)
    (left, top, _), (right, bottom, _) = low - 0.15, high + 0.15
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    outline = _oblique(np.array([(x, y, _PLANE) for x, y in corners]))
    axes.add_patch(Polygon(outline, fc=style.LEFT, alpha=0.07, ec="none"))
    plane = Polygon(outline, fill=False, ec=style.MUTED, lw=0.9)
    axes.add_patch(plane)
    return plane


def _oblique(points: np.ndarray) -> np.ndarray:
    """(..., 3) camera frame to a parallel view from the left and above, (..., 2)."""
    azimuth, elevation = _VIEW
    x, y, z = np.moveaxis(np.asarray(points, float), -1, 0)
    across = np.cos(azimuth) * x + np.sin(azimuth) * z
    depth = np.cos(azimuth) * z - np.sin(azimuth) * x
    return np.stack([across, -np.cos(elevation) * y + np.sin(elevation) * depth], -1)


def _condition(canvas: Axes) -> None:
    _box(canvas, 3.35, 3.62, 1.75, 0.95, style.GOOD)
    _text(canvas, 4.22, 4.26, "fitted Gaussians", weight="bold")
    _text(canvas, 4.22, 3.93, "13 joints × (A, μ, Σ)", size=9, color=style.MUTED)
    _box(canvas, 5.6, 3.62, 1.75, 0.95, style.GOOD)
    _text(canvas, 6.47, 4.26, "encoder", weight="bold")
    _text(canvas, 6.47, 3.93, "78 → 256 → 56", size=9, color=style.MUTED)


def _flow(canvas: Axes) -> None:
    """Eight coupling blocks with a permutation between each two."""
    _box(canvas, 4.05, 0.78, 3.5, 1.28, style.INK, opacity=0.05)
    width, step, left = 0.24, 0.405, 4.24
    rng = np.random.default_rng(3)
    for block in range(_BLOCKS):
        x = left + block * step
        _box(canvas, x, 0.95, width, 0.94, style.MODE, opacity=0.28, rounding=0.05)
        _arrow(canvas, (x + width / 2, 2.62), (x + width / 2, 1.97), style.GOOD, 0.9, 6)
        if block < _BLOCKS - 1:
            heights = np.linspace(1.03, 1.81, 5)
            for start, end in zip(heights, rng.permutation(heights), strict=True):
                ends = [x + width, x + step], [start, end]
                canvas.plot(*ends, color=style.MUTED, lw=0.7, alpha=0.8)
    line = left + width / 2 + np.array([0, (_BLOCKS - 1) * step])
    canvas.plot(line, [2.62, 2.62], color=style.GOOD, lw=1.2)


def _words(canvas: Axes, count: int) -> None:
    heading: Any = {"weight": "bold", "size": 11}
    _text(canvas, 1.35, 5.35, "2D detector's heatmaps", **heading)
    _text(canvas, 0.98, 2.4, "2D pose  y", **heading)
    _text(canvas, 2.48, 2.4, "latent  z ~ N(0, I)", **heading)
    _text(canvas, 5.8, 0.5, "conditional normalizing flow", **heading)
    _text(canvas, 5.8, 0.24, "8 affine coupling blocks", size=9, color=style.MUTED)
    _text(canvas, 10.6, 5.35, f"3D hypotheses  ({count} drawn)", **heading)
    note = "seen from the camera they agree with the 2D pose where it is sure"
    _text(canvas, 10.6, 5.08, note, size=9, color=style.MUTED)


def _arrows(canvas: Axes) -> None:
    _arrow(canvas, (2.48, 4.1), (3.27, 4.1), style.GOOD, 2.0)
    _arrow(canvas, (5.15, 4.1), (5.54, 4.1), style.GOOD, 2.0)
    canvas.plot([6.47, 6.47], [3.6, 2.62], color=style.GOOD, lw=2.0)
    for start, end in ((3.22, 3.98), (7.63, 8.39)):
        _arrow(canvas, (start, 1.22), (end, 1.22), style.MODE, 2.4)
        _arrow(canvas, (end, 1.66), (start, 1.66), style.RIGHT, 2.4)
    for x in (8.02, 3.6):
        _text(canvas, x, 0.98, "inverse", size=9, color=style.MODE, weight="bold")
        _text(canvas, x, 1.86, "forward", size=9, color=style.RIGHT, weight="bold")


def _text(canvas: Axes, x: float, y: float, words: str, **look: Any) -> None:
    base: Any = {"size": 10, "color": style.INK, "ha": "center", "va": "center"}
    canvas.text(x, y, words, **(base | look))


def _box(
    canvas: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    colour: str,
    opacity: float = 0.12,
    rounding: float = 0.12,
) -> None:
    shape = f"round,pad=0,rounding_size={rounding}"
    inside: Any = {"fc": colour, "ec": "none", "alpha": opacity}
    canvas.add_patch(FancyBboxPatch((x, y), width, height, shape, **inside))
    outline: Any = {"fill": False, "ec": colour, "lw": 1.0}
    canvas.add_patch(FancyBboxPatch((x, y), width, height, shape, **outline))


def _arrow(
    canvas: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str,
    width: float,
    head: float = 16,
) -> None:
    look: Any = {"color": colour, "lw": width, "shrinkA": 0, "shrinkB": 0}
    canvas.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=head, **look)
    )
