"""Does the hypotheses' width follow the detector's? One joint at a time made unsure.

    detections, a joint, a covariance -> the same with that joint less surely seen
    hypotheses of such a frame -> does their region hold the truth, and how wide is it

Everything but one joint's detection is kept. A sampler that believes the detector holds
the truth in 90 % of the frames within its 90 % region, however wide the detection is;
one that has learnt a width by heart holds it less and less often. Width alone judges
nothing: what the rest of the body says may be narrower than the detector.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.gaussians import unsure
from jaxflow.maths import checks
from jaxflow.metrics.coverage import lower_median
from jaxflow.skeleton import MPII_TO_H36M

REGIONS = (0.5, 0.9, 0.95)
JOINTS = ("LWrist", "LElbow", "LKnee", "LFoot", "Head")
SIGMAS = (2.1, 3.0, 4.0, 6.0, 8.0, 10.0)  # heatmap pixels
BLOB = 2.0  # the detector's own deviation, which is no uncertainty
_USUAL_AREA = 4.4  # px^2, sx * sy of a sure joint's bump
_MM = 1000.0


class Response(NamedTuple):
    """What a frame's hypotheses say of the joint that was made unsure.

    Attributes:
      held: (..., 3) ones and zeros: the region of each of `REGIONS` holds the truth.
      spread: (..., 3) mm, the hypotheses' standard deviation along x, y, z, with M in
        the denominator (`errors.spread` has M - 1).
    """

    held: jax.Array
    spread: jax.Array


@functools.partial(jax.jit, static_argnames="moved")
def make_unsure(
    pose2d: jax.Array,
    gaussfit: jax.Array,
    joint: jax.typing.ArrayLike,
    covariance: jax.Array,
    normal: jax.Array,
    *,
    moved: bool = True,
) -> tuple[jax.Array, jax.Array]:
    """A frame's detections with one joint less surely seen.

    Its fitted covariance becomes the given one C, and its place moves by an error drawn
    from N(0, C - 2^2 I), which is what a detector that says C errs by.

    Args:
      pose2d: (..., 16, 2) crop pixels.
      gaussfit: (..., 16, 7) heatmap pixels.
      joint: its number in `skeleton.MPII_JOINTS`, which is data: one program serves
        all of them.
      covariance: (..., 2, 2) px^2, pose frame, both deviations at least 2 px.
      normal: (..., 2) standard normal numbers.
      moved: draw the error; without, the place stays as it was.

    Returns:
      Both, changed.
    """
    excess = covariance - BLOB**2 * jnp.eye(2, dtype=covariance.dtype)
    error = unsure.draw_error(excess, normal) if moved else jnp.zeros_like(normal)
    place, fit = unsure.reported(
        pose2d[..., joint, :],
        gaussfit[..., joint, :],
        error,
        jnp.broadcast_to(covariance, (*normal.shape[:-1], 2, 2)),
        area=_USUAL_AREA,
    )
    return pose2d.at[..., joint, :].set(place), gaussfit.at[..., joint, :].set(fit)


@jax.jit
def covariance(
    sigma: jax.typing.ArrayLike,
    aspect: jax.typing.ArrayLike = 1.0,
    angle: jax.typing.ArrayLike = 0.0,
) -> jax.Array:
    """(..., 2, 2) px^2, pose frame, of Gaussians whose longer axis has this deviation.

    Args:
      sigma: (...) heatmap pixels, at least `BLOB`.
      aspect: (...) the longer axis over the shorter one, which is no less than `BLOB`.
      angle: (...) radians from x towards up, of the longer axis.
    """
    sigmas = jnp.stack([sigma, jnp.maximum(sigma / aspect, BLOB)], axis=-1)
    return unsure.covariance_pose_frame(sigmas, angle)


def of_example(
    hypotheses: jax.typing.ArrayLike,
    target: jax.typing.ArrayLike,
    joint: jax.typing.ArrayLike,
) -> Response:
    """What hypotheses of a changed frame say of its joint.

    Args:
      hypotheses: (..., M, 17, 3) metres, hip at the origin.
      target: (..., 17, 3) metres, hip at the origin.
      joint: its number in `skeleton.MPII_JOINTS`, one with a counterpart in H36M-17.

    Raises:
      As ``mpjpe``.
    """
    drawn, truth = _of_joint(hypotheses, target, joint)
    radii, distance = _radii(drawn, truth)
    levels = jnp.asarray(REGIONS, radii.dtype)
    reach = jnp.moveaxis(jnp.quantile(radii, levels, axis=-1), 0, -1)
    held = reach > distance[..., None]
    return Response(held.astype(radii.dtype), _MM * jnp.std(drawn, axis=-2))


def needed(
    hypotheses: jax.typing.ArrayLike,
    target: jax.typing.ArrayLike,
    joint: jax.typing.ArrayLike,
    level: float,
) -> jax.Array:
    """By which factor (...) a region would have to grow to reach the truth.

    Arguments as of `of_example`, and the share of hypotheses that the region holds.
    """
    radii, distance = _radii(*_of_joint(hypotheses, target, joint))
    return distance / jnp.quantile(radii, level, axis=-1)


def _of_joint(
    hypotheses: jax.typing.ArrayLike,
    target: jax.typing.ArrayLike,
    joint: jax.typing.ArrayLike,
) -> tuple[jax.Array, jax.Array]:
    hypotheses = checks.floating("hypotheses", hypotheses, (None, 17, 3))
    target = checks.floating("target", target, (17, 3))
    index = jnp.asarray(MPII_TO_H36M, jnp.int32)[joint]
    return hypotheses[..., index, :], target[..., index, :]


def _radii(drawn: jax.Array, truth: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Distances from the median along each axis: (..., M) and the truth's (...)."""
    centre = lower_median(drawn, axis=-2)
    radii = jnp.linalg.norm(drawn - centre[..., None, :], axis=-1)
    return radii, jnp.linalg.norm(truth - centre, axis=-1)
