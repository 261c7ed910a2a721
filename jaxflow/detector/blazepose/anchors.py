"""The person detector's answer: from offsets about anchors to people in its picture.

    boxes (2254, 12), logits (2254,) -> Found: a middle, a point above it, a score

Each anchor tells of one person: four numbers of a box, then four points. Point 0 is the
middle of the hips and point 1 lies straight up the body, on a circle around it all.

Source: MediaPipe's description of its detector (strides 8, 16, 32, 32, 32 of 224 px,
two anchors a cell and layer, in the cell's middle).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

SIZE = 224  # px a side of the picture that the detector takes
_LAYERS = ((8, 2), (16, 2), (32, 6))  # stride, anchors a cell
_POINTS = slice(4, 8)  # of the numbers: points 0 and 1
_CERTAIN = 30.0  # a logit beyond which a score is 0 or 1
LEAST_SCORE = 0.5
_SAME = 0.3  # overlap of circles that are one person


class Found(NamedTuple):
    """People in a picture.

    Attributes:
      middle: (n, 2) between the hips, x, y as shares of the picture.
      above: (n, 2) on the circle around the body.
      score: (n,) in [0.5, 1], falling.
    """

    middle: np.ndarray
    above: np.ndarray
    score: np.ndarray


@functools.cache
def anchors() -> np.ndarray:
    """Their places (2254, 2), x, y in px of 224."""
    places = []
    for stride, count in _LAYERS:
        line = (np.arange(SIZE // stride) + 0.5) * stride
        y, x = np.meshgrid(line, line, indexing="ij")
        cells = np.stack([x, y], axis=-1).reshape(-1, 2)
        places.append(np.repeat(cells, count, axis=0))
    return np.concatenate(places)


def decode(boxes: np.ndarray, logits: np.ndarray) -> Found:
    """The people of one picture, each once.

    Args:
      boxes: (2254, 12) px of 224, about the anchors.
      logits: (2254,).
    """
    score = 1 / (1 + np.exp(-np.clip(logits, -_CERTAIN, _CERTAIN)))
    kept = np.flatnonzero(score >= LEAST_SCORE)
    points = boxes[kept, _POINTS].reshape(-1, 2, 2) + anchors()[kept, None]
    points = points.astype(np.float64) / SIZE
    found = Found(points[:, 0], points[:, 1], score[kept].astype(np.float64))
    return merged(found)


def merged(found: Found) -> Found:
    """Those whose circles overlap as one, at the mean that their scores weigh."""
    rest = np.argsort(-found.score, kind="stable")
    radius = np.linalg.norm(found.above - found.middle, axis=1)
    people = []
    while rest.size:
        first = rest[0]
        alike = overlap(found.middle, radius, first, rest) > _SAME
        alike[0] = True
        group, rest = rest[alike], rest[~alike]
        share = found.score[group] / found.score[group].sum()
        middle, above = share @ found.middle[group], share @ found.above[group]
        people.append((middle, above, found.score[first]))
    if not people:
        return Found(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0))
    return Found(*(np.array(column) for column in zip(*people, strict=True)))


def overlap(
    middle: np.ndarray, radius: np.ndarray, one: int, others: np.ndarray
) -> np.ndarray:
    """Intersection over union of the squares around circle ``one`` and ``others``."""
    low = np.maximum(middle[others] - radius[others, None], middle[one] - radius[one])
    high = np.minimum(middle[others] + radius[others, None], middle[one] + radius[one])
    both = np.prod(np.maximum(high - low, 0), axis=1)
    either = (2 * radius[others]) ** 2 + (2 * radius[one]) ** 2 - both
    return both / np.maximum(either, 1e-12)
