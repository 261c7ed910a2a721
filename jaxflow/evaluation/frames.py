"""What a test found of each of its frames: few numbers, by which frames are chosen.

errors of batches of frames -> Frames, a number a frame
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxflow.metrics import ERROR_NAMES, ExampleErrors
from jaxflow.types import PoseRecords


class Frames(NamedTuple):
    """The frames of a test, and what was found of each.

    Attributes:
      records: N frames.
      best: (N,) mm, MPJPE of the best hypothesis.
      spread: (N,) mm, the hypotheses' mean standard deviation over joints and axes.
      energy: (N,) mm, energy score of the pose.
      z0: (N,) mm, MPJPE of the z = 0 pose.
      mean: (N,) mm, MPJPE, mean over hypotheses.
      aligned: (N,) mm, PA-MPJPE of the hypothesis that is best in it.
    """

    records: PoseRecords
    best: np.ndarray
    spread: np.ndarray
    energy: np.ndarray
    z0: np.ndarray
    mean: np.ndarray
    aligned: np.ndarray

    @classmethod
    def of(cls, records: PoseRecords) -> Frames:
        """Of which nothing was found yet."""
        found = np.zeros((len(cls._fields) - 1, len(records)), np.float32)
        return cls(records, *found)

    def add(self, rows: slice, errors: ExampleErrors, energy: np.ndarray) -> None:
        """What was found of some of them, on the host; the energy score in mm."""
        for name in ("z0", "best", "mean"):
            getattr(self, name)[rows] = errors.mpjpe[:, ERROR_NAMES.index(name)]
        self.aligned[rows] = errors.pa_mpjpe[:, ERROR_NAMES.index("best")]
        self.spread[rows] = np.mean(errors.spread, axis=(1, 2))
        self.energy[rows] = energy
