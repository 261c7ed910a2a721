"""The flow's objective on one batch, and its gradient.

    params, batch, noise, a critic -> terms, gradient

What the flow makes of the conditions alone is computed once, and so is its gradient.
Then the flow is passed twice. Forward, the batch's poses give their 2D poses (L2D) and
latents (MMD). Backwards, every 2D pose gives what is judged as 3D poses, all of them in
one pass: its hypotheses (L_MB, L_HM, energy), what its own latents stand for (L_det),
and a generated pose (L_gen). The critic has judged that one before, and said which way
it should move, so that the critic sees the whole batch and the pass goes in tiles.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow import critic, losses
from jaxflow.config import TrainConfig
from jaxflow.flow import model, sampling
from jaxflow.maths.batching import dividing_tile
from jaxflow.training.noise import Noise
from jaxflow.types import Batch, Params


class Losses(NamedTuple):
    """An iteration's terms, unweighted scalars; ``critic`` is its updates' mean.

    A term of weight 0 is not computed and reads 0, the critic's too without L_gen.
    """

    l2d: jax.Array
    mmd: jax.Array
    det: jax.Array
    gen: jax.Array
    best_of_m: jax.Array
    heatmap: jax.Array
    critic: jax.Array | float = 0.0
    energy: jax.Array | float = 0.0


class Judged(NamedTuple):
    """What the critic thinks of a batch of generated poses.

    Attributes:
      gen: L_gen, a scalar.
      slope: its gradient, (B, 48).
    """

    gen: jax.Array
    slope: jax.Array


class Latents(NamedTuple):
    """What is to be inverted for each 2D pose of a batch.

    Attributes:
      hypotheses: (B, L, 16).
      own: (B, 16) that the forward pass found for the pose.
      generator: (B, 16) of the pose that the critic has judged.
    """

    hypotheses: jax.Array
    own: jax.Array
    generator: jax.Array


def judged(critic_params: Params, poses: jax.Array) -> Judged:
    """Generated poses (B, 48), by the critic."""
    gen = jax.value_and_grad(
        lambda poses: -jnp.mean(critic.score(critic_params, poses))
    )
    return Judged(*gen(poses))


def gradient(
    params: Params,
    generated: Judged | None,
    batch: Batch,
    noise: Noise,
    config: TrainConfig,
    axis_name: str | None,
) -> tuple[Losses, Params]:
    """The terms of the flow's objective and the gradient of their weighted sum.

    Args:
      params: the flow's.
      generated: poses from ``noise.generator_z``, judged; None without L_gen.
      batch: B examples.
      noise: of the iteration.
      config: static.
      axis_name: the device axis, where B is one device's share.
    """
    if generated is None:
        zeros = jnp.zeros_like(batch.pose3d)
        generated = Judged(jnp.zeros((), zeros.dtype), zeros)
    seen, back = jax.vjp(lambda params: model.see(params, batch.cond), params)
    forward_gradient = jax.grad(forward_terms, argnums=(0, 1), has_aux=True)
    part, (l2d, mmd, own) = forward_gradient(
        params, seen, batch, noise.mmd_z, config, axis_name
    )
    hypotheses = jnp.swapaxes(noise.hypothesis_z, 0, 1)
    latents = Latents(hypotheses, own, noise.generator_z)
    (det, best, heatmap, energy), further = inverse_gradient(
        params, seen, batch, latents, generated.slope, config
    )
    terms = Losses(l2d, mmd, det, generated.gen, best, heatmap, energy=energy)
    rest, by_seen = jax.tree.map(jnp.add, part, further)
    return terms, jax.tree.map(jnp.add, rest, *back(by_seen))


def forward_terms(
    params: Params,
    seen: model.Seen,
    batch: Batch,
    mmd_z: jax.Array,
    config: TrainConfig,
    axis_name: str | None,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """Weighted sum of L2D and MMD; each of them, and the poses' latents (B, 16)."""
    weights = config.loss
    z, predicted, _ = model.latents(
        params, batch.pose3d, batch.cond, config.flow.clamp, seen, for_training=True
    )

    def mmd() -> jax.Array:
        joint = jnp.concatenate([z, jax.lax.stop_gradient(predicted)], axis=-1)
        product = jnp.concatenate([mmd_z, batch.pose2d], axis=-1)
        if axis_name is not None:
            gather = functools.partial(
                jax.lax.all_gather, axis_name=axis_name, axis=0, tiled=True
            )
            joint, product = gather(joint), gather(product)
        return losses.mmd(joint, product, unbiased=weights.unbiased_mmd)

    total, terms = _weighted(
        batch.pose3d.dtype,
        (weights.l2d_weight, lambda: jnp.mean(jnp.abs(predicted - batch.pose2d))),
        (weights.mmd_weight, mmd),
    )
    return total, (*terms, z)


def inverse_gradient(
    params: Params,
    seen: model.Seen,
    batch: Batch,
    latents: Latents,
    slope: jax.Array,
    config: TrainConfig,
) -> tuple[tuple[jax.Array, ...], tuple[Params, model.Seen]]:
    """(det, best-of-M, heatmap, energy) terms, their and L_gen's gradient, in tiles.

    All are means over poses, so gradients of tiles add up: no activation outlives its
    tile, and memory does not grow with the number of hypotheses, nor, but for what the
    conditions alone give, with the batch. Hidden layers do not even last so long: they
    are computed again.

    Args:
      params: the flow's.
      seen: of the batch's conditions.
      batch: B examples.
      latents: of each.
      slope: (B, 48) L_gen's gradient at the generated poses.
      config: static.
    """
    weights = config.loss
    zeros = jax.tree.map(jnp.zeros_like, params)
    zero = jnp.zeros((), batch.pose3d.dtype)
    if not (weights.any_hypotheses or weights.det_weight or weights.gen_weight):
        return (zero,) * 4, (zeros, jax.tree.map(jnp.zeros_like, seen))
    size, number = latents.hypotheses.shape[:2]
    tile = dividing_tile(size, number if weights.any_hypotheses else 1)
    tiles = jax.tree.map(
        lambda array: array.reshape(size // tile, tile, *array.shape[1:]),
        (seen, batch, latents, slope),
    )
    terms_of = functools.partial(_inverse_terms, config=config, batch_size=size)
    tile_gradient = jax.grad(terms_of, argnums=(0, 1), has_aux=True)

    def add(total: Any, inputs: Any) -> tuple[Any, model.Seen]:
        (gradient, by_seen), terms = tile_gradient(params, *inputs)
        return jax.tree.map(jnp.add, total, (terms, gradient)), by_seen

    (terms, gradient), by_seen = jax.lax.scan(add, ((zero,) * 4, zeros), tiles)
    each = jax.tree.map(lambda array: array.reshape(size, *array.shape[2:]), by_seen)
    return terms, (gradient, each)


def _inverse_terms(
    params: Params,
    seen: model.Seen,
    batch: Batch,
    latents: Latents,
    slope: jax.Array,
    config: TrainConfig,
    batch_size: int,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """One tile's share of the terms: of b of batch_size poses."""
    weights = config.loss
    number = latents.hypotheses.shape[1] if weights.any_hypotheses else 0
    used = [latents.hypotheses[:, :number]]
    if weights.det_weight:
        used.append(latents.own[:, None])
    if weights.gen_weight:
        used.append(latents.generator[:, None])
    poses = sampling.hypotheses(
        params,
        jnp.concatenate(used, axis=1),
        batch.pose2d,
        batch.cond,
        config.flow.clamp,
        seen,
        for_training=True,
    )
    hypotheses, generated = poses[:, :number], poses[:, -1]

    def share(each: Callable[..., jax.Array], *arguments: jax.Array) -> jax.Array:
        return jnp.sum(jax.vmap(each)(*arguments)) / batch_size

    def best() -> jax.Array:
        k = min(weights.best_k, hypotheses.shape[1])
        each = functools.partial(losses.pose_best_of_m, k=k)
        return share(each, hypotheses, batch.pose3d)

    def heatmap() -> jax.Array:
        each = functools.partial(
            losses.pose_heatmap_covariance, mask_needs_both=weights.mask_needs_both
        )
        return share(each, hypotheses, batch.cond)

    def energy() -> jax.Array:
        return share(losses.pose_energy_score, hypotheses, batch.pose3d)

    total, terms = _weighted(
        batch.pose3d.dtype,
        (weights.det_weight, lambda: share(_error, poses[:, number], batch.pose3d)),
        (weights.best_of_m_weight, best),
        (weights.heatmap_weight, heatmap),
        (weights.energy_weight, energy),
        (weights.gen_weight, lambda: jnp.sum(slope * generated)),
    )
    return total, terms[:-1]


def _error(pose: jax.Array, true: jax.Array) -> jax.Array:
    """Mean distance of two poses' numbers."""
    return jnp.mean(jnp.abs(pose - true))


def _weighted(
    dtype: jax.typing.DTypeLike, *terms: tuple[float, Callable[[], jax.Array]]
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """The sum of weight * term, and the terms; one of weight 0 is 0, and not made."""
    zero = jnp.zeros((), dtype)
    values = [make() if weight else zero for weight, make in terms]
    counted = [w * value for (w, _), value in zip(terms, values, strict=True) if w]
    total = functools.reduce(jnp.add, counted) if counted else zero
    return total, tuple(values)
