"""Recordings as pose records, and which split they are of.

In: the ``Recording``s of a split and a seed. Out: ``PoseRecords``, filmed in the studio
a subject at a time or, for the configuration ``wild``, as pictures that anybody may
take, a take at a time; ordered by subject, take, camera and frame.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from data_builders.cmu_mocap_lift.recordings import Recording
from data_builders.simulation import pictures, studio
from jaxflow.types import PoseRecords

# Neither file says what is done in a take, so all are one action.
ACTION = "Motion"
_TEST_EVERY = 8  # subjects 8, 16, 24, ... are the test split


def split_of(subject: str, test_subjects: Sequence[int] = ()) -> str:
    """The split of a subject, by its number alone: the same whatever else there is.

    Args:
      subject: as the database names it.
      test_subjects: those of the test split; if none, every eighth number.
    """
    number = int(subject)
    tested = number in test_subjects if test_subjects else number % _TEST_EVERY == 0
    return "test" if tested else "train"


def generate(recordings: Sequence[Recording], seed: int) -> Iterator[PoseRecords]:
    """The records of a split, a subject at a time.

    Args:
      recordings: of the split, in order.
      seed: of everything random.
    """
    people = itertools.groupby(recordings, key=lambda one: one.subject)
    together = (((int(name),), [*map(_take, own)]) for name, own in people)
    return studio.filmed(together, seed)


def pictured(
    recordings: Sequence[Recording], seed: int, views: int
) -> Iterator[PoseRecords]:
    """The records of a split as pictures, a take at a time.

    Args:
      recordings: of the split, in order.
      seed: of everything random.
      views: pictures of each pose.
    """
    cameras = [f"view{number + 1}" for number in range(views)]
    for one in recordings:
        numbers = (int(one.subject), int(one.number))
        shots = pictures.taken(one.joints, views, seed, numbers)
        yield shots.records((one.subject, ACTION, one.number), cameras, one.frame)


def _take(recording: Recording) -> studio.Take:
    subject, number = recording.subject, recording.number
    return studio.Take(
        names=(subject, ACTION, number),
        numbers=(int(subject), int(number)),
        frame=recording.frame,
        joints=recording.joints,
    )
