"""Which frames of a data set: the test protocol's, some subjects', the ambiguous ones.

records of a split -> the frames that are wanted, or which they are: (N,) bool
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxflow import gaussians
from jaxflow.runs.errors import UserError
from jaxflow.types import PoseRecords


def every_nth_per_action(records: PoseRecords, stride: int) -> PoseRecords:
    """The test protocol's frames: every ``stride``-th of each action.

    An action's recordings, of all subjects and cameras, are joined in the set's order
    before frames are skipped. The paper's test uses a stride of 16 (section 4.1: every
    64th video frame, of which the set holds every 4th). The frames keep their order.

    Args:
      records: N frames.
      stride: at least 1; the first frame of each action is always taken.

    Raises:
      UserError: stride below 1.
    """
    if stride < 1:
        raise UserError(f"expected a stride of at least 1; got {stride}")
    rows = [
        np.flatnonzero(records.action == action)[::stride]
        for action in np.unique(records.action)
    ]
    return records.take(np.sort(np.concatenate([np.zeros(0, int), *rows])))


def evenly(records: PoseRecords, frames: int) -> PoseRecords:
    """So many frames, evenly spaced; all where there are fewer."""
    return records.take(evenly_spaced(len(records), frames))


def evenly_spaced(frames: int, wanted: int) -> np.ndarray:
    """The rows that `evenly` takes of so many frames."""
    return np.linspace(0, frames - 1, min(wanted, frames)).astype(int)


def of_subjects(subjects: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Which frames show one of these subjects, (N,) bool.

    Args:
      subjects: (N,) each frame's.
      names: of those wanted.

    Raises:
      UserError: a subject that no frame shows; names those there are.
    """
    present = np.unique(subjects)
    unknown = sorted(set(names) - set(present))
    if unknown:
        raise UserError(
            f"expected subjects of {', '.join(present)}; got {', '.join(unknown)}"
        )
    return np.isin(subjects, list(names))


def ambiguous(records: PoseRecords) -> np.ndarray:
    """Which frames belong to the ambiguous subset, (N,) bool: `gaussians.is_ambiguous`.

    Source: paper section 4.1.
    """
    return np.asarray(gaussians.is_ambiguous(records.gaussfit))
