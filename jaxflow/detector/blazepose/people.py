"""Who is in a picture: squares around people, turned so that they stand upright.

    Picture -> search -> Person, Person, ... from left to right
    Picture, squares where they were a moment ago -> again -> Person, ...

1. The person detector sees the whole picture, then tiles of a third of its longer
   side: it finds the most prominent one or two of what it is shown, and nobody who is
   small in it.
2. The pose network sees each of these. Whether somebody is there is its own answer, and
   the best there is: below 0.6 nobody is.
3. Its landmarks give a better square, and a torso and a face by which somebody who was
   found in several tiles is told to be the same: of a portrait the torso's place and
   size are guesses. In it the network looks once more, and what it sees then is what is
   told of the person.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxflow.detector.blazepose import anchors, uncertainty
from jaxflow.detector.blazepose.anchors import Found
from jaxflow.detector.blazepose.detector import BlazePose, Observed, stacked
from jaxflow.detector.blazepose.uncertainty import MIDDLE_OF_HIPS
from jaxflow.detector.crops import crop, warp
from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.crops.turned import DIAGONAL, cut
from jaxflow.detector.crops.warp import Patch
from jaxflow.detector.readers import pictures
from jaxflow.detector.readers.pictures import Picture
from jaxflow.gaussians.skeletons import BLAZEPOSE_33
from jaxflow.maths import batching

PRESENT = 0.6  # the least probability that somebody is there
SURE = 4  # joints, as few as a person can be lifted from
_MARGIN = 1.25  # a square's side over the diameter of the circle around the body
# Tiles are this part of the longer side, and stand at so many a tile's side.
_PART, _OFTEN = 3, 1.5
_LEAST_TILE = 96  # px; what is smaller shows nobody better than the whole did
_SAME_TORSO = 0.5  # mean distance of the torso's joints over its length
_SAME_FACE = 0.2  # mean distance of nose and ears over the torso's length
_NEARLY = 0.7  # overlap of squares that show the same
_ABOVE = MIDDLE_OF_HIPS + 1  # the landmark on the circle
_TORSO = [
    BLAZEPOSE_33.joints.index(side + joint)
    for joint in ("Shoulder", "Hip")
    for side in ("Left", "Right")
]
_FACE = [BLAZEPOSE_33.joints.index(name) for name in ("Nose", "LeftEar", "RightEar")]


class Person(NamedTuple):
    """Somebody who was found.

    Attributes:
      square: around them by their landmarks.
      torso: (4, 2) image px: shoulders, then hips.
      face: (3, 2) image px: nose and ears.
      present: the probability that they are there.
      sure: how many of the sixteen joints were seen.
      tile: the side of the tile that they were found in, px.
      shown: the square that the network was shown.
      seen: what it saw there, () in place of (B,).
    """

    square: Crop
    torso: np.ndarray
    face: np.ndarray
    present: float
    sure: int
    tile: float
    shown: Crop
    seen: Observed


def find(picture: Picture, detector: BlazePose) -> list[Crop]:
    """The squares around the people in a picture, from left to right."""
    return [one.square for one in search(picture, detector)]


def search(
    picture: Picture, detector: BlazePose, known: Sequence[Crop] = ()
) -> list[Person]:
    """The people in a picture, from left to right.

    Args:
      picture: any.
      detector: that finds them.
      known: squares in which somebody probably is.
    """
    tiles = list(_tiles(picture.width, picture.height))
    levels: dict[int, Picture] = {}
    longer = float(max(picture.width, picture.height))
    found = [(square, longer) for square in known]
    found += _squares(_seen(picture, tiles, detector, levels), tiles)
    people = _looked_at(picture, _once(found), detector, levels)
    return again(picture, [one.square for one in people], detector)


def again(
    picture: Picture, squares: Sequence[Crop], detector: BlazePose
) -> list[Person]:
    """Those of whom there is enough to tell, from left to right.

    Args:
      picture: any.
      squares: around people, as they were found, or in a frame a moment before.
      detector: that looks.
    """
    given = [(square, 0.0) for square in squares]
    people = _looked_at(picture, given, detector, None)
    sure = [one for one in people if one.sure >= SURE]
    return sorted(sure, key=lambda one: float(one.square.center[0]))


def _looked_at(
    picture: Picture,
    found: Sequence[tuple[Crop, float]],
    detector: BlazePose,
    levels: dict[int, Picture] | None,
) -> list[Person]:
    """Who is in squares that come with the sides of their tiles, each once."""
    inside, patches = [], []
    for square, tile in found:
        # A guess may lie wholly beyond the border, or be no square at all.
        with contextlib.suppress(ValueError, OverflowError):
            shown = _level(picture, DIAGONAL * square.side, levels)
            patches.append(cut(shown, square))
            inside.append((square, tile))
    if not inside:
        return []
    turns = np.array([square.turn for square, _ in inside], np.float32)
    seen = detector.observe(stacked(patches), turns, PRESENT)
    people = [_person(*pair, seen, i) for i, pair in enumerate(inside)]
    return _merged([one for one in people if one.present >= PRESENT])


def _level(picture: Picture, side: float, levels: dict[int, Picture] | None) -> Picture:
    """The picture, reduced as far as a square of this side allows; not without levels.

    Each reduction is made once, which the squares that overlap share.
    """
    if levels is None:
        return picture
    block = max(1, int(side / crop.CROP_SIZE / picture.step))
    if block not in levels:
        levels[block] = pictures.reduced(picture, block)
    return levels[block]


def _tiles(width: int, height: int) -> Iterator[Crop]:
    """The whole picture, and squares that overlap by a third."""
    yield crop.of_picture(width, height)
    side = np.float64(max(width, height) / _PART)
    if side >= _LEAST_TILE:
        columns, rows = (_middles(size, side) for size in (width, height))
        yield from (Crop(np.array([x, y]), side) for y in rows for x in columns)


def _middles(size: float, side: float) -> np.ndarray:
    """Where tiles of a side stand so that they cover a size."""
    if size <= side:
        return np.array([size / 2])
    count = math.ceil(_OFTEN * (size / side - 1)) + 1
    return np.linspace(side / 2, size - side / 2, count)


def _seen(
    picture: Picture,
    tiles: Sequence[Crop],
    detector: BlazePose,
    levels: dict[int, Picture],
) -> list[Found]:
    """What the person detector finds in each tile."""
    shown = [_level(picture, tile.side, levels) for tile in tiles]

    def look(rows: np.ndarray) -> tuple[Any, Any]:
        patches = stacked([warp.cut(shown[i], tiles[i]) for i in rows])
        return detector.finder(_shown(patches))

    rows = np.arange(len(tiles))
    boxes, logits = batching.apply(look, [rows], (detector.batch,), detector.at_once)
    return [anchors.decode(*both) for both in zip(boxes, logits[..., 0], strict=True)]


@jax.jit
def _shown(patches: Patch) -> jax.Array:
    """What the person detector takes of patches (B, ...)."""
    return warp.sample(patches, anchors.SIZE) / 127.5 - 1


def _squares(
    seen: Sequence[Found], tiles: Sequence[Crop]
) -> Iterator[tuple[Crop, float]]:
    """Everybody's square, and the side of the tile."""
    for found, tile in zip(seen, tiles, strict=True):
        corner = tile.center - tile.side / 2
        for middle, above in zip(found.middle, found.above, strict=True):
            square = around(corner + tile.side * middle, corner + tile.side * above)
            yield square, float(tile.side)


def around(middle: np.ndarray, above: np.ndarray) -> Crop:
    """The square around a body: (2,) its middle, and a point straight up on its circle.

    Both in image px.
    """
    up = np.asarray(above, np.float64) - middle
    side = np.float64(_MARGIN * 2 * max(np.hypot(*up), 1.0))
    return Crop(np.asarray(middle, np.float64), side, math.atan2(up[0], -up[1]))


def _once(found: Sequence[tuple[Crop, float]]) -> list[tuple[Crop, float]]:
    """Without those that are nearly another's, found in a larger tile."""
    middle = np.array([square.center for square, _ in found]).reshape(-1, 2)
    radius = np.array([square.side for square, _ in found]) / 2
    kept: list[int] = []
    for i in range(len(found)):
        alike = anchors.overlap(middle, radius, i, np.array(kept, int))
        if alike.max(initial=0) < _NEARLY:
            kept.append(i)
    return [found[i] for i in kept]


def _person(square: Crop, tile: float, seen: Observed, i: int) -> Person:
    # Landmarks count from the pixels' edges, crops from their middles.
    points = crop.crop_to_image(seen.points[i].astype(np.float64) - 0.5, square)
    better = around(points[MIDDLE_OF_HIPS], points[_ABOVE])
    sure = uncertainty.is_sure(seen.fit[i], seen.peak[i]).sum()
    own = Observed(*(column[i] for column in seen))
    present = float(seen.present[i])
    places = points[_TORSO], points[_FACE]
    return Person(better, *places, present, int(sure), tile, square, own)


def _merged(people: Sequence[Person]) -> list[Person]:
    """Everybody once: as of most joints, and of equals of the largest tile."""

    def rank(one: Person) -> tuple[float, float, float]:
        return -one.sure, -one.tile, -one.present

    kept: list[Person] = []
    for one in sorted(people, key=rank):
        if not any(_same(one, other) for other in kept):
            kept.append(one)
    return kept


def _same(one: Person, other: Person) -> bool:
    """Whether two have one torso, or one face; by the larger torso's length."""
    length = max(_length(one.torso), _length(other.torso))

    def apart(here: np.ndarray, there: np.ndarray) -> float:
        return float(np.linalg.norm(here - there, axis=1).mean() / length)

    torso, face = apart(one.torso, other.torso), apart(one.face, other.face)
    return torso <= _SAME_TORSO or face <= _SAME_FACE


def _length(torso: np.ndarray) -> float:
    """From shoulders to hips, or shoulder to shoulder of somebody seen from above."""
    shoulders, hips = torso[:2], torso[2:]
    along = float(np.linalg.norm(shoulders.mean(0) - hips.mean(0)))
    return max(along, float(np.linalg.norm(shoulders[0] - shoulders[1])), 1.0)
