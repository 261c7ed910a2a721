"""People in a film: squares go from one frame's joints to the next.

    Following, the next frame -> Following, its people

A person is looked at in the square that their joints stood in a moment ago, which takes
one look a person; whoever was lost, as behind somebody else, for a second in a square
that goes on as they went. The whole frame is searched, as a picture is, at first, after
half a second for those who are new, where somebody is lost or nobody was there, and
after a cut.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jaxflow.detector.blazepose import people
from jaxflow.detector.blazepose.detector import BlazePose
from jaxflow.detector.blazepose.people import Person
from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.readers.pictures import Picture
from jaxflow.maths import moving

SEARCH = 0.5  # seconds from one search to the next, and of what a square is good for
LOST = 1.0  # seconds in which somebody who was lost is looked for
_STEP = 0.5  # of a square's side, at most, from where somebody was expected
_GLIMPSE = 24  # pixels along each axis by which a cut is known
_CUT = 40.0  # of 255: their mean difference, above which a frame is another shot's


class Walker(NamedTuple):
    """Somebody who is followed.

    Attributes:
      square: around them, when they were last seen.
      velocity: (2,) px a second of its middle.
      seconds: when that was.
    """

    square: Crop
    velocity: np.ndarray
    seconds: float

    def expected(self, seconds: float) -> Crop:
        """The square where they are probably at a time."""
        way = self.velocity * (seconds - self.seconds)
        return self.square._replace(center=self.square.center + way)


class Following(NamedTuple):
    """What is known of the frames before.

    Attributes:
      walkers: who was seen in the last one, or not long before.
      glimpse: (n, m) a few of the last one's pixels, grey; None before the first frame.
      seconds: its time.
      searched: the time of the last frame that was searched.
    """

    walkers: tuple[Walker, ...] = ()
    glimpse: np.ndarray | None = None
    seconds: float = 0.0
    searched: float = 0.0


def follow(
    before: Following, picture: Picture, seconds: float, detector: BlazePose
) -> tuple[Following, list[Person]]:
    """The people in the next frame, from left to right.

    Args:
      before: of the frame before; `Following()` at first.
      picture: the frame.
      seconds: its time, later than the one before.
      detector: that sees people.
    """
    glimpse = _glimpse(picture)
    walkers = before.walkers if seconds - before.seconds <= SEARCH else ()
    if before.glimpse is None or _apart(before.glimpse, glimpse) > _CUT:
        walkers = ()
    seen = [one for one in walkers if one.seconds == before.seconds]
    squares = [one.square for one in seen]
    lost = [one.expected(seconds) for one in walkers if one.seconds < before.seconds]
    squares += [square for square in lost if _holds(picture, square.center)]
    found: list[Person] = []
    searched = before.searched
    if squares and seconds - searched < SEARCH:
        found = people.again(picture, squares, detector)
    if not found or len(found) < len(seen):
        found = people.search(picture, detector, squares)
        searched = seconds
    now = _walked(walkers, [one.square for one in found], seconds)
    return Following(now, glimpse, seconds, searched), found


def _walked(
    walkers: tuple[Walker, ...], squares: list[Crop], seconds: float
) -> tuple[Walker, ...]:
    """Who is followed after a frame with people in these squares."""
    middles = np.array([one.expected(seconds).center for one in walkers])
    far = [np.linalg.norm(middles.reshape(-1, 2) - s.center, axis=1) for s in squares]
    sides = np.array([[square.side] for square in squares])
    distance = np.array(far).reshape(len(squares), len(walkers))
    distance[distance > _STEP * sides.reshape(-1, 1)] = np.inf
    owners = moving.nearest(distance)
    now = []
    for i, square in enumerate(squares):
        velocity = np.zeros(2)
        if i in owners:
            before = walkers[owners[i]]
            way = square.center - before.square.center
            velocity = moving.steadied(before.velocity, way, seconds - before.seconds)
        now.append(Walker(square, velocity, seconds))
    lost = [one for k, one in enumerate(walkers) if k not in owners.values()]
    return (*now, *(one for one in lost if seconds - one.seconds <= LOST))


def _holds(picture: Picture, point: np.ndarray) -> bool:
    return bool(np.all((point >= 0) & (point < [picture.width, picture.height])))


def plain(following: Following) -> dict[str, Any]:
    """As values for JSON, to go on from."""
    glimpse = following.glimpse
    return following._asdict() | {
        "walkers": [
            [*square.center, square.side, square.turn, *velocity, seconds]
            for square, velocity, seconds in following.walkers
        ],
        "glimpse": None if glimpse is None else glimpse.tolist(),
    }


def of_plain(values: dict[str, Any]) -> Following:
    """What `plain` gave."""
    walkers = [
        Walker(
            Crop(np.array([x, y]), np.float64(side), turn), np.array([u, v]), seconds
        )
        for x, y, side, turn, u, v, seconds in values["walkers"]
    ]
    glimpse = values["glimpse"]
    return Following(
        tuple(walkers),
        None if glimpse is None else np.array(glimpse, np.float32),
        values["seconds"],
        values["searched"],
    )


def _glimpse(picture: Picture) -> np.ndarray:
    height, width = picture.pixels.shape[:2]
    rows, columns = (max(1, side // _GLIMPSE) for side in (height, width))
    few = picture.pixels[rows // 2 :: rows, columns // 2 :: columns]
    return few.mean(axis=-1, dtype=np.float32)


def _apart(before: np.ndarray, after: np.ndarray) -> float:
    if before.shape != after.shape:
        return np.inf
    return float(np.abs(before - after).mean())
