"""Which test frames a report shows, and the hypotheses it shows of them.

In: the test's frames with what it found of each. Out: rows by why they were chosen, and
their hypotheses: the very ones that were tested, drawn once more from the same keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxflow import data, metrics
from jaxflow.evaluation import protocol
from jaxflow.evaluation.frames import Frames
from jaxflow.maths import geometry, keys
from jaxflow.reporting.viewer import viewer
from jaxflow.types import DensityModel, Hypotheses, PoseRecords

HARDEST = 3  # worst, and as many of the most ambiguous, in one figure
SHOWN = 24  # poses to choose from on the page
_MOST_SHOWN = 200  # hypotheses of each of these


class Chosen(NamedTuple):
    """Frames of a test with their hypotheses.

    Attributes:
      titles: (n,) why each was chosen.
      details: (n,) which frame it is, and its figures.
      frames: n frames, as host arrays.
    """

    titles: list[str]
    details: list[str]
    frames: Hypotheses

    def take(self, rows: slice) -> Chosen:
        """Some of them."""
        return Chosen(self.titles[rows], self.details[rows], self.frames.take(rows))

    def viewer_poses(self) -> list[viewer.ViewerPose]:
        """For the page's interactive part."""
        poses, density, *others = self.frames
        few = slice(None), slice(_MOST_SHOWN)
        frames = Hypotheses(
            poses[few], None if density is None else density[few], *others
        )
        named = zip(self.titles, self.details, strict=True)
        return [
            viewer.ViewerPose(title, detail, frames.take(i))
            for i, (title, detail) in enumerate(named)
        ]


def by_sureness(records: PoseRecords) -> dict[str, int]:
    """Rows by why: a sure, a typical, an unsure, the least sure detection."""
    order = np.argsort(_widest(records), kind="stable")
    last = len(order) - 1
    places = {
        "Sure": 0,
        "Typical": last // 2,
        "Unsure": round(0.96 * last),
        "Least sure": last,
    }
    return {title: int(order[place]) for title, place in places.items()}


def hardest(frames: Frames, count: int = HARDEST) -> dict[str, int]:
    """Rows of the frames with the largest best error, then of the widest spread.

    A frame that is both counts as one of the worst.
    """
    worst = np.argsort(-frames.best, kind="stable")[:count]
    wide = np.argsort(-frames.spread, kind="stable")
    ambiguous = [row for row in wide if row not in worst][:count]
    rows = {
        f"Worst {i}: {frames.best[row]:.0f} mm": int(row)
        for i, row in enumerate(worst, 1)
    }
    rows |= {
        f"Most ambiguous {i}: {frames.spread[row]:.0f} mm": int(row)
        for i, row in enumerate(ambiguous, 1)
    }
    return rows


def for_viewer(frames: Frames, limit: int = SHOWN) -> dict[str, int]:
    """Rows to choose from on the page, by title: some of every kind and action.

    Every action in turn gives one frame, each of another kind than the one before, then
    a second one, until there are enough.
    """
    actions = [str(name) for name in np.unique(frames.records.action)]
    candidates = {action: _kinds(frames, action) for action in actions}
    kinds = list(next(iter(candidates.values())))
    taken: dict[int, tuple[str, int]] = {}  # a row's action and number of the kind
    for turn in range(len(kinds)):
        for i, action in enumerate(actions):
            number = (i + turn) % len(kinds)
            row = candidates[action][kinds[number]]
            if len(taken) < limit and row not in taken:
                taken[row] = action, number
    listed = sorted((*why, row) for row, why in taken.items())
    return {f"{action}: {kinds[number]}": row for action, number, row in listed}


def _kinds(frames: Frames, action: str) -> dict[str, int]:
    """An action's row of each kind."""
    rows = np.flatnonzero(frames.records.action == action)
    sure = by_sureness(frames.records.take(rows))
    places = {
        "unsure": sure["Unsure"],
        "worst": int(np.argmax(frames.best[rows])),
        "most ambiguous": int(np.argmax(frames.spread[rows])),
        "typical": sure["Typical"],
        "sure": sure["Sure"],
    }
    return {kind: int(rows[place]) for kind, place in places.items()}


def _widest(records: PoseRecords) -> np.ndarray:
    """(N,) heatmap px, each frame's largest fitted sigma."""
    return np.abs(records.gaussfit[..., [3, 5]]).max(axis=(1, 2))


def draw(
    loaded: protocol.Loaded, frames: Frames, rows: Sequence[tuple[str, int]]
) -> Chosen:
    """The hypotheses of some rows of the test's frames, as they were tested.

    Args:
      loaded: the model, and how it was tested.
      frames: of the test.
      rows: titles and numbers of frames.
    """
    places = np.asarray([place for _, place in rows])
    records = frames.records.take(places)
    batch, targets = data.to_batch(records), data.targets_of(records)
    frame_keys = keys.per_example(protocol.key_of(loaded.test), jnp.asarray(places))
    inputs, model = (batch.pose2d, batch.cond, frame_keys), loaded.model
    many: Any = {
        "num_hypotheses": loaded.test.num_hypotheses,
        "temperature": loaded.temperature,
    }
    if isinstance(model, DensityModel):
        poses, density = model.sample_with_log_density(*inputs, **many)
    else:
        poses, density = model.sample(*inputs, **many), None
    modes = model.sample(*inputs, num_hypotheses=1, temperature=0.0)
    poses = geometry.relative_to_hip(poses)
    best = np.asarray(metrics.mpjpe(poses, targets)).min(axis=1)
    return Chosen(
        [title for title, _ in rows],
        _details(records, best, frames.spread[places]),
        Hypotheses(
            poses=np.asarray(poses),
            log_density=None if density is None else np.asarray(density),
            mode=np.asarray(geometry.relative_to_hip(modes))[:, 0],
            pose2d=records.pose2d,
            fit=records.gaussfit,
            target=targets,
        ),
    )


def _details(
    records: PoseRecords, best: Sequence[float], spread: Sequence[float]
) -> list[str]:
    widest = _widest(records)
    return [
        f"{data.describe(records, i)}; best hypothesis {best[i]:.0f} mm, spread "
        f"{spread[i]:.0f} mm, widest Gaussian {widest[i]:.1f} px"
        for i in range(len(records))
    ]
