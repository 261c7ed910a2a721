"""Pictures of lifted people: what the detector saw, and what it made of it.

Lifted -> JPEG of a frame with skeletons and ellipses; JPEG of a person's crop

Frames of keypoint files are read from disk here, and only if they are drawn.
"""

from __future__ import annotations

import io
import pathlib
from collections.abc import Sequence

import numpy as np

from jaxflow.detector.crops import crop, warp
from jaxflow.detector.crops.crop import CROP_SIZE
from jaxflow.detector.readers import pictures
from jaxflow.detector.readers.pictures import Picture
from jaxflow.prediction.records import Lifted
from jaxflow.reporting.figures import overlay
from jaxflow.reporting.viewer import viewer

_QUALITY = 85


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
    moved = [_moved(figure, -low) for figure in figures]
    return overlay.draw(None, moved, (high[0] - low[0], high[1] - low[1]))


def _figure(person: Lifted, labelled: bool) -> overlay.Figure:
    """The person in px of the picture."""
    square, side = person.seen.square, float(person.seen.square.side)
    ellipses = viewer.ellipses(person.fit).astype(np.float64)
    ellipses[:, :2] = crop.crop_to_image(ellipses[:, :2], square)
    ellipses[:, 2:4] *= side / CROP_SIZE
    label = str(person.seen.person) if labelled else ""
    return overlay.Figure(person.pose2d, ellipses, side, label)


def _moved(figure: overlay.Figure, by: np.ndarray) -> overlay.Figure:
    ellipses = figure.ellipses.copy()
    ellipses[:, :2] += by
    return figure._replace(pose2d=figure.pose2d + by, ellipses=ellipses)


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
