"""The posterior's density of a pose: the flow read forwards, and its Jacobian.

    pose3d, pose2d, cond -> log-density in nats

The flow is of 48 numbers: 16 joints and, among them, where the pose stands. A pose as
`sample` gives it, relative to its hip, has 45 that count. Its density is the integral
over the three others, wherever the flow would have put it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.config import RELEASED_CLAMP, SoftClamp
from jaxflow.flow import model
from jaxflow.maths import checks, geometry, linalg
from jaxflow.types import Params

_APART = 0.005  # metres, about as far as the place is uncertain
_STEPS = 2  # to the likeliest place; a flow that is linear in it needs one


@checks.promoting
def log_prob(
    params: Params,
    pose3d: jax.typing.ArrayLike,
    pose2d: jax.typing.ArrayLike,
    cond: jax.typing.ArrayLike,
    *,
    observation_scale: float | jax.Array,
    clamp: SoftClamp = RELEASED_CLAMP,
) -> jax.Array:
    """Log-density of the posterior p(pose3d | pose2d, cond).

        log N(z; 0, I) + log N(pose2d_hat; pose2d, scale^2 I) + log|det J|

    with [z, pose2d_hat] = forward(pose3d). With an exact observation the posterior
    lives on a 16-dimensional surface and has no density; the 2D pose is therefore taken
    to carry Gaussian noise.

    Of a vector of 48 numbers this is exact. Of a pose relative to its hip it is the
    integral over where the pose stands in the network's frame, which says nothing of
    the pose: exact where the flow is linear in that, else by Laplace's method about the
    likeliest place (of the models that come with the package within 0.1 nats).

    How to choose the noise: the standard deviation over all 32 numbers of a normalised
    2D pose is 1, so ``observation_scale`` is the detector's error as a share of the
    spread of the joints it found, pixels over ``jnp.std`` of the centred pixels. A
    detector that is off by 5 px in a person whose joints spread by 60 px has about
    0.08. Below the error there really is, plausible poses count as impossible.

    Args:
      params: from `init` or a checkpoint.
      pose3d: (..., 48) network's frame, metres, or (..., 17, 3) metres, camera frame,
        as `sample` gives it. It may have batch axes behind those of pose2d, as
        (..., M, 17, 3) has.
      pose2d: (..., 32) the observed, normalised 2D pose.
      cond: (..., 78) from `condition`.
      observation_scale: standard deviation of the noise of pose2d, normalised units,
        one or (...) of them, above 0 (else the result is NaN: a traced number cannot
        be refused).
      clamp: the soft clamp the parameters were trained with.

    Returns:
      The batch shape of pose3d: nats, a density over the 48 numbers of a vector, or
      over the 45 of a pose (in any orthonormal coordinates of centred vectors).

    Raises:
      TypeError: not floating point, or no parameters.
      ValueError: wrong sizes, leading shapes that differ, or coordinates that no body
        has in metres (where they are no traced values).
    """
    vector, placed = as_vector(params, pose3d)
    pose2d = checks.floating("pose2d", pose2d, (2 * model.size(params) // 3,))
    cond, scale = jnp.asarray(cond), jnp.asarray(observation_scale, vector.dtype)
    batch, shape = pose2d.shape[:-1], vector.shape[:-1]
    checks.one_or_each("observation_scale", scale, batch)
    checks.positive("observation_scale", scale)
    if len(shape) > len(batch) and shape[: len(batch)] == batch == cond.shape[:-1]:
        pose2d, cond = _behind(pose2d, shape), _behind(cond, shape)
        scale = _behind(scale[..., None], shape)[..., 0]
    density = _of_vectors if placed else of_poses
    return density(params, vector, pose2d, cond, scale, clamp=clamp)


def _behind(rows: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Rows (..., n) for batch axes that go on behind theirs: (*shape, n)."""
    axes = tuple(range(rows.ndim - 1, len(shape)))
    return jnp.broadcast_to(jnp.expand_dims(rows, axes), (*shape, rows.shape[-1]))


def as_vector(params: Params, pose3d: jax.typing.ArrayLike) -> tuple[jax.Array, bool]:
    """Poses (..., 48), or (..., 17, 3) centred as the former, and whether they stand.

    Raises:
      TypeError, ValueError: as `log_prob` does.
    """
    length, pose = model.size(params), jnp.asarray(pose3d)
    relative = pose.shape[-2:] == (length // 3 + 1, 3)
    if relative:
        pose = geometry.normalize_pose3d(pose)
    elif pose.ndim > 1 and pose.shape[-1] == 3:
        both = f"(..., {length}) or (..., {length // 3 + 1}, 3)"
        raise ValueError(f"expected pose3d of shape {both}; got {pose.shape}")
    pose = checks.floating("pose3d", pose, (length,))
    checks.human_scale("pose3d", pose)
    return pose, not relative


@functools.partial(jax.jit, static_argnames="clamp")
def _of_vectors(
    params: Params,
    pose3d: jax.Array,
    pose2d: jax.Array,
    cond: jax.Array,
    scale: jax.Array,
    *,
    clamp: SoftClamp,
) -> jax.Array:
    """`log_prob` of vectors, all of one batch shape."""
    checks.same_batch(pose3d=pose3d.shape[:-1], pose2d=pose2d.shape[:-1])
    noise, log_det = _noise(params, pose3d, pose2d, cond, scale, clamp)
    return _normal(noise) + log_det - pose2d.shape[-1] * jnp.log(scale)


@functools.partial(jax.jit, static_argnames="clamp")
def of_poses(
    params: Params,
    pose3d: jax.Array,
    pose2d: jax.Array,
    cond: jax.Array,
    scale: jax.Array,
    *,
    clamp: SoftClamp,
) -> jax.Array:
    """The same of centred vectors, summed over all places where they may stand.

    A pose moved by c has the noise n + A c, nearly or exactly: the integral over c is a
    Gaussian one about its mode, to which Gauss-Newton steps lead.
    """
    checks.same_batch(pose3d=pose3d.shape[:-1], pose2d=pose2d.shape[:-1])
    joints = pose3d.shape[-1] // 3

    def moved(places: jax.Array) -> tuple[jax.Array, jax.Array]:
        poses = pose3d[..., None, :] + jnp.repeat(places, joints, axis=-1)
        pictures, conditions = (
            _behind(rows, poses.shape[:-1]) for rows in (pose2d, cond)
        )
        return _noise(params, poses, pictures, conditions, scale[..., None], clamp)

    here = _Place.at(jnp.zeros((*pose3d.shape[:-1], 3), pose3d.dtype), moved)
    for _ in range(_STEPS):
        there = _Place.at(here.place + here.step, moved)
        here = here.or_denser(there)
    unit = 1.5 * math.log(2 * math.pi * joints)
    return here.density + here.volume + unit - pose2d.shape[-1] * jnp.log(scale)


class _Place(NamedTuple):
    """A pose's log-density where it stands, and the Gaussian around.

    Attributes:
      place: (..., 3) metres.
      density: (...) but for the observation's scale.
      step: (..., 3) to the mode.
      volume: (...) logarithm of the Gaussian's, by that of the standard normal one.
    """

    place: jax.Array
    density: jax.Array
    step: jax.Array
    volume: jax.Array

    @classmethod
    def at(
        cls, place: jax.Array, moved: Callable[[jax.Array], tuple[jax.Array, jax.Array]]
    ) -> _Place:
        """Of the noise (..., P, 48) and log|det J| (..., P) at places (..., P, 3)."""
        # By differences, not derivatives: exact where the flow is linear in the place.
        apart = _APART * jnp.eye(4, 3, k=-1, dtype=place.dtype)
        noises, log_dets = moved(place[..., None, :] + apart)
        noise, log_det = noises[..., 0, :], log_dets[..., 0]
        slope = jnp.swapaxes(noises[..., 1:, :] - noise[..., None, :], -1, -2) / _APART
        precision = linalg.einsum("...ni,...nj->...ij", slope, slope)
        force = -linalg.einsum("...ni,...n->...i", slope, noise)
        step, volume = linalg.solve_positive(precision, force)
        return cls(place, _normal(noise) + log_det, step, -volume / 2)

    def or_denser(self, other: _Place) -> _Place:
        """For each pose the denser of two."""
        denser = other.density > self.density

        def choose(new: jax.Array, old: jax.Array) -> jax.Array:
            axes = range(denser.ndim, new.ndim)
            return jnp.where(jnp.expand_dims(denser, axes), new, old)

        return jax.tree.map(choose, other, self)


def _noise(
    params: Params,
    pose3d: jax.Array,
    pose2d: jax.Array,
    cond: jax.Array,
    scale: jax.Array,
    clamp: SoftClamp,
) -> tuple[jax.Array, jax.Array]:
    """[z, residual / scale] (..., 48), for a standard normal, and log|det J|."""
    z, predicted, log_det = model.forward(params, pose3d, cond, clamp=clamp)
    residual = (predicted - pose2d) / scale[..., None]
    return jnp.concatenate([z, residual], axis=-1), log_det


def _normal(noise: jax.Array) -> jax.Array:
    return jnp.sum(jax.scipy.stats.norm.logpdf(noise), axis=-1)
