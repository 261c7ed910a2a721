"""What the readers of pictures, videos and keypoint files hand on.

Readers go on where a frame or a person cannot be used: they say so by a ``Skipped`` in
the place where it would have been. Only what spoils a whole file is an exception.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Detection(NamedTuple):
    """Somebody's keypoints as a file has them, not yet checked.

    Attributes:
      source: the picture or video the file names, or else the file itself.
      frame: number within the source, from 0.
      person_id: as in the file, or the number within the frame.
      points: (n, 2) float64 image px.
      confidence: (n,) float64; None counts as 1 throughout.
      sigma: (n,) or (n, 2) float64 px, standard deviations instead of confidences.
    """

    source: str
    frame: int
    person_id: int | str
    points: np.ndarray
    confidence: np.ndarray | None = None
    sigma: np.ndarray | None = None


class Person(NamedTuple):
    """Somebody in a frame, found by another detector.

    Attributes:
      source: the picture or video the file names, or else the file itself.
      frame: number within the source, from 0; 0 for a picture.
      person_id: as in the file, or the number within the frame, from 0.
      pose2d_pixels: (16, 2) float32 image px, y down, MPII order; a joint not found is
        in the middle of the others.
      fit: (16, 7) float32, what Gaussian fits to heatmaps would have been, heatmap px
        of ``box``: A, x0, y0, sx, theta, sy, rmse.
      box: (4,) float64 left, top, width, height of the square crop, image px.
      found: (16,) bool, whether the joint was found.
      note: what is to be known about it, or "".
    """

    source: str
    frame: int
    person_id: int | str
    pose2d_pixels: np.ndarray
    fit: np.ndarray
    box: np.ndarray
    found: np.ndarray
    note: str = ""


class Box(NamedTuple):
    """Where somebody is in a frame.

    Attributes:
      source: the picture or video, as the file names it.
      frame: number within the source, from 0; 0 for a picture.
      person_id: as in the file, or the number within the frame, from 0.
      box: (4,) float64 left, top, width, height, image px.
    """

    source: str
    frame: int
    person_id: int | str
    box: np.ndarray


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
