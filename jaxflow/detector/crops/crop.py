"""Which square of a picture the detector sees, and where its pixels lie in the picture.

    a box, keypoints, or a whole picture -> Crop
    Crop: image px <-> crop px (256 x 256) <-> heatmap px (64 x 64), each way exact

The convention, the one HRNet was trained with. Pixel i of any grid stands at the
coordinate i, and grids are scaled about the coordinate 0, which half a pixel is never
added to. With the crop's centre c and side s, both in image pixels,

    crop px = (image px - c) 256 / s + 128         heatmap px = crop px / 4

so c falls on crop px 128 and heatmap px 32, and a picture of 256 x 256 pixels taken as
a whole is its own crop. Next to a convention that scales about the pixels' outer edges
this shifts by (256 / s - 1) / 2 crop pixels: a detector trained one way must be used
that way. A box of a detector or annotator, (x, y, width, height) from its left and top
edge, has its centre at x + width / 2.

A crop may be turned about its centre, so that a body in it stands upright: then
image px - c in the first formula is turned back first. A turn of t carries the crop's
x axis towards the picture's y axis, which points down, so up in the crop is
(sin t, -cos t) in the picture.

The maps between grids are for arrays of any library. On the host they keep float64,
which a picture of 30,000 pixels needs: one float32 step is 0.002 px there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from jaxflow.gaussians.keypoints import CROP_MARGIN
from jaxflow.skeleton import CROP_PER_HEATMAP

CROP_SIZE = 256


class Crop(NamedTuple):
    """Squares of pictures.

    Attributes:
      center: (..., 2) x, y in image px, y down.
      side: (...) image px.
      turn: (...) radians, or 0.0 for squares that are upright.
    """

    center: Any
    side: Any
    turn: Any = 0.0

    def upright(self) -> Crop:
        """The square of the same centre and side that is not turned."""
        return Crop(self.center, self.side)


def from_box(box: npt.ArrayLike, margin: float = CROP_MARGIN) -> Crop:
    """The square around a person's box.

    Args:
      box: (..., 4) left, top, width, height in image px.
      margin: the square's side over the box's longer one.

    Returns:
      Crop (...) in float64.

    Raises:
      ValueError: another shape, a number that is not finite, or a width or height that
        is not positive.
    """
    boxes = np.asarray(box, np.float64)
    if boxes.ndim < 1 or boxes.shape[-1] != 4:
        raise ValueError(
            f"expected boxes (..., 4) of left, top, width, height; got {boxes.shape}"
        )
    if not np.isfinite(boxes).all() or not (boxes[..., 2:] > 0).all():
        raise ValueError(
            "expected finite boxes of left, top, width, height with positive width and "
            f"height; got {boxes.tolist()}"
        )
    center = boxes[..., :2] + boxes[..., 2:] / 2
    return Crop(center, margin * boxes[..., 2:].max(axis=-1))


def of_picture(width: int, height: int) -> Crop:
    """The square around a whole picture, px, which needs no margin: it has one."""
    return from_box([0, 0, width, height], 1.0)


def image_to_crop(points: Any, crop: Crop) -> Any:
    """Image px (..., J, 2) to crop px, for a Crop of shape (...)."""
    scale = CROP_SIZE / crop.side[..., None, None]
    offset = points - crop.center[..., None, :]
    if not _is_upright(crop):
        offset = turned(offset, -crop.turn)
    return offset * scale + CROP_SIZE / 2


def crop_to_image(points: Any, crop: Crop) -> Any:
    """Crop px (..., J, 2) to image px, for a Crop of shape (...)."""
    scale = crop.side[..., None, None] / CROP_SIZE
    offset = (points - CROP_SIZE / 2) * scale
    if not _is_upright(crop):
        offset = turned(offset, crop.turn)
    return offset + crop.center[..., None, :]


def heatmap_to_image(points: Any, crop: Crop) -> Any:
    """Heatmap px (..., J, 2) to image px, for a Crop of shape (...)."""
    return crop_to_image(points * CROP_PER_HEATMAP, crop)


def turned(offsets: Any, turn: Any) -> Any:
    """Offsets (..., J, 2) from the centre, turned by angles (...)."""
    xp = jnp if isinstance(offsets, jax.Array) or isinstance(turn, jax.Array) else np
    angle = xp.asarray(turn)[..., None]
    cos, sin = xp.cos(angle), xp.sin(angle)
    x, y = offsets[..., 0], offsets[..., 1]
    return xp.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def _is_upright(crop: Crop) -> bool:
    """Whether it says so itself; an angle that is computed counts as a turn."""
    return isinstance(crop.turn, float | int) and crop.turn == 0
