"""What the readers of pictures, videos and keypoint files hand on.

Readers go on where a frame or a person cannot be used: they say so by a ``Skipped`` in
the place where it would have been. Only what spoils a whole file is an exception.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jaxflow.detector.crops.crop import Crop
from jaxflow.skeleton import MPII_JOINTS


class Detection(NamedTuple):
    """Somebody's keypoints as a file has them, not yet checked.

    Attributes:
      source: the picture or video the file names, or else the file itself.
      frame: number within the source, from 0.
      person_id: as in the file, or the number within the frame.
      points: (n, 2) float64 image px.
      confidence: (n,) float64; None counts as 1 throughout.
      sigma: (n,) or (n, 2) float64 px, standard deviations instead of confidences.
      skeleton: whose joints they are, in its order, if the file says so.
      numbered: whether person_id is but the number within the frame.
    """

    source: str
    frame: int
    person_id: int | str
    points: np.ndarray
    confidence: np.ndarray | None = None
    sigma: np.ndarray | None = None
    skeleton: str | None = None
    numbered: bool = False


class Seen(NamedTuple):
    """A person in a frame, before anything was predicted.

    Attributes:
      file: name of the picture or video, or of the file that says it.
      frame: number within it, from 0.
      person: its id, as in the file, or the number within the frame, from 0.
      square: () the crop, in px of the picture.
      picture: the frame as a Picture, or the path of the file it is in, to be read if
        it is drawn; None where a file of keypoints names none that is there.
      maps: (16, 64, 64) heatmaps of the crop, if they were given.
      fit: (16, 7) float32, what Gaussian fits to heatmaps were or would have been,
        heatmap px of the crop: A, x0, y0, sx, theta, sy, rmse. If it was given, then
        with it
      pose2d: (16, 2) float32 image px, y down, MPII order; a joint not found is in the
        middle of the others.
      note: what is to be known about it, or "".
      numbered: whether the id is but the number within the frame: the same person may
        have another one in the next.
    """

    file: str
    frame: int
    person: int | str
    square: Crop
    picture: Any = None
    maps: Any = None
    fit: Any = None
    pose2d: Any = None
    note: str = ""
    numbered: bool = False


def lacking(found: np.ndarray) -> str:
    """The note about joints (16,) that were not found, or ""."""
    names = [MPII_JOINTS[i] for i in np.flatnonzero(~found)]
    return f"not found: {', '.join(names)}" if names else ""


class Box(NamedTuple):
    """Where somebody is in a frame.

    Attributes:
      source: the picture or video, as the file names it.
      frame: number within the source, from 0; 0 for a picture.
      person_id: as in the file, or the number within the frame, from 0.
      box: (4,) float64 left, top, width, height, image px.
      numbered: whether person_id is but the number within the frame.
    """

    source: str
    frame: int
    person_id: int | str
    box: np.ndarray
    numbered: bool = False


class Skipped(NamedTuple):
    """A frame or a person that could not be used.

    Attributes:
      source: the picture, video or file.
      frame: number within the source, if it is one frame.
      person_id: of the person, if it is one.
      reason: for the user to read.
    """

    source: str
    frame: int | None
    person_id: int | str | None
    reason: str
