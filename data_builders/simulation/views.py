"""Recordings seen by simulated cameras and a simulated detector, as pose records.

In: joints in the world, (T, 17, 3) mm, from any source, and a camera. Out: a ``View`` a
camera, and of many views the ``PoseRecords`` of a split, with the 2D joints without the
detector's error as ``extra["pose2d_true"]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from data_builders.simulation import cameras, detector, motion, occlusion
from jaxflow.skeleton import MPII_TO_H36M
from jaxflow.types import PoseRecords

# The feature of a set whose detector is simulated.
TRUE_2D: dict[str, Any] = {
    "pose2d_true": tfds.features.Tensor(shape=(16, 2), dtype=np.float32)
}


class View(NamedTuple):
    """One camera's view of one take.

    Attributes:
      names: subject, action, subaction, camera.
      pose3d: (T, 17, 3) mm, camera frame.
      truth: (T, 16, 2) pixels of the crop, MPII-16 order.
      hidden: (T, 16) bool.
      frame: (T,) numbers of the frames in the video, counted from 1.
    """

    names: tuple[str, str, str, str]
    pose3d: np.ndarray
    truth: np.ndarray
    hidden: np.ndarray
    frame: np.ndarray


def view(
    rng: np.random.Generator,
    names: tuple[str, str, str],
    camera: cameras.Camera,
    world: np.ndarray,
    frame: np.ndarray | None = None,
) -> View:
    """What a camera sees of a take.

    Args:
      rng: draws how the person is cropped.
      names: subject, action, subaction.
      camera: of the studio.
      world: (T, 17, 3) mm, H36M-17 order, in the frame of ``Camera.see``.
      frame: (T,) numbers of the frames; default every ``motion.FRAME_STEP``-th,
        counted from 1.
    """
    if frame is None:
        frame = motion.FRAME_STEP * np.arange(1, len(world) + 1, dtype=np.int32)
    pose3d = camera.see(world)
    order = list(MPII_TO_H36M)
    pixels = camera.project(pose3d)[:, order]
    return View(
        names=(*names, camera.name),
        pose3d=pose3d,
        truth=cameras.crop(rng, pixels),
        hidden=occlusion.hidden(pose3d)[:, order],
        frame=frame,
    )


def detected(
    rng: np.random.Generator,
    views: Sequence[View],
    share: float = detector.AMBIGUOUS_SHARE,
) -> PoseRecords:
    """All frames of the views end to end, with the detector's answers.

    Args:
      rng: of the detector's errors.
      views: at least one, each of at least one frame.
      share: of the frames that are ambiguous.
    """
    truth = np.concatenate([one.truth for one in views])
    hidden = np.concatenate([one.hidden for one in views])
    seen = detector.detect(rng, truth, hidden, share)
    lengths = [len(one.pose3d) for one in views]
    names = np.repeat(np.asarray([one.names for one in views]), lengths, axis=0)
    return PoseRecords(
        pose3d=np.concatenate([one.pose3d for one in views]).astype(np.float32),
        pose2d=seen.pose2d,
        gaussfit=seen.gaussfit,
        subject=names[:, 0],
        action=names[:, 1],
        subaction=names[:, 2],
        camera=names[:, 3],
        frame=np.concatenate([one.frame for one in views]).astype(np.int32),
        extra={"pose2d_true": truth.astype(np.float32)},
    )
