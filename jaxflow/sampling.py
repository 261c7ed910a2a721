"""Hypotheses: draw latents, invert the flow, put the hip back.

    pose2d (..., 32), cond (..., 78), key -> (..., M, 17, 3), log-density (..., M)

Paper section 3: repeatedly drawing z ~ N(0, I) and inverting approximates the posterior
over 3D poses. The condition's share of every net is computed once per pose; poses go
through the flow in tiles that fit the cache (`tiling`).
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow import checks, flow, geometry, keys
from jaxflow.config import RELEASED_CLAMP, SoftClamp
from jaxflow.tiling import poses_per_tile
from jaxflow.types import Params


def sample(
    params: Params,
    pose2d: jax.typing.ArrayLike,
    cond: jax.typing.ArrayLike,
    key: jax.Array,
    *,
    num_hypotheses: int = 200,
    temperature: float | jax.Array = 1.0,
    clamp: SoftClamp = RELEASED_CLAMP,
) -> jax.Array:
    """Draws 3D hypotheses for each 2D pose.

    Pure, compiled once per shape; works under jit, vmap and grad. The hypotheses of an
    example depend on its own key, not on its neighbours or on the devices.

    Args:
      params: from `jaxflow.init` or `jaxflow.load_params`.
      pose2d: (..., 32) from `jaxflow.normalize_pose2d`.
      cond: (..., 78) from `jaxflow.condition`.
      key: one typed key, of which example i of the batch uses ``fold_in(key, i)``, or
        one key per example.
      num_hypotheses: M, static.
      temperature: scales the latents; 0 gives the z = 0 pose, the latents' mode.
      clamp: the soft clamp the parameters were trained with.

    Returns:
      (..., M, 17, 3) metres, H36M-17 order, hip at the origin, camera frame (x right,
      y down, z away from the camera).

    Raises:
      TypeError: not floating point, or a legacy key.
      ValueError: wrong sizes, leading shapes that differ, or no hypotheses asked for.

    Source: paper section 3.1; 200 hypotheses as in its section 4.3.
    """
    inputs = _checked(pose2d, cond, key, temperature, num_hypotheses)
    return _sample(params, *inputs, clamp)


class Sampled(NamedTuple):
    """Hypotheses and how likely the flow takes each to be.

    Attributes:
      poses: (..., M, 17, 3) metres, as `sample` returns them.
      log_density: (..., M) nats; see `sample_with_log_density`.
    """

    poses: jax.Array
    log_density: jax.Array


def sample_with_log_density(
    params: Params,
    pose2d: jax.typing.ArrayLike,
    cond: jax.typing.ArrayLike,
    key: jax.Array,
    *,
    num_hypotheses: int = 200,
    temperature: float | jax.Array = 1.0,
    clamp: SoftClamp = RELEASED_CLAMP,
) -> Sampled:
    """The poses of `sample`, bit for bit, and the log-density of each.

        log N(z; 0, I) - log|det J|,    J of the inverse map [z, pose2d] -> pose3d

    Every hypothesis meets the observed 2D pose exactly, so that of the three terms of
    `jaxflow.log_prob` the observation's is the same for all; this is the sum of the
    others: the log-density over the 48 numbers of the network's pose up to a constant,
    which ranks the hypotheses of one 2D pose whatever the observation's noise. The
    z = 0 pose is the latents' mode; where the flow stretches space there, others are
    denser. The density is the model's at temperature one, whatever temperature the
    latents were drawn at.

    Costs as much as sampling twice: a program that returns the log-determinant as well
    rounds the poses differently, and `sample` should stay what it is.

    Args, errors and source as for `sample`.
    """
    inputs = _checked(pose2d, cond, key, temperature, num_hypotheses)
    poses = _sample(params, *inputs, clamp)
    return Sampled(poses, _log_density(params, *inputs, clamp))


def _checked(
    pose2d: jax.typing.ArrayLike,
    cond: jax.typing.ArrayLike,
    key: jax.Array,
    temperature: float | jax.Array,
    num_hypotheses: int,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array, int]:
    """The inputs as arrays, with a key an example; see `sample` for what is refused."""
    pose2d = checks.floating("pose2d", pose2d, (32,))
    cond = checks.floating("cond", cond, (78,))
    batch_shape = checks.same_batch(pose2d=pose2d.shape[:-1], cond=cond.shape[:-1])
    example_keys = keys.for_batch(key, batch_shape)
    num_hypotheses = operator.index(num_hypotheses)
    if num_hypotheses < 1:
        raise ValueError(f"num_hypotheses must be at least 1, not {num_hypotheses}")
    temperature = jnp.asarray(temperature, pose2d.dtype)
    return pose2d, cond, example_keys, temperature, num_hypotheses


@functools.partial(jax.jit, static_argnames=("num_hypotheses", "clamp"))
def _sample(
    params: Params,
    pose2d: jax.Array,
    cond: jax.Array,
    example_keys: jax.Array,
    temperature: jax.Array,
    num_hypotheses: int,
    clamp: SoftClamp,
) -> jax.Array:
    def decode(z: jax.Array, observed: jax.Array, condition: jax.Array) -> jax.Array:
        return hypotheses(params, z, observed, condition, clamp)

    poses = _each_pose(decode, pose2d, cond, example_keys, temperature, num_hypotheses)
    return geometry.denormalize_pose3d(poses)


@functools.partial(jax.jit, static_argnames=("num_hypotheses", "clamp"))
def _log_density(
    params: Params,
    pose2d: jax.Array,
    cond: jax.Array,
    example_keys: jax.Array,
    temperature: jax.Array,
    num_hypotheses: int,
    clamp: SoftClamp,
) -> jax.Array:
    def decode(z: jax.Array, observed: jax.Array, condition: jax.Array) -> jax.Array:
        _, log_det = _inverse(params, z, observed, condition, clamp)
        return jnp.sum(jax.scipy.stats.norm.logpdf(z), axis=-1) - log_det

    return _each_pose(decode, pose2d, cond, example_keys, temperature, num_hypotheses)


def _each_pose(
    decode: Callable[[jax.Array, jax.Array, jax.Array], jax.Array],
    pose2d: jax.Array,
    cond: jax.Array,
    example_keys: jax.Array,
    temperature: jax.Array,
    num_hypotheses: int,
) -> jax.Array:
    """``decode(z (M, 16), pose2d, cond)`` of every 2D pose, its latents its own.

    Returns:
      What it gives, with the batch's axes in front.
    """

    def one_pose(inputs: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        observed, condition, key = inputs
        z = temperature * jax.random.normal(key, (num_hypotheses, 16), observed.dtype)
        return decode(z, observed, condition)

    decoded = jax.lax.map(
        one_pose,
        (pose2d.reshape(-1, 32), cond.reshape(-1, 78), example_keys.reshape(-1)),
        batch_size=poses_per_tile(num_hypotheses),
    )
    return decoded.reshape(*example_keys.shape, *decoded.shape[1:])


def hypotheses(
    params: Params,
    z: jax.Array,
    pose2d: jax.Array,
    cond: jax.Array,
    clamp: SoftClamp,
) -> jax.Array:
    """The poses that one 2D pose's latents stand for.

    Args:
      params: the flow's.
      z: (M, 16).
      pose2d: (32,).
      cond: (78,); its share of the nets is computed once, not M times.
      clamp: the soft clamp of the flow.

    Returns:
      (M, 48) in the network's frame, metres.
    """
    return _inverse(params, z, pose2d, cond, clamp)[0]


def _inverse(
    params: Params,
    z: jax.Array,
    pose2d: jax.Array,
    cond: jax.Array,
    clamp: SoftClamp,
) -> tuple[jax.Array, jax.Array]:
    """`hypotheses`, and the inverse map's log|det J| of each: (M, 48) and (M,)."""
    projected = flow.project(params, cond)
    shared = jax.tree.map(lambda share: share[..., None, :], projected)
    observed = jnp.broadcast_to(pose2d, (*z.shape[:-1], *pose2d.shape))
    output = jnp.concatenate([z, observed], axis=-1)
    return flow.inverse_projected(params, output, shared, clamp)
