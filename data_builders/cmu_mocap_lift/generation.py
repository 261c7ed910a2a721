"""Recordings as pose records: placed in the studio, seen by cameras and detector.

In: the ``Recording``s of a split and a seed. Out: ``PoseRecords``, a subject at a time,
ordered by subject, take, camera and frame. A pose is seen by one camera: the four take
turns through the kept frames of a take.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from data_builders.cmu_mocap_lift.recordings import Recording
from data_builders.simulation import cameras, detector
from data_builders.simulation.views import View, detected, view
from jaxflow.skeleton import HIP
from jaxflow.types import PoseRecords

# Neither file says what is done in a take, so all are one action.
ACTION = "Motion"
_TEST_EVERY = 8  # subjects 8, 16, 24, ... are the test split

_PLACE_RADIUS = 800.0  # mm, how far from the studio's centre a take's middle lies
_STUDIO_RADIUS = 1500.0  # mm, no hip is farther out; the cameras stand at 4900

# What a stream of random numbers is for.
_STUDIO, _TAKE, _DETECTOR = range(3)


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

    In 7 % of all frames, exactly, a joint is lost.

    Args:
      recordings: of the split, in order.
      seed: of everything random.
    """
    frames = ambiguous = 0
    for subject, own in itertools.groupby(recordings, key=lambda one: one.subject):
        number = int(subject)
        studio = cameras.studio(np.random.default_rng([seed, _STUDIO, number]))
        views = [seen for one in own for seen in _views(one, studio, seed)]
        count = sum(len(one.frame) for one in views)
        frames += count
        lost = round(detector.AMBIGUOUS_SHARE * frames) - ambiguous
        ambiguous += lost
        rng = np.random.default_rng([seed, _DETECTOR, number])
        yield detected(rng, views, lost / count)


def _views(
    recording: Recording, studio: Sequence[cameras.Camera], seed: int
) -> Iterator[View]:
    """What each camera sees of a take: every fourth of its kept frames."""
    subject, take = recording.subject, recording.number
    rng = np.random.default_rng([seed, _TAKE, int(subject), int(take)])
    world = placed(rng, recording.joints)
    first = rng.integers(len(studio))
    for number, camera in enumerate(studio):
        turn = slice((number - first) % len(studio), None, len(studio))
        frame = recording.frame[turn]
        if len(frame):
            yield view(rng, (subject, ACTION, take), camera, world[turn], frame)


def placed(rng: np.random.Generator, joints: np.ndarray) -> np.ndarray:
    """A take in the simulated studio.

    It is turned at random about the vertical and its middle laid near the studio's.
    Where it reaches beyond 1.5 m from there, it is drawn in frame by frame, so that
    nobody walks into a camera; poses and heights stay as they are.

    Args:
      rng: of direction and place.
      joints: (T, 17, 3) mm, y up.

    Returns:
      (T, 17, 3) mm, z up, in the frame of ``Camera.see``.
    """
    x, y, z = np.moveaxis(joints.astype(np.float64), -1, 0)
    heading = rng.uniform(0, 2 * np.pi)
    turn = np.exp(1j * heading)
    floor = turn * (x - 1j * z)  # the floor seen from above; y up makes -z the left
    hip = floor[:, HIP]
    middle = (
        hip.real.min() + hip.real.max() + 1j * (hip.imag.min() + hip.imag.max())
    ) / 2
    radius, bearing = _PLACE_RADIUS * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
    place = hip - middle + radius * np.exp(1j * bearing)
    drawn_in = place * np.minimum(1, _STUDIO_RADIUS / np.maximum(np.abs(place), 1e-9))
    floor = floor + (drawn_in - hip)[:, None]
    return np.stack([floor.real, floor.imag, y], axis=-1)
