"""People in a film: squares go from one frame's joints to the next.

    Following, the next frame -> Following, its people

A person is looked at in the square that their joints stood in a moment ago, which takes
one look a person. The whole frame is searched, as a picture is, at first, after half a
second for those who are new, where somebody is lost or nobody was there, and after a
cut.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jaxflow.detector.blazepose import people
from jaxflow.detector.blazepose.detector import BlazePose
from jaxflow.detector.blazepose.people import Person
from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.readers.pictures import Picture

SEARCH = 0.5  # seconds from one search to the next, and of what a square is good for
_GLIMPSE = 24  # pixels along each axis by which a cut is known
_CUT = 40.0  # of 255: their mean difference, above which a frame is another shot's


class Following(NamedTuple):
    """What is known of the frame before.

    Attributes:
      squares: around its people.
      glimpse: (n, m) a few of its pixels, grey; None before the first frame.
      seconds: its time.
      searched: the time of the last frame that was searched.
    """

    squares: tuple[Crop, ...] = ()
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
    known = before.squares if seconds - before.seconds <= SEARCH else ()
    if before.glimpse is None or _apart(before.glimpse, glimpse) > _CUT:
        known = ()
    found: list[Person] = []
    searched = before.searched
    if known and seconds - searched < SEARCH:
        found = people.again(picture, known, detector)
    if not found or len(found) < len(known):
        found = people.search(picture, detector, known)
        searched = seconds
    squares = tuple(one.square for one in found)
    return Following(squares, glimpse, seconds, searched), found


def plain(following: Following) -> dict[str, Any]:
    """As values for JSON, to go on from."""
    glimpse = following.glimpse
    return following._asdict() | {
        "squares": [[*s.center, s.side, s.turn] for s in following.squares],
        "glimpse": None if glimpse is None else glimpse.tolist(),
    }


def of_plain(values: dict[str, Any]) -> Following:
    """What `plain` gave."""
    squares = [
        Crop(np.array([x, y]), np.float64(side), turn)
        for x, y, side, turn in values["squares"]
    ]
    glimpse = values["glimpse"]
    return Following(
        tuple(squares),
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
