"""A person's picture as a training example: cropped, turned and mirrored at random.

    Labels, person, Change -> crop (S, S, 3), points (16, 2) crop px, weight (16,)

The crop is that of ``crop``: a square around the box, its side 1.25 times the longer
one, whose centre falls on crop px S / 2. A change is applied about that centre, so that
one matrix takes picture to crop,

    crop px = M (image px - centre) + S / 2,   M = (S / side) flip rotation

and labels follow the pixels exactly. Changes are those of HRNet's published training
on MPII, drawn from the seed, the step and the place in the batch: a run that goes on
sees what it would have seen.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from jaxflow.detector.crops import crop
from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.learning.labels import Labels
from jaxflow.detector.readers import pictures
from jaxflow.detector.readers.pictures import Picture
from jaxflow.skeleton import MPII_MIRRORED

# Of the drawn turns so many are made; the others keep the person upright.
_TURNED = 0.6


class Change(NamedTuple):
    """What is done to an example.

    Attributes:
      mirror: left becomes right, and joints take the name of the other side.
      angle: radians, turned about the crop's centre.
      scale: of the square's side; above 1 the person becomes smaller.
    """

    mirror: bool = False
    angle: float = 0.0
    scale: float = 1.0


class Example(NamedTuple):
    """One training example, arrays of NumPy or JAX; batches have a leading axis.

    Attributes:
      crop: (S, S, 3) uint8 RGB.
      points: (16, 2) float32 crop px, MPII order.
      weight: (16,) float32, 1 where the joint is labelled and the crop has it, else 0.
    """

    crop: Any
    points: Any
    weight: Any


def draw_change(
    seed: tuple[int, ...], rotation: float, scaling: float, mirror: bool
) -> Change:
    """A change from a seed of several numbers.

    Args:
      seed: the same gives the same change.
      rotation: standard deviation of the angle in degrees; twice that at most.
      scaling: standard deviation and bound of the scale.
      mirror: whether to mirror half of the examples.
    """
    rng = np.random.default_rng(seed)
    normal, uniform = rng.normal(size=2), rng.uniform(size=2)
    angle = rotation * float(np.clip(normal[0], -2, 2)) if uniform[0] < _TURNED else 0.0
    return Change(
        mirror=bool(mirror and uniform[1] < 0.5),
        angle=math.radians(angle),
        scale=float(np.clip(1 + scaling * normal[1], 1 - scaling, 1 + scaling)),
    )


def make(labels: Labels, person: int, change: Change, size: int) -> Example:
    """One person's example.

    Args:
      labels: of the annotation file.
      person: whom.
      change: what is done to it.
      size: S, the crop's side.

    Raises:
      PictureError: the picture cannot be read.
    """
    square = crop.from_box(labels.box[person])
    square = square._replace(side=square.side * change.scale)
    matrix = _matrix(square, change, size)
    pixels = warp(pictures.read(labels.picture[person]), square, matrix, size)
    centred = labels.points[person] - square.center
    points = (centred @ matrix.T + size / 2).astype(np.float32)
    found = labels.found[person]
    if change.mirror:
        order = list(MPII_MIRRORED)
        points, found = points[order], found[order]
    inside = np.all((points >= 0) & (points <= size - 1), axis=-1)
    return Example(pixels, points, (found & inside).astype(np.float32))


def _matrix(square: Crop, change: Change, size: int) -> np.ndarray:
    """(2, 2): image px from the crop's centre to crop px from it."""
    cos, sin = math.cos(change.angle), math.sin(change.angle)
    turned = np.array([[cos, -sin], [sin, cos]])
    mirrored = np.diag([-1.0 if change.mirror else 1.0, 1.0])
    return size / float(square.side) * mirrored @ turned


def warp(picture: Picture, square: Crop, matrix: np.ndarray, size: int) -> np.ndarray:
    """The crop's pixels (size, size, 3) uint8, bilinear, black outside the picture.

    Where a crop pixel spans two pixels or more, the picture is first averaged over
    blocks of so many, as ``jaxflow.detector.crops.warp`` does it.
    """
    from PIL import Image

    image = Image.fromarray(picture.pixels)
    step, offset = float(picture.step), np.asarray(picture.offset, np.float64)
    back = np.linalg.inv(matrix)  # crop px to image px
    block = int(math.sqrt(abs(np.linalg.det(back))) / step)
    if block > 1:
        image = image.reduce(block)
        offset = offset + step * (block - 1) / 2
        step *= block
    # Pixel i of the image at hand is at offset + step i. Pillow counts from the pixels'
    # edges, half a pixel before their middles, in the crop as in the image.
    back = back / step
    start = (square.center - offset) / step - back @ np.full(2, size / 2 + 0.5) + 0.5
    rows = np.concatenate([back, start[:, None]], axis=1)
    warped = image.transform(
        (size, size),
        Image.Transform.AFFINE,
        tuple(rows.ravel()),
        resample=Image.Resampling.BILINEAR,
    )
    return np.asarray(warped)
