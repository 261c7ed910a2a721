"""Poses as the camera would have them if it looked at the middle of the crop.

    pose3d (N, 17, 3), camera frame, and where the crop was -> the same, turned

A crop does not say where in the picture it was, nor through which lens. So nothing in
it tells by which angle a camera looks past a person, and a pose in the camera's frame
is turned by that angle, which no model can know. Whoever made the crop does know it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data_builders.files import DataFileError
from data_builders.simulation.cameras import CROP_SIZE
from jaxflow.skeleton import MPII_TO_H36M
from jaxflow.types import PoseRecords

# Where the camera would have looked: with it poses are turned back.
FEATURES: dict[str, Any] = {"ray": tfds.features.Tensor(shape=(3,), dtype=np.float32)}


def records(recording: PoseRecords) -> PoseRecords:
    """Frames of a camera as it stood, turned; "ray" is where it looks then.

    Raises:
      DataFileError: poses that do not stand before the camera.
    """
    if len(recording) and not (nearest := float(recording.pose3d[..., 2].min())) > 0:
        names = recording.subject[0], recording.action[0], recording.camera[0]
        raise DataFileError(
            f"{', '.join(names)}: expected poses in front of the camera, since where "
            f"a crop was follows from them; the nearest joint is at z = {nearest:g} mm"
        )
    ray = ray_of_crop(recording.pose3d, recording.pose2d, recording.gaussfit)
    return dataclasses.replace(
        recording,
        pose3d=turned(recording.pose3d, ray).astype(np.float32),
        extra={**recording.extra, "ray": ray.astype(np.float32)},
    )


def turned(pose3d: np.ndarray, ray: np.ndarray) -> np.ndarray:
    """Poses in the frames of cameras turned the shortest way to look along rays.

    Args:
      pose3d: (N, 17, 3), camera frame.
      ray: (N, 3) of length 1, in front of the camera.

    Returns:
      (N, 17, 3) in the unit of the poses; what was along a ray is along z. Rays with
      x and y of the other sign turn them back.
    """
    x, y, z = ray.T
    share = 1 / (1 + z)
    turn = [
        [1 - share * x * x, -share * x * y, -x],
        [-share * x * y, 1 - share * y * y, -y],
        [x, y, z],
    ]
    return np.einsum("abn,njb->nja", np.asarray(turn), pose3d)


def direction(slopes: np.ndarray) -> np.ndarray:
    """(N, 3) of length 1, through points (N, 2), tangents, of the pictures."""
    ray = np.concatenate([slopes, np.ones((len(slopes), 1))], axis=-1)
    return ray / np.linalg.norm(ray, axis=-1, keepdims=True)


def ray_of_crop(
    pose3d: np.ndarray, pose2d: np.ndarray, gaussfit: np.ndarray
) -> np.ndarray:
    """The direction of the crop's middle, where only poses tell of the camera.

    A crop is the camera's picture, moved and scaled: both by least squares, in which
    sure joints count more.

    Args:
      pose3d: (N, 17, 3) in any unit, camera frame, in front of the camera.
      pose2d: (N, 16, 2) pixels of the crop, as detected, MPII-16 order.
      gaussfit: (N, 16, 7) the fits, for how sure each is.

    Returns:
      (N, 3) of length 1, camera frame.
    """
    joints = pose3d[:, list(MPII_TO_H36M)].astype(np.float64)
    slopes = joints[..., :2] / joints[..., 2:]
    weight = 1 / np.square(gaussfit[..., [3, 5]].astype(np.float64)).sum(axis=-1)
    weight = (weight / weight.sum(axis=1, keepdims=True))[..., None]
    middle = (weight * slopes).sum(axis=1, keepdims=True)
    seen = (weight * pose2d).sum(axis=1, keepdims=True)
    apart, apart_seen = slopes - middle, pose2d - seen
    products = (weight * apart * apart_seen).sum(axis=(1, 2), keepdims=True)
    scale = products / (weight * apart**2).sum(axis=(1, 2), keepdims=True)
    return direction((middle + (CROP_SIZE / 2 - seen) / scale)[:, 0])
