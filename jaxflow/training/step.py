"""One training iteration as a pure function of its state, batches and noise.

Paper section 3.3: five critic updates, each on a fresh batch of real poses and another
for the generated ones, then one update of the flow and encoder on the sum

    L2D + L_gen + 10 L_MMD + 4 L_det + 4 L_MB + 750 L_HM,

to which the energy score may be added, or may replace L_MB. With ``axis_name`` the
function is one device's part of a data-parallel iteration: gradients are averaged over
the devices, and MMD, which compares all pairs of a batch, sees the rows of all of them.
N devices so make the update that one would.

A weight of 0 takes its term out of the program, not only out of the sum: without L_gen
no critic is trained, without losses of hypotheses none are drawn.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow import critic, flow, losses
from jaxflow.config import TrainConfig
from jaxflow.flow import sampling
from jaxflow.maths import checks
from jaxflow.maths.batching import dividing_tile
from jaxflow.training import affine_stage
from jaxflow.training.noise import Noise
from jaxflow.training.noise import draw_noise as draw_noise
from jaxflow.training.state import TrainState, critic_optimizer
from jaxflow.training.updates import flow_update, over_devices, update
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


def iteration(
    state: TrainState,
    batches: Batch,
    noise: Noise,
    config: TrainConfig,
    *,
    rate_scale: float | jax.Array = 1.0,
    axis_name: str | None = None,
) -> tuple[TrainState, Losses]:
    """One full iteration: the critic's updates, then the flow's.

    Args:
      state: before the iteration.
      batches: pose3d (11, B, 48), pose2d (11, B, 32), cond (11, B, 78); batch 2i is
        real and 2i + 1 fake for critic update i, the last one is the flow's.
      noise: from `draw_noise`.
      config: static.
      rate_scale: multiplies both learning rates (halved late in training).
      axis_name: the device axis, where B is one device's share.

    Returns:
      The state after it, and the loss terms, equal on all devices.

    Raises:
      TypeError: not floating point.
      ValueError: shapes other than the above; names the array.

    Source: paper section 3.3; order and batches as in the released code.
    """
    _check_inputs(batches, noise, config)
    if not (config.flow.affine_hidden and config.affine_iterations):
        return _whole(state, batches, noise, config, rate_scale, axis_name)

    def branch(update: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arrays: update(*arrays[:3], config, arrays[3], axis_name)

    return jax.lax.cond(
        state.step < config.affine_iterations,
        branch(_layer_alone),
        branch(_whole),
        *(state, batches, noise, jnp.asarray(rate_scale, jnp.float32)),
    )


def _whole(
    state: TrainState,
    batches: Batch,
    noise: Noise,
    config: TrainConfig,
    rate_scale: float | jax.Array,
    axis_name: str | None,
) -> tuple[TrainState, Losses]:
    """The critic's updates, then the flow's with all its losses."""
    average = functools.partial(over_devices, axis_name=axis_name)
    critic_loss = jnp.zeros((), batches.pose3d.dtype)
    if config.loss.gen_weight:  # else nothing listens to the critic
        state, critic_loss = _train_critic(
            state, batches, noise, config, rate_scale, average
        )
    flow_batch = jax.tree.map(lambda array: array[-1], batches)
    terms, gradient = _flow_gradient(
        state.flow, state.critic, flow_batch, noise, config, axis_name
    )
    state = flow_update(state, average(gradient), config, rate_scale)
    return state, average(terms._replace(critic=critic_loss))


def _layer_alone(
    state: TrainState,
    batches: Batch,
    noise: Noise,
    config: TrainConfig,
    rate_scale: float | jax.Array,
    axis_name: str | None,
) -> tuple[TrainState, Losses]:
    """The affine layer's update alone; of the losses there is the energy score."""
    latents = noise.hypothesis_z
    gradient, energy = affine_stage.gradient(state, batches, latents, config)
    average = functools.partial(over_devices, axis_name=axis_name)
    state = flow_update(state, average(gradient), config, rate_scale)
    terms = dict.fromkeys(Losses._fields, jnp.zeros_like(energy))
    return state, average(Losses(**{**terms, "energy": energy}))


def _check_inputs(batches: Batch, noise: Noise, config: TrainConfig) -> None:
    """Refuses what is not one iteration's, by name and with both shapes."""
    count, updates = config.batches_per_iteration, config.critic_updates
    rows = batches.pose3d.shape[1] if batches.pose3d.ndim > 1 else 0
    shapes: dict[str, tuple[int | None, ...]] = {
        "pose3d": (count, rows, 48),
        "pose2d": (count, rows, 32),
        "cond": (count, rows, 78),
        "critic_z": (updates, rows, 16),
        "mix": (updates, rows, 1),
        "mmd_z": (rows, 16),
        "generator_z": (rows, 16),
        "hypothesis_z": (None, rows, 16),
    }
    arrays = {**batches._asdict(), **noise._asdict()}
    for name, shape in shapes.items():
        checks.exactly(name, arrays[name], shape)


def _train_critic(
    state: TrainState,
    batches: Batch,
    noise: Noise,
    config: TrainConfig,
    rate_scale: float | jax.Array,
    average: Callable[[Any], Any],
) -> tuple[TrainState, jax.Array]:
    """All critic updates, and their mean loss."""
    rate = config.optimizer.critic_learning_rate * rate_scale
    optimizer = critic_optimizer(config.optimizer)
    real, fake = batches.pose3d[:-1:2], _fakes(state, batches, noise, config)

    def one_update(carry: Any, batch: Any) -> tuple[Any, jax.Array]:
        params, optimizer_state = carry
        loss, gradient = jax.value_and_grad(_critic_loss)(
            params, *batch, config.loss.gradient_penalty_weight
        )
        carry = update(optimizer, average(gradient), optimizer_state, params, rate)
        return carry, loss

    start = state.critic, state.critic_optimizer
    end, critic_losses = jax.lax.scan(one_update, start, (real, fake, noise.mix))
    params, optimizer_state = end
    state = state._replace(critic=params, critic_optimizer=optimizer_state)
    return state, jnp.mean(critic_losses)


def _fakes(
    state: TrainState, batches: Batch, noise: Noise, config: TrainConfig
) -> jax.Array:
    """Generated poses of all critic updates, (5, B, 48).

    The flow stands still while the critic learns, so they are drawn at once.
    """
    pose2d, cond = batches.pose2d[1:-1:2], batches.cond[1:-1:2]
    clamp = config.flow.clamp
    poses, _ = flow.inverse(state.flow, noise.critic_z, pose2d, cond, clamp=clamp)
    return poses


def _critic_loss(
    params: Params, real: jax.Array, fake: jax.Array, mix: jax.Array, weight: float
) -> jax.Array:
    """WGAN-GP objective: low for real-looking real poses."""
    scores = critic.score(params, jnp.stack([fake, real]))
    distance = jnp.mean(scores[0]) - jnp.mean(scores[1])
    penalty = losses.gradient_penalty(params, real, fake, mix, weight=weight)
    return distance + penalty


def _flow_gradient(
    params: Params,
    critic_params: Params,
    batch: Batch,
    noise: Noise,
    config: TrainConfig,
    axis_name: str | None,
) -> tuple[Losses, Params]:
    """The terms of the flow's objective and the gradient of their weighted sum."""
    single = jax.grad(single_pose_terms, has_aux=True)
    gradient, (l2d, mmd, det, gen) = single(
        params, critic_params, batch, noise, config, axis_name
    )
    best = heatmap = energy = jnp.zeros((), batch.pose3d.dtype)
    if config.loss.any_hypotheses:
        (best, heatmap, energy), further = hypothesis_gradient(
            params, batch, noise.hypothesis_z, config
        )
        gradient = jax.tree.map(jnp.add, gradient, further)
    return Losses(l2d, mmd, det, gen, best, heatmap, energy=energy), gradient


def single_pose_terms(
    params: Params,
    critic_params: Params,
    batch: Batch,
    noise: Noise,
    config: TrainConfig,
    axis_name: str | None,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """Weighted sum of the terms with one pose an example, and (L2D, MMD, det, gen)."""
    clamp, weights = config.flow.clamp, config.loss
    z, predicted, _ = flow.forward(params, batch.pose3d, batch.cond, clamp=clamp)
    # One pass for both: the latent found for the pose itself, and a drawn one.
    drawn = [noise.generator_z] if weights.gen_weight else []
    latents = jnp.stack([jax.lax.stop_gradient(z), *drawn])
    shared = (jnp.stack([a] * len(latents)) for a in (batch.pose2d, batch.cond))
    poses, _ = flow.inverse(params, latents, *shared, clamp=clamp)

    def mmd() -> jax.Array:
        joint = jnp.concatenate([z, jax.lax.stop_gradient(predicted)], axis=-1)
        product = jnp.concatenate([noise.mmd_z, batch.pose2d], axis=-1)
        if axis_name is not None:
            gather = functools.partial(
                jax.lax.all_gather, axis_name=axis_name, axis=0, tiled=True
            )
            joint, product = gather(joint), gather(product)
        return losses.mmd(joint, product, unbiased=weights.unbiased_mmd)

    return _weighted(
        batch.pose3d.dtype,
        (weights.l2d_weight, lambda: jnp.mean(jnp.abs(predicted - batch.pose2d))),
        (weights.mmd_weight, mmd),
        (weights.det_weight, lambda: jnp.mean(jnp.abs(poses[0] - batch.pose3d))),
        (weights.gen_weight, lambda: -jnp.mean(critic.score(critic_params, poses[1]))),
    )


def _weighted(
    dtype: jax.typing.DTypeLike, *terms: tuple[float, Callable[[], jax.Array]]
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """The sum of weight * term, and the terms; one of weight 0 is 0, and not made."""
    zero = jnp.zeros((), dtype)
    values = [make() if weight else zero for weight, make in terms]
    counted = [w * value for (w, _), value in zip(terms, values, strict=True) if w]
    total = functools.reduce(jnp.add, counted) if counted else zero
    return total, tuple(values)


def hypothesis_gradient(
    params: Params, batch: Batch, hypothesis_z: jax.Array, config: TrainConfig
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], Params]:
    """(best-of-M, heatmap, energy) terms, their weighted gradient, in tiles of poses.

    All are means over poses, so gradients of tiles add up: no activation outlives its
    tile, and memory does not grow with the batch or the number of hypotheses. Hidden
    layers do not even last so long: they are computed again.
    """
    size = batch.pose3d.shape[0]
    tile = dividing_tile(size, hypothesis_z.shape[0])
    latents = jnp.swapaxes(hypothesis_z, 0, 1)
    tiles = jax.tree.map(
        lambda array: array.reshape(size // tile, tile, *array.shape[1:]),
        (batch, latents),
    )
    tile_gradient = jax.grad(
        functools.partial(_hypothesis_terms, config=config, batch_size=size),
        has_aux=True,
    )

    def add(total: Any, inputs: Any) -> tuple[Any, None]:
        gradient, terms = tile_gradient(params, *inputs)
        return jax.tree.map(jnp.add, total, (terms, gradient)), None

    zeros = jax.tree.map(jnp.zeros_like, params)
    zero = jnp.zeros((), batch.pose3d.dtype)
    total, _ = jax.lax.scan(add, ((zero, zero, zero), zeros), tiles)
    return total


def _hypothesis_terms(
    params: Params,
    batch: Batch,
    latents: jax.Array,
    config: TrainConfig,
    batch_size: int,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """One tile's share of the terms: latents (b, L, 16), b of batch_size poses."""
    weights = config.loss
    hypotheses = sampling.hypotheses(
        params, latents, batch.pose2d, batch.cond, config.flow.clamp, for_training=True
    )

    def best() -> jax.Array:
        k = min(weights.best_k, latents.shape[1])
        each = jax.vmap(losses.pose_best_of_m, in_axes=(0, 0, None))
        return jnp.sum(each(hypotheses, batch.pose3d, k)) / batch_size

    def heatmap() -> jax.Array:
        each = jax.vmap(losses.pose_heatmap_covariance, in_axes=(0, 0, None))
        terms = each(hypotheses, batch.cond, weights.mask_needs_both)
        return jnp.sum(terms) / batch_size

    def energy() -> jax.Array:
        each = jax.vmap(losses.pose_energy_score)
        return jnp.sum(each(hypotheses, batch.pose3d)) / batch_size

    return _weighted(
        batch.pose3d.dtype,
        (weights.best_of_m_weight, best),
        (weights.heatmap_weight, heatmap),
        (weights.energy_weight, energy),
    )
