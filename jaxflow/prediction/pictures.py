"""Pictures of lifted people: what the detector saw, and what it made of it.

Lifted -> JPEG of a frame with skeletons and ellipses; of the frame alone; of a
          person's crop

Frames of keypoint files are read from disk here, and only if they are drawn.
"""

from __future__ import annotations

import io
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxflow.detector.crops import crop, warp
from jaxflow.detector.crops.crop import CROP_SIZE
from jaxflow.detector.readers import pictures
from jaxflow.detector.readers.pictures import Picture
from jaxflow.prediction.records import Lifted
from jaxflow.reporting.figures import overlay
from jaxflow.reporting.viewer import viewer
from jaxflow.runs import files

_QUALITY = 85
_LONGEST = 1280  # px of a frame that is kept


def frame(people: Sequence[Lifted]) -> bytes | None:
    """A frame with its people.

    Args:
      people: at least one, all of one frame. Without a picture they are drawn on a dark
        ground that is as large as what is known of it.

    Returns:
      A JPEG; None where the picture cannot be read.
    """
    figures = [_figure(person, len(people) > 1) for person in people]
    try:
        picture = _picture(people[0])
    except (OSError, ValueError):
        return None
    if picture is not None:
        return overlay.draw(picture.pixels, figures, (picture.width, picture.height))
    corners = np.array([person.seen.square.center for person in people])
    sides = np.array([[person.seen.square.side] for person in people])
    low, high = (corners - sides / 2).min(axis=0), (corners + sides / 2).max(axis=0)
    moved = [overlay.moved(figure, -low) for figure in figures]
    return overlay.draw(None, moved, (high[0] - low[0], high[1] - low[1]))


def alone(people: Sequence[Lifted]) -> bytes | None:
    """The frame that people are in, reduced.

    Args:
      people: at least one, all of one frame.

    Returns:
      A JPEG whose comment is the picture's own width and height, px; None where there
      is no picture, or it cannot be read.
    """
    try:
        picture = _picture(people[0])
    except (OSError, ValueError):
        return None
    if picture is None:
        return None
    return _reduced(
        np.ascontiguousarray(picture.pixels),
        min(1.0, _LONGEST / max(picture.width, picture.height)),
        f"{picture.width} {picture.height}",
    )


def _reduced(pixels: np.ndarray, scale: float, comment: str) -> bytes:
    """A JPEG of at most a scale of the size that its comment tells."""
    from PIL import Image

    width, height = (round(scale * float(side)) for side in comment.split())
    wanted = max(1, width), max(1, height)
    image = Image.fromarray(pixels)
    if image.size != wanted:
        image = image.resize(wanted, Image.Resampling.BILINEAR)
    content = io.BytesIO()
    image.save(content, format="JPEG", quality=_QUALITY, comment=comment.encode())
    return content.getvalue()


class Kept(NamedTuple):
    """A frame of `alone`: its bytes, and width and height (2,) of the picture, px."""

    content: bytes
    size: np.ndarray


def kept(content: bytes, most: float) -> Kept | None:
    """A frame of `alone` in at most about so many bytes; None of any other."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            comment = bytes(image.info["comment"]).decode()
            size = np.array([float(side) for side in comment.split()])
            if len(content) > most:
                scale = image.size[0] / size[0] * 0.95 * (most / len(content)) ** 0.5
                content = _reduced(np.asarray(image), scale, comment)
    except (OSError, ValueError, KeyError):
        return None
    return Kept(content, size) if size.shape == (2,) and size.min() > 0 else None


def name_of(file: str, frame: int) -> str:
    """What drawings of a frame are called in their folder."""
    return f"{files.short(pathlib.PurePath(file).stem)}-{frame:06d}.jpg"


def _figure(person: Lifted, labelled: bool) -> overlay.Figure:
    """The person in px of the picture."""
    square, side = person.seen.square, float(person.seen.square.side)
    ellipses = viewer.ellipses(person.fit).astype(np.float64)
    ellipses[:, :2] = crop.crop_to_image(ellipses[:, :2], square)
    ellipses[:, 2:4] *= side / CROP_SIZE
    label = str(person.seen.person) if labelled else ""
    return overlay.Figure(person.pose2d, ellipses, side, label)


def _picture(person: Lifted) -> Picture | None:
    picture = person.seen.picture
    return pictures.read(picture) if isinstance(picture, pathlib.Path) else picture


def crop_of(person: Lifted) -> bytes | None:
    """The 256 x 256 px that the detector saw, or would have seen, as a JPEG.

    None where there is no picture, or it cannot be read or does not hold the person.
    """
    pixels = person.crop
    if pixels is None:
        try:
            picture = _picture(person)
            if picture is None:
                return None
            pixels = np.asarray(warp.crops(picture, person.seen.square))[0]
        except (OSError, ValueError):
            return None
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="JPEG", quality=_QUALITY)
    return content.getvalue()
