"""A data set at a glance: sample frames in 2D and 3D, and how many there are of what.

In: the ``PoseRecords`` of its splits. Out: one figure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxflow.reporting import inventory
from jaxflow.reporting.figures import poses, style
from jaxflow.skeleton import H36M_BONES, H36M_JOINTS
from jaxflow.types import PoseRecords

_SAMPLES = 6
_BARS = 24  # most bars that stay legible
_TURN = np.deg2rad(35.0)  # of the 3D view
_COLOURS = {"train": style.LEFT, "test": style.RIGHT}


def card(name: str, splits: Mapping[str, PoseRecords]) -> Figure:
    """Samples above, counts below.

    Args:
      name: of the data set.
      splits: its frames by split, at least one frame in all.
    """
    counts = {split: inventory.of(records) for split, records in splits.items()}
    with style.themed():
        figure = Figure(figsize=(11, 8.2), layout="constrained")
        figure.suptitle(
            _headline(name, counts), x=0.01, ha="left", fontsize=11, fontweight="bold"
        )
        parts: Any = figure.subfigures(2, 1, height_ratios=(4.2, 3))
        above, below = parts
        _samples(above, splits)
        by_action, by_subject = below.subplots(1, 2, width_ratios=(3, 2))
        _bars(by_action, "Frames by action", {k: v.actions for k, v in counts.items()})
        _bars(
            by_subject, "Frames by subject", {k: v.subjects for k, v in counts.items()}
        )
    return figure


def _headline(name: str, counts: Mapping[str, inventory.Inventory]) -> str:
    parts = [
        f"{split}: {content.frames:,} frames, "
        f"{100 * content.ambiguous / max(content.frames, 1):.1f} % ambiguous"
        for split, content in counts.items()
    ]
    return "\n".join([name, ";   ".join(parts)])


def _samples(figure: Any, splits: Mapping[str, PoseRecords]) -> None:
    """Frames from sure to unsure of all splits, each in 2D above and in 3D below."""
    samples = [
        (split, records.take(rows))
        for split, records in splits.items()
        if len(rows := _choose(records, -(-_SAMPLES // len(splits))))
    ]
    columns = sum(len(records) for _, records in samples)
    grid = figure.subplots(2, columns, squeeze=False)
    places = iter(grid.T)
    for split, records in samples:
        for row in range(len(records)):
            flat, solid = next(places)
            poses.detection(flat, records.pose2d[row], records.gaussfit[row])
            flat.set_title(f"{records.subject[row]} {records.action[row]}", fontsize=8)
            _pose(solid, records.pose3d[row] - records.pose3d[row, :1])
            note = f"{split}, frame {records.frame[row]}"
            solid.set_title(note, fontsize=7, color=style.MUTED, fontweight="normal")


def _choose(records: PoseRecords, count: int) -> np.ndarray:
    """Rows evenly spread up to the most ambiguous detection."""
    widest = np.abs(records.gaussfit[..., [3, 5]]).max(axis=(1, 2))
    order = np.argsort(widest, kind="stable")
    count = min(count, len(order))
    return order[np.linspace(0, len(order) - 1, count + 1)[1:].round().astype(int)]


def _pose(axes: Axes, pose: np.ndarray) -> None:
    """A 3D pose (17, 3), mm, hip at 0, seen half from the side."""
    flat = poses.project(pose[None], float(_TURN))
    poses.bones(axes, flat, H36M_BONES, H36M_JOINTS, linewidth=2.2)
    middle = (flat[0].min(axis=0) + flat[0].max(axis=0)) / 2
    reach = 0.6 * float(np.ptp(flat[0], axis=0).max())
    axes.set_xlim(middle[0] - reach, middle[0] + reach)
    axes.set_ylim(middle[1] - reach, middle[1] + reach)
    style.bare(axes)


def _bars(axes: Axes, title: str, counts: Mapping[str, Mapping[str, int]]) -> None:
    """Frames by name, stacked by split; the largest groups where there are many."""
    totals: Counter[str] = sum(map(Counter, counts.values()), Counter())
    names = list(totals)
    if len(names) > _BARS:
        largest = dict(totals.most_common(_BARS))
        title += f" (the {_BARS} largest of {len(names)})"
        names = [name for name in names if name in largest]
    places = np.arange(len(names))
    left = np.zeros(len(names))
    for split, column in counts.items():
        values = np.array([column.get(name, 0) for name in names], float)
        colour = _COLOURS.get(split, style.MIDDLE)
        axes.bar(places, values, bottom=left, color=colour, label=split, width=0.75)
        left += values
    axes.set_xticks(places, names, rotation=60, ha="right", rotation_mode="anchor")
    axes.tick_params(labelsize=7)
    axes.grid(visible=False, axis="x")
    axes.set_title(title)
    axes.legend(
        fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderpad=0
    )
