"""Simulated recordings as pose records.

In: split, number of frames, seed. Out: ``PoseRecords`` and the 2D joints without the
detector's error, (N, 16, 2) float32 crop pixels, both in the set's order: subject,
action, subaction, camera, frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from data_builders.simulation import bodies, cameras, detector, motion, occlusion
from data_builders.simulation.families import FAMILIES
from jaxflow.skeleton import MPII_TO_H36M
from jaxflow.types import PoseRecords

# No person is in both splits.
SUBJECTS: dict[str, tuple[str, ...]] = {
    "train": tuple(f"P{number:02d}" for number in range(1, 9)),
    "test": ("P09", "P10"),
}
SUBACTIONS: tuple[str, ...] = ("0", "1")


class Recording(NamedTuple):
    """One camera's view of one take.

    Attributes:
      names: subject, action, subaction, camera.
      pose3d: (T, 17, 3) mm, camera frame.
      truth: (T, 16, 2) pixels of the crop, MPII-16 order.
      hidden: (T, 16) bool.
    """

    names: tuple[str, str, str, str]
    pose3d: np.ndarray
    truth: np.ndarray
    hidden: np.ndarray


def generate(split: str, frames: int, seed: int) -> tuple[PoseRecords, np.ndarray]:
    """A whole split.

    Args:
      split: "train" or "test"; they share no subject.
      frames: N, how many examples.
      seed: of everything random.

    Returns:
      The N records and the true 2D joints (N, 16, 2).

    Raises:
      ValueError: an unknown split or no frames.
    """
    if split not in SUBJECTS:
        raise ValueError(f"expected split train or test; got {split!r}")
    if frames < 1:
        raise ValueError(f"expected at least one {split} frame; got {frames}")
    views = [view for view in _views(split, frames, seed) if len(view.pose3d)]
    truth = np.concatenate([view.truth for view in views])
    hidden = np.concatenate([view.hidden for view in views])
    rng = np.random.default_rng([seed, _split_number(split), 0])
    seen = detector.detect(rng, truth, hidden)
    names = np.repeat(
        np.asarray([view.names for view in views]),
        [len(view.pose3d) for view in views],
        axis=0,
    )
    records = PoseRecords(
        pose3d=np.concatenate([view.pose3d for view in views]).astype(np.float32),
        pose2d=seen.pose2d,
        gaussfit=seen.gaussfit,
        subject=names[:, 0],
        action=names[:, 1],
        subaction=names[:, 2],
        camera=names[:, 3],
        frame=np.concatenate([_frame_numbers(len(view.pose3d)) for view in views]),
    )
    return records, truth.astype(np.float32)


def _split_number(split: str) -> int:
    return list(SUBJECTS).index(split)


def _frame_numbers(count: int) -> np.ndarray:
    """Numbers of the kept video frames, counted from 1."""
    return motion.FRAME_STEP * np.arange(1, count + 1, dtype=np.int32)


def _views(split: str, frames: int, seed: int) -> Iterator[Recording]:
    """All recordings of a split in order, together ``frames`` long."""
    subjects = SUBJECTS[split]
    shape = (
        len(subjects), len(FAMILIES), len(SUBACTIONS), len(cameras.CAMERA_NAMES),
    )  # fmt: skip
    edges = np.linspace(0, frames, int(np.prod(shape)) + 1).astype(int)
    lengths = np.diff(edges).reshape(shape)  # evenly spread also when frames are few
    for person, subject in enumerate(subjects):
        rng = np.random.default_rng([seed, _split_number(split), 1, person])
        body, studio = bodies.random_body(rng), cameras.studio(rng)
        for act, (action, family) in enumerate(FAMILIES.items()):
            for take, subaction in enumerate(SUBACTIONS):
                counts = lengths[person, act, take]
                world, _ = motion.record(rng, body, family, int(counts.max()))
                for camera, count in zip(studio, counts, strict=True):
                    names = (subject, action, subaction, camera.name)
                    yield _view(rng, names, camera, world[:count])


def _view(
    rng: np.random.Generator,
    names: tuple[str, str, str, str],
    camera: cameras.Camera,
    world: np.ndarray,
) -> Recording:
    pose3d = camera.see(world)
    order = list(MPII_TO_H36M)
    pixels = camera.project(pose3d)[:, order]
    return Recording(
        names=names,
        pose3d=pose3d,
        truth=cameras.crop(rng, pixels),
        hidden=occlusion.hidden(pose3d)[:, order],
    )
