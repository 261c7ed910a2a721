"""Poses: the 2D detection with its Gaussians, hypotheses from the front and the side.

In: 2D poses in pixels (y down), fits in heatmap pixels, 3D poses (17, 3) in metres,
camera frame (x right, y down, z away). Out: figures in the manner of the paper's
figures 3 and 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.path import Path

from jaxflow import gaussians
from jaxflow.reporting.figures import style
from jaxflow.skeleton import (
    CROP_PER_HEATMAP,
    H36M_BONES,
    H36M_JOINTS,
    MPII_BONES,
    MPII_JOINTS,
    MPII_TO_H36M,
)
from jaxflow.types import Hypotheses

_DRAWN = 24  # skeletons; more would be a smear
_TURN = np.deg2rad(90.0)  # of the side view


def hypotheses_figure(titles: Sequence[str], frames: Hypotheses) -> Figure:
    """A row a frame: the detection, the hypotheses from the camera and the side.

    Args:
      titles: (n,) why each frame was chosen.
      frames: n of them, with their targets.
    """
    with style.themed():
        figure = Figure(figsize=(8.4, 3.3 * len(titles)), layout="constrained")
        rows = figure.subplots(len(titles), 3, squeeze=False)
        for i, (axes, title) in enumerate(zip(rows, titles, strict=True)):
            frame = frames.take(i)
            detection(axes[0], frame.pose2d, frame.fit)
            axes[0].set_title(title)
            for view, angle, name in zip(
                axes[1:],
                (0.0, _TURN),
                ("From the camera", "From the side"),
                strict=True,
            ):
                spread_of_hypotheses(view, frame, angle)
                view.set_title(name, color=style.MUTED, fontweight="normal")
        _legend(figure)
    return figure


def detection(axes: Axes, pose2d: np.ndarray, fit: np.ndarray) -> None:
    """The 2D pose over its Gaussians, drawn at one and two standard deviations."""
    for mean, covariance in zip(*gaussians_in_crop(fit), strict=True):
        ellipse(axes, mean, covariance)
    bones(axes, pose2d[None], MPII_BONES, MPII_JOINTS, linewidth=2.2)
    axes.scatter(
        pose2d[:, 0], pose2d[:, 1], s=9, color=style.INK, zorder=4, linewidths=0
    )
    style.bare(axes)
    # The pose fills the panel; a Gaussian wider than it runs out of the picture.
    low, high = pose2d.min(axis=0), pose2d.max(axis=0)
    (x, y), reach = (low + high) / 2, 0.6 * float(np.max(high - low))
    axes.set_xlim(x - reach, x + reach)
    axes.set_ylim(y + reach, y - reach)


def gaussians_in_crop(fit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fits (16, 7) to means (16, 2) and covariances (16, 2, 2), crop px, y down."""
    fit = np.asarray(fit, np.float32)
    sigma, theta = jnp.abs(jnp.asarray(fit[:, [3, 5]])), jnp.asarray(fit[:, 4])
    covariance = gaussians.covariance_image_frame(sigma, theta)
    return (
        fit[:, 1:3] * CROP_PER_HEATMAP,
        np.asarray(covariance) * CROP_PER_HEATMAP**2,
    )


def ellipse(
    axes: Axes, mean: np.ndarray, covariance: np.ndarray, outline: str | None = None
) -> None:
    """A Gaussian at one and two standard deviations, or its outline alone."""
    values, vectors = np.linalg.eigh(covariance)
    angle = np.rad2deg(np.arctan2(vectors[1, 1], vectors[0, 1]))
    for deviations, opacity in ((2, 0.13), (1, 0.22)):
        height, width = 2 * deviations * np.sqrt(np.maximum(values, 0))
        look: Any = {"color": style.GOOD, "alpha": opacity, "zorder": 1}
        if outline:
            look = {"fill": False, "ec": outline, "alpha": 4 * opacity}
        patch = Ellipse(tuple(mean), width, height, angle=angle, lw=0.8, **look)
        axes.add_patch(patch)


def spread_of_hypotheses(axes: Axes, frame: Hypotheses, angle: float) -> None:
    """Some skeletons, all places of the most uncertain joint, the mode, the truth."""
    drawn = frame.poses[:: max(1, len(frame.poses) // _DRAWN)][:_DRAWN]
    joint = most_uncertain_joint(frame.fit)
    flat = project(frame.poses, angle)
    axes.scatter(
        flat[:, joint, 0],
        flat[:, joint, 1],
        s=5,
        color=style.GOOD,
        alpha=0.4,
        zorder=2,
        linewidths=0,
    )
    skeletons = project(drawn, angle)
    bones(axes, skeletons, H36M_BONES, H36M_JOINTS, linewidth=0.9, alpha=0.28)
    look: Any = {"linewidth": 1.8, "colour": style.MODE, "zorder": 5}
    bones(axes, project(frame.mode[None], angle), H36M_BONES, H36M_JOINTS, **look)
    look = {
        "linewidth": 1.8,
        "colour": style.INK,
        "zorder": 6,
        "linestyle": (0, (3, 1.4)),
    }
    bones(axes, project(frame.target[None], angle), H36M_BONES, H36M_JOINTS, **look)
    style.bare(axes)
    middle = (frame.target[:, 1].min() + frame.target[:, 1].max()) / 2
    reach = 0.65 * float(np.ptp(frame.target, axis=0).max())
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-middle - reach, -middle + reach)


def most_uncertain_joint(fit: np.ndarray) -> int:
    """H36M-17 index of the joint with the widest Gaussian of (16, 7)."""
    return MPII_TO_H36M[int(np.argmax(np.abs(fit[:, [3, 5]]).max(axis=-1)))]


def project(poses: np.ndarray, angle: float) -> np.ndarray:
    """(..., 3) camera frame to (..., 2) of a parallel view, y up.

    Args:
      poses: hip at 0.
      angle: radians by which the viewer walks round the body, from the camera's place
        towards the right of its picture.
    """
    x, y, z = np.moveaxis(np.asarray(poses), -1, 0)
    return np.stack([np.cos(angle) * x + np.sin(angle) * z, -y], axis=-1)


def bones(
    axes: Axes,
    poses: np.ndarray,
    pairs: Sequence[tuple[int, int]],
    names: Sequence[str],
    *,
    colour: str | None = None,
    **look: Any,
) -> None:
    """Lines for the bones of poses (N, J, 2); left, right and middle by colour.

    Args:
      axes: to draw on.
      poses: (N, J, 2).
      pairs: the joints that each bone joins.
      names: of the joints, which tell left from right.
      colour: one for all bones.
      **look: of Matplotlib's PathCollection.
    """
    colours = [colour or side(names[a], names[b]) for a, b in pairs]
    # All bones of a pose and colour are one path, which keeps an SVG small.
    for hue in dict.fromkeys(colours):
        joined = [pair for pair, its in zip(pairs, colours, strict=True) if its == hue]
        segments = poses[:, np.asarray(joined)]  # (N, bones, 2, 2)
        ends = [Path.MOVETO, Path.LINETO] * len(joined)
        paths = [Path(pose.reshape(-1, 2), ends) for pose in segments]
        lines = PathCollection(
            paths,
            facecolors="none",
            edgecolors=hue,
            capstyle="round",
            **({"zorder": 3} | look),
        )
        axes.add_collection(lines)


def side(*names: str) -> str:
    """The colour of the bone between two joints."""
    for colour, letter in ((style.RIGHT, "R"), (style.LEFT, "L")):
        if any(name[0] == letter and name[1].isupper() for name in names):
            return colour
    return style.MIDDLE


def _legend(figure: Figure) -> None:
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], color=style.RIGHT, label="right limbs"),
        Line2D([], [], color=style.LEFT, label="left limbs"),
        Line2D([], [], color=style.MODE, label="z = 0 pose"),
        Line2D([], [], color=style.INK, linestyle=(0, (3, 1.4)), label="truth"),
        Line2D(
            [],
            [],
            color=style.GOOD,
            marker="o",
            linestyle="",
            markersize=4,
            label="most uncertain joint, all hypotheses; Gaussians of the detector",
        ),
    ]
    figure.legend(handles=entries, loc="outside lower center", ncols=5, fontsize=8)
