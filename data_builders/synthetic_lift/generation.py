"""Simulated recordings as pose records.

In: split, number of frames, seed. Out: ``PoseRecords`` in the set's order: subject,
action, subaction, camera, frame.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from data_builders.simulation import bodies, cameras, motion
from data_builders.simulation.families import FAMILIES
from data_builders.simulation.views import View, detected, view
from jaxflow.types import PoseRecords

# No person is in both splits.
SUBJECTS: dict[str, tuple[str, ...]] = {
    "train": tuple(f"P{number:02d}" for number in range(1, 9)),
    "test": ("P09", "P10"),
}
SUBACTIONS: tuple[str, ...] = ("0", "1")


def generate(split: str, frames: int, seed: int) -> PoseRecords:
    """A whole split.

    Args:
      split: "train" or "test"; they share no subject.
      frames: N, how many examples, at least one.
      seed: of everything random.

    Returns:
      The N records, with the true 2D joints (N, 16, 2) as ``pose2d_true``.
    """
    views = [one for one in _views(split, frames, seed) if len(one.pose3d)]
    rng = np.random.default_rng([seed, _split_number(split), 0])
    return detected(rng, views)


def _split_number(split: str) -> int:
    return list(SUBJECTS).index(split)


def _views(split: str, frames: int, seed: int) -> Iterator[View]:
    """All recordings of a split in order, together ``frames`` long."""
    subjects = SUBJECTS[split]
    shape = (len(subjects), len(FAMILIES), len(SUBACTIONS), len(cameras.CAMERA_NAMES))
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
                    names = (subject, action, subaction)
                    yield view(rng, names, camera, world[:count])
