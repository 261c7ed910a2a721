"""Hypotheses: draw latents, invert the flow, put the hip back.

    pose2d (..., 32), cond (..., 78), key -> (..., M, 17, 3), log-density (..., M)

Paper section 3: repeatedly drawing and inverting approximates the posterior over 3D
poses. `poses` is the method,

    z ~ N(0, T^2 I);   pose3d = denormalize(inverse([z, pose2d], cond)),

and what else is here makes it fast without changing what it gives: the condition's
share of every net is computed once per pose, `batching.tiled` sends poses through the
flow in tiles that fit the cache, `batching.bucketed` compiles a program for a few
numbers of poses and fills others up, and blocks that are `separate` need no copies.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.typing
import numpy as np

from jaxflow.config import RELEASED_CLAMP, SoftClamp
from jaxflow.flow import affine, model, stack
from jaxflow.maths import batching, checks, geometry, keys
from jaxflow.runs.errors import UserError
from jaxflow.types import Params, Sampled

# Of one pose in one call: 3 GB. Some times more, and the backend ends the process. What
# a command may ask for, `config.MOST_HYPOTHESES`, is far less.
MOST_DRAWN = 2**24


def poses(
    params: Params, z: jax.Array, pose2d: jax.Array, cond: jax.Array, clamp: SoftClamp
) -> jax.Array:
    """The 3D poses that the latents z (..., M, 16) of 2D poses (..., 32) stand for.

    Returns:
      (..., M, 17, 3) as `sample` gives them.
    """
    pose3d = hypotheses(params, z, pose2d, cond, clamp)
    return geometry.denormalize_pose3d(pose3d)


def log_densities(
    params: Params, z: jax.Array, pose2d: jax.Array, cond: jax.Array, clamp: SoftClamp
) -> jax.Array:
    """Of the same hypotheses, (..., M): see `sample_with_log_density`."""
    _, log_det = _inverse(params, z, pose2d, cond, clamp)
    return jnp.sum(jax.scipy.stats.norm.logpdf(z), axis=-1) - log_det


def hypotheses(
    params: Params,
    z: jax.Array,
    pose2d: jax.Array,
    cond: jax.Array,
    clamp: SoftClamp,
    seen: model.Seen | None = None,
    **options: Any,
) -> jax.Array:
    """`poses` in the network's frame, metres: (..., M, 48).

    Args:
      params: the flow's.
      z: (..., M, 16).
      pose2d: (..., 32).
      cond: (..., 78); its share of the nets is computed once, not M times.
      clamp: the soft clamp of the flow.
      seen: `model.see` of cond, where it is at hand.
      **options: of `stack.inverse`: how, not what, it computes.
    """
    columns, _ = _inverse(params, z, pose2d, cond, clamp, seen, **options)
    return jnp.moveaxis(columns, 0, -1)


def _inverse(
    params: Params,
    z: jax.Array,
    pose2d: jax.Array,
    cond: jax.Array,
    clamp: SoftClamp,
    seen: model.Seen | None = None,
    **options: Any,
) -> tuple[jax.Array, jax.Array]:
    """`hypotheses` as columns (48, ..., M), and the log|det J| of each (..., M)."""
    encoded, base = model.see(params, cond) if seen is None else seen
    observed = jnp.moveaxis(pose2d, -1, 0)[..., None]
    observed = jnp.broadcast_to(observed, (*observed.shape[:-1], z.shape[-2]))
    latents = jnp.moveaxis(z, -1, 0)
    if base is not None:
        shift = affine.shift(params["affine"], pose2d, cond)
        latents = latents + jnp.moveaxis(shift, -1, 0)[..., None]
    output = jnp.concatenate([latents, observed])
    encoded = jnp.moveaxis(encoded, -1, 0)[..., None]
    blocks = params["blocks"]
    columns, log_det = stack.inverse(blocks, output, encoded, clamp, **options)
    if base is None:
        return columns, log_det
    layer, count = params["affine"], stack.count(blocks)
    pose, further = affine.after_blocks(layer, columns, base, count)
    return pose, log_det + further


@batching.bucketed
@functools.partial(jax.jit, static_argnames=("decode", "num_hypotheses", "clamp"))
def draw(
    pose2d: jax.Array,
    cond: jax.Array,
    key: jax.Array,
    temperature: jax.Array,
    *,
    params: Params,
    decode: Callable[..., jax.Array],
    num_hypotheses: int,
    clamp: SoftClamp,
) -> jax.Array:
    """``decode`` (`poses`, `log_densities`) of M latents for every 2D pose.

    Checked input; batch axes in front: (..., M, ...).
    """
    batch_shape = pose2d.shape[:-1]
    rows = batching.rows_per_tile()
    decode = functools.partial(decode, stack.separate(params), clamp=clamp)

    def of_tile(pose2d: jax.Array, cond: jax.Array, key: jax.Array) -> jax.Array:
        normal = functools.partial(
            jax.random.normal, shape=(num_hypotheses, 16), dtype=pose2d.dtype
        )
        z = temperature * (jax.vmap(normal) if key.ndim else normal)(key)
        if num_hypotheses <= rows:
            return decode(z, pose2d, cond)
        # One pose has more of them than a tile holds.
        return batching.tiled(lambda z: decode(z, pose2d, cond), rows)(z)

    each = keys.for_batch(key, batch_shape).reshape(-1)
    flat = pose2d.reshape(-1, 32), cond.reshape(-1, 78)
    size = batching.poses_per_tile(num_hypotheses)
    decoded = batching.tiled(of_tile, size)(*flat, each)
    return decoded.reshape(*batch_shape, *decoded.shape[1:])


@checks.promoting
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

    Pure, compiled once per number of hypotheses and bucket of poses; works under jit,
    vmap and grad. The hypotheses of an example depend on its own key, not on its
    neighbours or on the devices.

    Args:
      params: from `jaxflow.init` or `jaxflow.load_params`.
      pose2d: (..., 32) from `jaxflow.normalize_pose2d`.
      cond: (..., 78) from `jaxflow.condition`.
      key: one typed key, of which example i of the batch uses ``fold_in(key, i)``, or
        one key per example.
      num_hypotheses: M, static.
      temperature: scales the latents, 0 or more; 0 gives the z = 0 pose, the latents'
        mode.
      clamp: the soft clamp the parameters were trained with.

    Returns:
      (..., M, 17, 3) metres, H36M-17 order, hip at the origin, camera frame (x right,
      y down, z away from the camera).

    Raises:
      TypeError: not floating point, a legacy key, no parameters, hypotheses that are
        no whole number, or a temperature that is no number.
      ValueError: wrong sizes, leading shapes that differ, no or too many hypotheses
        asked for, several temperatures, or one that is negative or not finite (of a
        traced one nothing is known).

    Source: paper section 3.1; 200 hypotheses as in its section 4.3.
    """
    checks.params(params)
    checks.record("clamp", clamp, SoftClamp)
    inputs, number = checked(pose2d, cond, key, temperature, num_hypotheses)
    static: Any = {"num_hypotheses": number, "clamp": clamp}
    return draw(*inputs, params=params, decode=poses, **static)


@checks.promoting
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
    checks.params(params)
    checks.record("clamp", clamp, SoftClamp)
    inputs, number = checked(pose2d, cond, key, temperature, num_hypotheses)
    static: Any = {"num_hypotheses": number, "clamp": clamp}
    both = poses, log_densities
    return Sampled(*(draw(*inputs, params=params, decode=d, **static) for d in both))


def checked(
    pose2d: jax.typing.ArrayLike,
    cond: jax.typing.ArrayLike,
    key: jax.Array,
    temperature: float | jax.Array,
    num_hypotheses: int,
) -> tuple[tuple[Any, ...], int]:
    """What `draw` takes: arrays, and how many hypotheses; see `sample` for errors."""
    pose2d = checks.floating("pose2d", pose2d, (32,))
    cond = checks.floating("cond", cond, (78,))
    batch_shape = checks.same_batch(pose2d=pose2d.shape[:-1], cond=cond.shape[:-1])
    keys.check_batch(key, batch_shape)
    num_hypotheses = checks.whole("num_hypotheses", num_hypotheses)
    if num_hypotheses < 1:
        raise UserError(f"num_hypotheses must be at least 1, not {num_hypotheses}")
    if num_hypotheses > MOST_DRAWN:
        raise UserError(
            f"num_hypotheses must be at most {MOST_DRAWN}, not {num_hypotheses}"
        )
    # A number stays NumPy's, and is converted where the rest is.
    array = (
        temperature if isinstance(temperature, jax.Array) else np.asarray(temperature)
    )
    checks.one_or_each("temperature", array)
    checks.not_negative("temperature", array)
    arrays = pose2d, cond, key, array.astype(pose2d.dtype)
    return arrays, num_hypotheses
