"""The program behind `sampling`: latents of every pose, through the flow in tiles.

    pose2d (..., 32), cond (..., 78), keys -> poses (..., M, 17, 3), densities (..., M)

A tile is some poses with all their hypotheses, or, where one pose has more of them than
a tile holds, a part of one pose's. Tiles are equal, so that one compiled body does all;
what is computed to fill the last one is thrown away.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxflow.config import SoftClamp
from jaxflow.flow import model, stack
from jaxflow.maths import geometry, keys
from jaxflow.maths.batching import even_parts, poses_per_tile, rows_per_tile
from jaxflow.types import Params

# z (b, m, 16), pose2d (b, 32), cond (b, 78) -> (b, m, ...)
_Decode = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


@functools.partial(jax.jit, static_argnames=("num_hypotheses", "clamp"))
def poses(
    params: Params,
    pose2d: jax.Array,
    cond: jax.Array,
    key: jax.Array,
    temperature: jax.Array,
    num_hypotheses: int,
    clamp: SoftClamp,
) -> jax.Array:
    """Hypotheses (..., M, 17, 3) as `sampling.sample` returns them; checked input."""
    separate = stack.separate(params)

    def decode(z: jax.Array, observed: jax.Array, condition: jax.Array) -> jax.Array:
        vectors = hypotheses(separate, z, observed, condition, clamp)
        return geometry.denormalize_pose3d(vectors)

    return _in_tiles(decode, pose2d, cond, key, temperature, num_hypotheses)


@functools.partial(jax.jit, static_argnames=("num_hypotheses", "clamp"))
def log_densities(
    params: Params,
    pose2d: jax.Array,
    cond: jax.Array,
    key: jax.Array,
    temperature: jax.Array,
    num_hypotheses: int,
    clamp: SoftClamp,
) -> jax.Array:
    """Of the same hypotheses, (..., M): see `sampling.sample_with_log_density`."""
    separate = stack.separate(params)

    def decode(z: jax.Array, observed: jax.Array, condition: jax.Array) -> jax.Array:
        _, log_det = _inverse(separate, z, observed, condition, clamp)
        return jnp.sum(jax.scipy.stats.norm.logpdf(z), axis=-1) - log_det

    return _in_tiles(decode, pose2d, cond, key, temperature, num_hypotheses)


def hypotheses(
    params: Params,
    z: jax.Array,
    pose2d: jax.Array,
    cond: jax.Array,
    clamp: SoftClamp,
    **options: Any,
) -> jax.Array:
    """The poses that the latents of some 2D poses stand for.

    Args:
      params: the flow's.
      z: (..., M, 16).
      pose2d: (..., 32).
      cond: (..., 78); its share of the nets is computed once, not M times.
      clamp: the soft clamp of the flow.
      **options: of `stack.inverse`: how, not what, it computes.

    Returns:
      (..., M, 48) in the network's frame, metres.
    """
    columns, _ = _inverse(params, z, pose2d, cond, clamp, **options)
    return jnp.moveaxis(columns, 0, -1)


def _inverse(
    params: Params,
    z: jax.Array,
    pose2d: jax.Array,
    cond: jax.Array,
    clamp: SoftClamp,
    **options: Any,
) -> tuple[jax.Array, jax.Array]:
    """`hypotheses` as columns (48, ..., M), and the log|det J| of each (..., M)."""
    encoded = jnp.moveaxis(model.encode(params, cond), -1, 0)
    observed = jnp.moveaxis(pose2d, -1, 0)[..., None]
    observed = jnp.broadcast_to(observed, (*observed.shape[:-1], z.shape[-2]))
    output = jnp.concatenate([jnp.moveaxis(z, -1, 0), observed])
    return stack.inverse(params, output, encoded[..., None], clamp, **options)


def _in_tiles(
    decode: _Decode,
    pose2d: jax.Array,
    cond: jax.Array,
    key: jax.Array,
    temperature: jax.Array,
    num_hypotheses: int,
) -> jax.Array:
    """``decode`` of every 2D pose with M latents of its own, batch axes in front."""
    batch_shape = pose2d.shape[:-1]
    count = math.prod(batch_shape)
    tiles, size = even_parts(count, poses_per_tile(num_hypotheses))
    decode = _of_one(decode) if size == 1 else decode

    def tiled(array: jax.Array) -> jax.Array:
        flat = array.reshape(count, *array.shape[len(batch_shape) :])
        # Where the last tile is not full, it repeats poses.
        rows = jnp.arange(tiles * size) % max(count, 1)
        filled = flat if tiles * size == count else flat[rows]
        return filled.reshape(tiles, size, *flat.shape[1:])

    def one_tile(inputs: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        observed, condition, own = inputs
        draw = functools.partial(jax.random.normal, shape=(num_hypotheses, 16))
        z = temperature * jax.vmap(lambda k: draw(k, dtype=observed.dtype))(own)
        return _in_parts(decode, z, observed, condition)

    own = keys.for_batch(key, batch_shape)
    inputs = tiled(pose2d), tiled(cond), tiled(own)
    decoded = jax.lax.map(one_tile, inputs)
    flat = decoded.reshape(tiles * size, *decoded.shape[2:])
    return flat[:count].reshape(*batch_shape, *flat.shape[1:])


def _of_one(decode: _Decode) -> _Decode:
    """``decode`` of a single pose, a tenth faster for want of the batch axis."""
    return lambda z, pose2d, cond: decode(z[0], pose2d[0], cond[0])[None]


def _in_parts(
    decode: _Decode, z: jax.Array, pose2d: jax.Array, cond: jax.Array
) -> jax.Array:
    """``decode`` of the latents (b, M, 16), where M alone may be more than a tile."""
    batch, count, length = z.shape
    parts, size = even_parts(count, rows_per_tile())
    if parts == 1:
        return decode(z, pose2d, cond)
    filled = jnp.pad(z, ((0, 0), (0, parts * size - count), (0, 0)))
    split = jnp.swapaxes(filled.reshape(batch, parts, size, length), 0, 1)
    decoded = jax.lax.map(lambda part: decode(part, pose2d, cond), split)
    joined = jnp.swapaxes(decoded, 0, 1)
    return joined.reshape(batch, parts * size, *decoded.shape[3:])[:, :count]
