"""Recordings as pictures that anybody may take: the configuration ``wild``.

In: the ``Recording``s of a split, a seed and how many pictures each pose is in. Out:
``PoseRecords``, a take at a time, ordered by subject, take, camera and frame. Every
picture has a body, a camera and detections of its own. What is made of a take depends
on that take and the seed alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data_builders.cmu_mocap_lift.generation import ACTION
from data_builders.cmu_mocap_lift.recordings import Recording
from data_builders.simulation import occlusion, proportions, snapshots, two_detectors
from jaxflow.skeleton import MPII_TO_H36M
from jaxflow.types import PoseRecords

# What a stream of random numbers is for; those of ``generation`` come before.
_BODIES, _CAMERAS, _DETECTORS = range(3, 6)
# Of the camera that took a picture, for figures by kind of picture.
_NUMBERS = ("pitch", "roll", "fov", "height", "distance")

FEATURES: dict[str, Any] = {
    "cut": tfds.features.Tensor(shape=(16,), dtype=np.bool_),
    **{name: tfds.features.Scalar(np.float32) for name in _NUMBERS},
}


def generate(
    recordings: Sequence[Recording], seed: int, views: int
) -> Iterator[PoseRecords]:
    """The records of a split, a take at a time.

    Args:
      recordings: of the split, in order.
      seed: of everything random.
      views: pictures of each pose.
    """
    for one in recordings:
        yield _take(one, seed, views)


def _take(recording: Recording, seed: int, views: int) -> PoseRecords:
    """All pictures of a take."""
    own = (int(recording.subject), int(recording.number))
    bodies, lenses, detectors = (
        np.random.default_rng([seed, use, *own])
        for use in (_BODIES, _CAMERAS, _DETECTORS)
    )
    joints = np.tile(recording.joints, (views, 1, 1))
    shots = snapshots.taken(lenses, proportions.varied(bodies, joints))
    hidden = occlusion.hidden(shots.pose3d)[:, list(MPII_TO_H36M)]
    seen = two_detectors.detect(detectors, shots.truth, hidden, shots.cut)
    count = len(joints)
    cameras = [f"view{number + 1}" for number in range(views)]
    extra = {name: getattr(shots, name).astype(np.float32) for name in _NUMBERS}
    return PoseRecords(
        pose3d=shots.pose3d.astype(np.float32),
        pose2d=seen.pose2d,
        gaussfit=seen.gaussfit,
        subject=np.repeat(recording.subject, count),
        action=np.repeat(ACTION, count),
        subaction=np.repeat(recording.number, count),
        camera=np.repeat(cameras, len(recording.frame)),
        frame=np.tile(recording.frame, views),
        extra={
            "pose2d_true": shots.truth.astype(np.float32),
            "cut": shots.cut,
            **extra,
        },
    )
