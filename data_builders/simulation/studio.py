"""Takes in a studio: placed, seen by its four cameras and a simulated detector.

In: takes of joints (T, 17, 3), mm, y up, and a seed. Out: ``PoseRecords``, one for all
takes that are detected together. A pose is seen by one camera: the four take turns
through the frames of a take. A person's cameras are the same in all takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from data_builders.simulation import cameras, detector
from data_builders.simulation.views import View, detected, view
from jaxflow.skeleton import HIP
from jaxflow.types import PoseRecords

_PLACE_RADIUS = 800.0  # mm, how far from the studio's centre a take's middle lies
_STUDIO_RADIUS = 1500.0  # mm, no hip is farther out; the cameras stand at 4900

# What a stream of random numbers is for.
_STUDIO, _TAKE, _DETECTOR = range(3)


class Take(NamedTuple):
    """What somebody did, without any camera.

    Attributes:
      names: subject, action and subaction.
      numbers: the subject's and the take's, which its random numbers depend on.
      frame: (T,) int32, numbers of the frames.
      joints: (T, 17, 3) mm, H36M-17 order, y up, the floor at y = 0.
    """

    names: tuple[str, str, str]
    numbers: tuple[int, int]
    frame: np.ndarray
    joints: np.ndarray


def filmed(
    together: Iterable[tuple[tuple[int, ...], Sequence[Take]]], seed: int
) -> Iterator[PoseRecords]:
    """The records of all takes.

    In 7 % of all frames, exactly, a joint is lost.

    Args:
      together: numbers of what is detected at once, the subject's first, and its takes.
      seed: of everything random.
    """
    frames = ambiguous = 0
    for numbers, takes in together:
        studio = cameras.studio(np.random.default_rng([seed, _STUDIO, numbers[0]]))
        views = [seen for take in takes for seen in _views(take, studio, seed)]
        count = sum(len(one.frame) for one in views)
        frames += count
        lost = round(detector.AMBIGUOUS_SHARE * frames) - ambiguous
        ambiguous += lost
        rng = np.random.default_rng([seed, _DETECTOR, *numbers])
        yield detected(rng, views, lost / count)


def _views(take: Take, studio: Sequence[cameras.Camera], seed: int) -> Iterator[View]:
    """What each camera sees of a take: every fourth of its frames."""
    rng = np.random.default_rng([seed, _TAKE, *take.numbers])
    world = placed(rng, take.joints)
    first = rng.integers(len(studio))
    for number, camera in enumerate(studio):
        turn = slice((number - first) % len(studio), None, len(studio))
        if len(frame := take.frame[turn]):
            yield view(rng, take.names, camera, world[turn], frame)


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
