"""Poses as pictures that anybody may take: bodies, cameras and detections drawn.

In: poses (T, 17, 3), mm, y up, the floor at y = 0, a seed and how many pictures each is
in. Out: what ``PoseRecords`` hold of V T pictures, those of the first view first, poses
in the frame of the camera turned to the middle of the crop (`centred`). Every picture
has a body, a camera and detections of its own; what is made of some poses depends on
these, their names, the seed and the number of views alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from data_builders.simulation import (
    centred,
    occlusion,
    proportions,
    snapshots,
    two_detectors,
)
from data_builders.simulation.views import TRUE_2D
from jaxflow.skeleton import MPII_TO_H36M
from jaxflow.types import PoseRecords

# What a stream of random numbers is for; a studio's come before.
_BODIES, _CAMERAS, _DETECTORS = range(3, 6)
# Of the camera that took a picture, for figures by kind of picture.
_NUMBERS = ("pitch", "roll", "fov", "height", "distance")

# Of sets of pictures; the first had poses in the frames of the cameras as they stood.
VERSION = tfds.core.Version("2.0.0")
RELEASE_NOTES = {"2.0.0": "Poses are in the frame of a camera that looks at the crop."}

FEATURES: dict[str, Any] = {
    **TRUE_2D,
    **centred.FEATURES,
    "cut": tfds.features.Tensor(shape=(16,), dtype=np.bool_),
    **{name: tfds.features.Scalar(np.float32) for name in _NUMBERS},
}


class Pictures(NamedTuple):
    """N = V T pictures.

    Attributes:
      pose3d: (N, 17, 3) float32, mm, frame of the camera turned to the crop's middle.
      pose2d: (N, 16, 2) float32, pixels of the 256-px crop, as detected.
      gaussfit: (N, 16, 7) float32, pixels of the 64-px heatmap.
      extra: by the names of ``FEATURES``.
    """

    pose3d: np.ndarray
    pose2d: np.ndarray
    gaussfit: np.ndarray
    extra: dict[str, np.ndarray]

    def records(
        self, names: Sequence[str], cameras: Sequence[str], frame: np.ndarray
    ) -> PoseRecords:
        """The pictures of a recording as records.

        Args:
          names: its subject, action and subaction.
          cameras: V names, of the views.
          frame: (T,) int32, numbers of the poses' frames.
        """
        subject, action, subaction = np.repeat([names], len(self.pose3d), axis=0).T
        return PoseRecords(
            **self._asdict(),
            subject=subject,
            action=action,
            subaction=subaction,
            camera=np.repeat(cameras, len(frame)),
            frame=np.tile(frame, len(cameras)),
        )


def taken(
    joints: np.ndarray,
    views: int,
    seed: int,
    names: tuple[int, ...],
    *,
    varied: bool = True,
) -> Pictures:
    """So many pictures of each pose.

    Args:
      joints: (T, 17, 3) mm, y up, the floor at y = 0.
      views: V, pictures of each pose.
      seed: of everything random.
      names: whose these poses are, and which, as numbers.
      varied: whether each picture has a body of its own, and not the pose's.
    """
    bodies, lenses, detectors = (
        np.random.default_rng([seed, use, *names])
        for use in (_BODIES, _CAMERAS, _DETECTORS)
    )
    people = np.tile(joints, (views, 1, 1))
    if varied:
        people = proportions.varied(bodies, people)
    shots = snapshots.taken(lenses, people)
    hidden = occlusion.hidden(shots.pose3d)[:, list(MPII_TO_H36M)]
    seen = two_detectors.detect(detectors, shots.truth, hidden, shots.cut)
    numbers = {name: getattr(shots, name).astype(np.float32) for name in _NUMBERS}
    return Pictures(
        pose3d=centred.turned(shots.pose3d, shots.ray).astype(np.float32),
        pose2d=seen.pose2d,
        gaussfit=seen.gaussfit,
        extra={
            "pose2d_true": shots.truth.astype(np.float32),
            "cut": shots.cut,
            "ray": shots.ray.astype(np.float32),
            **numbers,
        },
    )
