"""Recordings as pictures that anybody may take: the configuration ``wild``.

In: the ``Recording``s of a split, a seed and how many pictures each pose is in. Out:
``PoseRecords``, a take at a time, ordered by subject, take, camera and frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from data_builders.cmu_mocap_lift.generation import ACTION
from data_builders.cmu_mocap_lift.recordings import Recording
from data_builders.simulation import pictures
from jaxflow.types import PoseRecords


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
    numbers = (int(recording.subject), int(recording.number))
    shots = pictures.taken(recording.joints, views, seed, numbers)
    names = (recording.subject, ACTION, recording.number)
    cameras = [f"view{number + 1}" for number in range(views)]
    return shots.records(names, cameras, recording.frame)
