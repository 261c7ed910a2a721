"""Do hypotheses fit the picture, and is each frame's a person with one skeleton?

In: hypotheses (..., M, 17, 3), H36M-17, metres, hip at the origin, and what the frame
knows of its camera and detections. Out: shares, and mm.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxflow.gaussians import flip_y, unsure
from jaxflow.maths import checks
from jaxflow.maths.geometry import fit_picture, seen_slopes
from jaxflow.skeleton import CROP_PER_HEATMAP, H36M_BONES, H36M_MIRRORED
from jaxflow.types import RawFrames

_NOMINAL = 0.95
# The 95 % ellipse of a Gaussian in the plane: -2 log 0.05.
ELLIPSE = -2 * math.log(1 - _NOMINAL)
_MM = 1000.0


class Consistency(NamedTuple):
    """Of a frame's hypotheses.

    Attributes:
      pictured: (..., 16) MPII-16, whether it is known where the joint's picture lies:
        poses relative to the hip, without a distance, have none.
      inside: (..., 16) share of the hypotheses whose joint's picture lies in the 95 %
        ellipse of its detection; 0 of joints without one.
      truth_inside: (..., 16) whether the true joint's does; likewise.
      bone: (..., 16) mm, standard deviation of a bone's length over the hypotheses: of
        these M, with M in the denominator.
      asymmetry: (...) mm, mean difference of the lengths of a left bone and its right
        counterpart, over hypotheses and pairs.
    """

    pictured: jax.Array
    inside: jax.Array
    truth_inside: jax.Array
    bone: jax.Array
    asymmetry: jax.Array


@checks.promoting
def of_example(hypotheses: jax.Array, seen: RawFrames) -> Consistency:
    """Consistency with the picture, and of the bones.

    The hypotheses stand where the true person does: a pose relative to its hip says
    nothing of that. The picture's scale is the one that fits the detections best. Poses
    in the frame of a camera turned to the crop are seen as from there: then the picture
    is not quite theirs moved and scaled (0.8 heatmap px in the root mean square where
    people are as far off the centre as in ``wild`` sets).

    Args:
      hypotheses: (..., M, 17, 3) metres, hip at the origin.
      seen: of the same frames (...).
    """
    hip = seen.pose3d[..., None, :1, :]
    drawn, true = seen_slopes(_MM * hypotheses + hip), seen_slopes(seen.pose3d)
    focal, origin = fit_picture(true, seen.pose2d)
    pixels = focal[..., None] * drawn + origin[..., None, :, :]
    covariance = flip_y(unsure.covariance_of(seen.gaussfit))
    mean = CROP_PER_HEATMAP * seen.gaussfit[..., 1:3]
    lengths = _MM * _bone_lengths(hypotheses)
    placed = focal * true + origin - mean
    return Consistency(
        pictured=jnp.all(jnp.isfinite(placed), axis=-1).astype(placed.dtype),
        inside=jnp.mean(
            _inside(pixels - mean[..., None, :, :], covariance[..., None, :, :, :]),
            axis=-2,
        ),
        truth_inside=_inside(placed, covariance),
        bone=jnp.std(lengths, axis=-2),
        asymmetry=jnp.mean(
            jnp.abs(
                lengths[..., jnp.asarray(_LEFT)] - lengths[..., jnp.asarray(_RIGHT)]
            ),
            axis=(-2, -1),
        ),
    )


def _inside(offset: jax.Array, covariance: jax.Array) -> jax.Array:
    """Ones and zeros (..., 16): crop pixels (..., 16, 2), heatmap px^2 (..., 2, 2)."""
    x, y = jnp.moveaxis(offset / CROP_PER_HEATMAP, -1, 0)
    xx, xy, yy = covariance[..., 0, 0], covariance[..., 0, 1], covariance[..., 1, 1]
    squared = (yy * x * x - 2 * xy * x * y + xx * y * y) / (xx * yy - xy * xy)
    return (squared < ELLIPSE).astype(offset.dtype)


def _bone_lengths(pose: jax.Array) -> jax.Array:
    """(..., 17, 3) -> (..., 16), in the order of `skeleton.H36M_BONES`."""
    ends = jnp.asarray(H36M_BONES)
    return jnp.linalg.norm(pose[..., ends[:, 1], :] - pose[..., ends[:, 0], :], axis=-1)


def _pairs() -> tuple[list[int], list[int]]:
    """The bones of the left side, and those of the right in the same order."""
    mirrored = [
        H36M_BONES.index((H36M_MIRRORED[a], H36M_MIRRORED[b])) for a, b in H36M_BONES
    ]
    pairs = [(i, other) for i, other in enumerate(mirrored) if i < other]
    left, right = zip(*pairs, strict=True)
    return list(left), list(right)


_LEFT, _RIGHT = _pairs()
