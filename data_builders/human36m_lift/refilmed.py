"""Recordings before other cameras: the configurations ``wild`` and ``studio``.

In: recordings as the other configurations have them. Out: their poses in pictures that
anybody may take (``simulation.pictures``) or in another studio (``simulation.studio``),
with detections of these, recording by recording. The files do not say which way is up:
it is the direction in which a subject stands before a camera on average, and the floor
lies under a recording's lowest joints.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tqdm

from data_builders.files import DataFileError
from data_builders.human36m_lift.configurations import Human36mConfig
from data_builders.simulation import pictures, studio
from jaxflow.skeleton import H36M_JOINTS, HIP
from jaxflow.types import PoseRecords

_ANKLE = 80.0  # mm, of the lowest joint over the floor
_LOWEST = 1.0  # per cent of the frames, which are outliers
_FLAT = 1e-3  # below it a direction has no length


class _Poses(NamedTuple):
    """What is kept of a recording.

    Attributes:
      pose3d: (T, 17, 3) float32, mm, camera frame.
      names: subject, action, subaction and camera.
      frame: (T,) int32.
    """

    pose3d: np.ndarray
    names: tuple[str, str, str, str]
    frame: np.ndarray


def generate(
    stream: Iterable[PoseRecords], config: Human36mConfig
) -> Iterator[PoseRecords]:
    """Each recording, seen anew.

    All poses are read before the first is given: a camera's vertical is of them all.

    Args:
      stream: recordings with frames, camera frame.
      config: by which cameras; its seed is of everything random.

    Raises:
      DataFileError: a camera whose vertical the people in front of it do not show.
    """
    kept = [_poses(records) for records in stream]
    verticals = _verticals(kept)
    seen = _pictured if config.cameras == "wild" else _filmed
    for poses in tqdm.tqdm(kept, desc="taking pictures", unit=" recordings"):
        yield seen(poses, upright(poses.pose3d, verticals[_seen_by(poses)]), config)


def _poses(records: PoseRecords) -> _Poses:
    names = (records.subject, records.action, records.subaction, records.camera)
    subject, action, subaction, camera = (str(column[0]) for column in names)
    return _Poses(records.pose3d, (subject, action, subaction, camera), records.frame)


def _seen_by(poses: _Poses) -> tuple[str, str]:
    """Whose camera it is: a studio's are set up anew for each subject."""
    subject, _, _, camera = poses.names
    return subject, camera


def _verticals(kept: list[_Poses]) -> dict[tuple[str, str], np.ndarray]:
    """Which way is up for each subject's cameras."""
    poses: dict[tuple[str, str], list[np.ndarray]] = {}
    for one in kept:
        poses.setdefault(_seen_by(one), []).append(one.pose3d)
    verticals = {own: vertical(np.concatenate(part)) for own, part in poses.items()}
    for (subject, camera), up in verticals.items():
        if not np.hypot(*up[:2]) > _FLAT:  # NaN, too
            raise DataFileError(
                f"{subject}, camera {camera}: expected people who stand before the "
                "camera, most of them upright in its picture; their torsos show no "
                "such direction"
            )
    return verticals


def vertical(pose3d: np.ndarray) -> np.ndarray:
    """(3,) the direction from hip to thorax of poses (n, 17, 3), on average."""
    joints = pose3d.astype(np.float64)
    torso = joints[:, H36M_JOINTS.index("Thorax")] - joints[:, HIP]
    length = np.linalg.norm(torso, axis=-1, keepdims=True)
    total = (torso / np.maximum(length, _FLAT)).sum(axis=0)
    return total / max(np.linalg.norm(total), _FLAT)


def upright(pose3d: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Poses of a recording with y up and the floor at y = 0.

    Args:
      pose3d: (T, 17, 3) mm, camera frame.
      up: (3,) of length 1, in that frame.

    Returns:
      (T, 17, 3) mm.
    """
    # The camera looks along z: what is left of -z on the floor points at it.
    near = np.asarray([0.0, 0.0, -1.0])
    near = near - (near @ up) * up
    near = near / np.linalg.norm(near)
    axes = np.stack([np.cross(up, near), up, near])
    joints = pose3d.astype(np.float64) @ axes.T
    lowest = np.percentile(joints[..., 1].min(axis=1), _LOWEST)
    joints[..., 1] += _ANKLE - lowest
    return joints


def _pictured(poses: _Poses, joints: np.ndarray, config: Human36mConfig) -> PoseRecords:
    *names, camera = poses.names
    shots = pictures.taken(joints, config.views, config.seed, (_number(poses.names),))
    cameras = [f"{camera}-view{view + 1}" for view in range(config.views)]
    return shots.records(names, cameras, poses.frame)


def _filmed(poses: _Poses, joints: np.ndarray, config: Human36mConfig) -> PoseRecords:
    subject, action, subaction, camera = poses.names
    numbers = _number((subject,)), _number(poses.names)
    names = subject, action, subaction
    take = studio.Take(names, numbers, poses.frame, joints)
    (records,) = studio.filmed([(numbers, [take])], config.seed)
    return dataclasses.replace(
        records, camera=np.char.add(f"{camera}-", records.camera)
    )


def _number(names: Sequence[str]) -> int:
    """What random numbers depend on: the names alone, not what else there is."""
    return zlib.crc32("/".join(names).encode())
