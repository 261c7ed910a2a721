"""What the detector saw, drawn onto the picture: joints, bones, Gaussians.

In: a picture and the people in it. Out: the bytes of a JPEG. Paper figure 2 shows such
ellipses. Drawn by Pillow, which reading the picture needs anyway.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from jaxflow.skeleton import MPII_BONES, MPII_JOINTS

# The colours of ``figures.style``, which would bring Matplotlib, a little brighter.
_LEFT, _RIGHT, _MIDDLE = (64, 158, 224), (240, 118, 54), (216, 222, 230)
_CASING = (16, 20, 26)
_BLANK = (38, 43, 50)

_LONGEST, _SHORTEST = 1600, 480  # px of the drawing's longer side
_SMOOTH = 2  # drawn this much larger, then reduced
_RADII = (1.0, 2.0)  # of the ellipses, in sigmas
_QUALITY = 90


class Figure(NamedTuple):
    """A person to draw, in pixels of the picture, y down.

    Attributes:
      pose2d: (16, 2) MPII order.
      ellipses: (16, 5) centre x, y, longer and shorter half axis at one sigma, and the
        longer one's angle in radians from x towards y.
      side: px of the square that the detector saw; gives the width of lines.
      label: a few letters, or "".
    """

    pose2d: np.ndarray
    ellipses: np.ndarray
    side: float
    label: str = ""


def draw(
    pixels: np.ndarray | None, people: Sequence[Figure], size: tuple[float, float]
) -> bytes:
    """The picture with its people as a JPEG, its longer side 480 to 1600 px.

    Args:
      pixels: (H, W, 3) uint8, of any reduction of the picture, or None for a dark one.
      people: in pixels of the full picture.
      size: width and height of the full picture.
    """
    scale = np.clip(max(size), _SHORTEST, _LONGEST) / max(size)
    width, height = (max(1, round(scale * side)) for side in size)
    if pixels is None:
        picture = Image.new("RGB", (width, height), _BLANK)
    else:
        whole = Image.fromarray(np.ascontiguousarray(pixels))
        picture = whole.resize((width, height), Image.Resampling.BILINEAR)
    for person in people:
        left, top, right, bottom = _around(person, scale, width, height)
        larger = _SMOOTH * (right - left), _SMOOTH * (bottom - top)
        part = picture.crop((left, top, right, bottom))
        # Repeated pixels are what they were again where nothing is drawn on them.
        part = part.resize(larger, Image.Resampling.NEAREST)
        corner = np.array([left / scale, top / scale])
        _person(part, moved(person, -corner), _SMOOTH * scale)
        picture.paste(part.reduce(_SMOOTH), (left, top))
    content = io.BytesIO()
    picture.save(content, format="JPEG", quality=_QUALITY)
    return content.getvalue()


def _around(
    person: Figure, scale: float, width: int, height: int
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is drawn of somebody, px of the drawing."""
    reach = _RADII[-1] * person.ellipses[:, 2:3]
    places = person.ellipses[:, :2]
    ends = np.concatenate([person.pose2d, places - reach, places + reach])
    line = max(1.2, scale * person.side / 150)
    margin = 10 * line + max(12, 6 * line) * max(1.2, 0.8 * len(person.label))
    size = np.array([width, height])
    low = np.clip(np.floor(scale * ends.min(axis=0) - margin), 0, size - 1)
    high = np.clip(np.ceil(scale * ends.max(axis=0) + margin), low + 1, size)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def moved(person: Figure, by: np.ndarray) -> Figure:
    """The person, farther right and down by so many px (2,)."""
    ellipses = np.array(person.ellipses, np.float64)
    ellipses[:, :2] += by
    return person._replace(pose2d=person.pose2d + by, ellipses=ellipses)


def _person(part: Image.Image, person: Figure, scale: float) -> None:
    """Ellipses below, bones above them, joints on top."""
    pen = ImageDraw.Draw(part, "RGBA")  # blends
    points = scale * np.asarray(person.pose2d, np.float64)
    line = max(_SMOOTH * 1.2, scale * person.side / 150)
    for joint, ellipse in enumerate(np.asarray(person.ellipses, np.float64)):
        _ellipse(pen, ellipse, scale, _colour(joint), line)
    for extra, colour in ((line, _CASING), (0, None)):
        for start, end in MPII_BONES:
            ends = [tuple(points[start]), tuple(points[end])]
            inner = colour or _colour(start, end)
            pen.line(ends, fill=(*inner, 255), width=round(line + extra))
    for joint, (x, y) in enumerate(points):
        for radius, colour in ((1.5 * line, _CASING), (line, _colour(joint))):
            box = (x - radius, y - radius, x + radius, y + radius)
            pen.ellipse(box, fill=(*colour, 255))
    if person.label:
        top = points[points[:, 1].argmin()] + (2 * line, -8 * line)
        pen.text(
            tuple(np.maximum(top, 0)),
            person.label,
            fill=(255, 255, 255, 255),
            font_size=max(12.0 * _SMOOTH, 6 * line),
            stroke_width=round(line / 2),
            stroke_fill=(*_CASING, 255),
        )


def _ellipse(
    pen: ImageDraw.ImageDraw,
    ellipse: np.ndarray,
    scale: float,
    colour: tuple[int, int, int],
    line: float,
) -> None:
    """A filled ellipse at one sigma, an outline at two."""
    x, y, longer, shorter, angle = ellipse
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    along, across = longer * np.cos(turn), shorter * np.sin(turn)
    unit = np.column_stack([cos * along - sin * across, sin * along + cos * across])
    inner, outer = (
        (scale * ([x, y] + radius * unit)).ravel().tolist() for radius in _RADII
    )
    pen.polygon(inner, fill=(*colour, 110))
    pen.line(outer + outer[:2], fill=(*colour, 210), width=max(1, round(line / 2)))


def _colour(*joints: int) -> tuple[int, int, int]:
    """Of the body's side that the joints belong to."""
    for letter, colour in (("L", _LEFT), ("R", _RIGHT)):
        if any(MPII_JOINTS[joint].startswith(letter) for joint in joints):
            return colour
    return _MIDDLE
