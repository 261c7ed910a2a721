"""What sources give beside people and those who were skipped: marks, ends, poses."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jaxflow.detector.readers.records import Seen
from jaxflow.runs.files import printable


class Mark(NamedTuple):
    """A place in a source before which everything was given.

    Attributes:
      place: what ``inputs.read`` takes as its start: a video's frame, elsewhere how
        many came before.
      following: of a video, plain values about who is being followed there.
    """

    place: int
    following: Any = None


class Ended(NamedTuple):
    """No more of a source; ``failed`` says why if it could not be read (to the end)."""

    failed: str | None


class Noted(NamedTuple):
    """What is to be known of a frame, and no fault.

    Attributes:
      source: the picture or video.
      frame: number within it.
      reason: for the user to read.
    """

    source: str
    frame: int
    reason: str


class Lifted(NamedTuple):
    """A person in 3D.

    Attributes:
      seen: where it comes from.
      hypotheses: (M, 17, 3) metres.
      chosen: (17, 3) metres.
      mode: (17, 3) metres, the z = 0 pose.
      spread: (17, 3) metres, standard deviation over the hypotheses.
      log_density: (M,) nats; None of a model that has no density.
      pose2d: (16, 2) image px.
      fit: (16, 7) heatmap px of the crop.
      crop: (256, 256, 3) uint8, what the detector saw, if it was one of this run.
    """

    seen: Seen
    hypotheses: np.ndarray
    chosen: np.ndarray
    mode: np.ndarray
    spread: np.ndarray
    log_density: np.ndarray | None
    pose2d: np.ndarray
    fit: np.ndarray
    crop: np.ndarray | None = None


# Its arrays that files keep, and their units.
STORED = {
    "hypotheses": "metres",
    "chosen": "metres",
    "mode": "metres",
    "spread": "metres",
    "log_density": "nats",
    "pose2d": "image px",
    "fit": "heatmap px of the crop",
}


def same_frame(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether a file and frame are the same, by the file's path or its name alone."""
    names = [f"/{printable(file)}" for file, _ in (one, other)]
    return one[1] == other[1] and any(map(str.endswith, names, names[::-1]))
