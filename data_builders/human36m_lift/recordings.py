"""Recordings by name, and what a recording holds.

Human3.6M films each of fifteen actions twice (subactions 0 and 1) with four cameras.
In: detections of a recording's F frames and their 3D poses. Out: ``PoseRecords`` of the
recording. The order of recordings is that in which the released code joins them, so
that its choice of every 16th test frame is repeated exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_builders.files import DataFileError
from jaxflow.types import PoseRecords

SUBJECTS: dict[str, tuple[str, ...]] = {
    "train": ("S1", "S5", "S6", "S7", "S8"),
    "test": ("S9", "S11"),
}
ACTIONS: tuple[str, ...] = (
    "Directions",
    "Discussion",
    "Eating",
    "Greeting",
    "Phoning",
    "Photo",
    "Posing",
    "Purchases",
    "Sitting",
    "SittingDown",
    "Smoking",
    "Waiting",
    "WalkDog",
    "WalkTogether",
    "Walking",
)
SUBACTIONS: tuple[str, ...] = ("0", "1")
CAMERAS: tuple[str, ...] = ("54138969", "55011271", "58860488", "60457274")
# Every 4th video frame is kept: pictures 4, 8, 12, ..., counted from 1.
FRAME_STEP = 4


class Names(NamedTuple):
    """Which recording."""

    subject: str
    action: str
    subaction: str
    camera: str

    def __str__(self) -> str:
        """As messages name it: ``S9/Walking/0/54138969``."""
        return "/".join(self)


# The first has no file of 3D poses, the second is left out by the released code.
GAPS = frozenset(
    {
        Names("S11", "Directions", "0", "54138969"),
        Names("S5", "Waiting", "1", "55011271"),
    }
)


class Detections(NamedTuple):
    """What the 2D detector says of F kept frames.

    Attributes:
      pose2d: (F, 16, 2) float32, pixels of the 256-px crop, MPII-16 order.
      gaussfit: (F, 16, 7) float32, heatmap pixels: A, x0, y0, sx, theta, sy, rmse.
      frame: (F,) int32, number of the picture in the video, counted from 1.
    """

    pose2d: np.ndarray
    gaussfit: np.ndarray
    frame: np.ndarray


def key_in_order(key: object) -> tuple[str, int, str]:
    """Sorts names by their letters and then by their number: S9 before S11."""
    letters = str(key).rstrip("0123456789")
    digits = str(key)[len(letters) :]
    return letters, int(digits[:18] or 0), str(key)


def names_in_order(names: tuple[str, ...]) -> tuple[tuple[str, int, str], ...]:
    """Sorts recordings by subject, action, subaction and camera."""
    return tuple(map(key_in_order, names))


def all_of(subject: str) -> list[Names]:
    """The recordings that a subject should have, in order, without the known gaps."""
    every = [
        Names(subject, action, subaction, camera)
        for action in ACTIONS
        for subaction in SUBACTIONS
        for camera in CAMERAS
    ]
    return [names for names in every if names not in GAPS]


def frame_numbers(count: int) -> np.ndarray:
    """Numbers of the first kept pictures of a video, (count,): 4, 8, 12, ..."""
    return FRAME_STEP * np.arange(1, count + 1, dtype=np.int32)


def to_records(names: Names, pose3d: np.ndarray, detections: Detections) -> PoseRecords:
    """A recording's frames as records.

    Args:
      names: of the recording.
      pose3d: (F, 17, 3) float32, mm, camera frame.
      detections: of the same F frames.
    """
    count = len(detections.frame)
    return PoseRecords(
        pose3d=pose3d,
        pose2d=detections.pose2d,
        gaussfit=detections.gaussfit,
        subject=np.full(count, names.subject),
        action=np.full(count, names.action),
        subaction=np.full(count, names.subaction),
        camera=np.full(count, names.camera),
        frame=detections.frame,
    )


def check_finite(where: str, name: str, array: np.ndarray, frame: np.ndarray) -> None:
    """Refuses numbers that are not finite.

    Args:
      where: the file and recording that the message names.
      name: of the array.
      array: (F, ...).
      frame: (F,) numbers of the frames.

    Raises:
      DataFileError: names the first bad frame and how many there are.
    """
    finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
    bad = np.flatnonzero(~finite)
    if bad.size:
        raise DataFileError(
            f"{where}: {name} is not finite in {bad.size} of {len(array)} frames, "
            f"first in frame {frame[bad[0]]} (row {bad[0]})"
        )
