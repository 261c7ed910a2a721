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
from typing import Any

import jax
import jax.numpy as jnp

from jaxflow import critic, flow
from jaxflow.config import TrainConfig
from jaxflow.maths import checks
from jaxflow.maths.batching import platform
from jaxflow.training import affine_stage, critic_gradient, objective
from jaxflow.training.noise import Noise
from jaxflow.training.noise import draw_noise as draw_noise
from jaxflow.training.objective import Losses as Losses
from jaxflow.training.state import TrainState, critic_optimizer
from jaxflow.training.updates import flow_update, over_devices, update
from jaxflow.types import Batch


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
    if not config.affine_iterations:
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
    flow_batch = jax.tree.map(lambda array: array[-1], batches)
    critic_loss, judged = jnp.zeros((), batches.pose3d.dtype), None
    if config.loss.gen_weight:  # else nothing listens to the critic
        fakes = _fakes(state, batches, noise, config)
        state, critic_loss = _train_critic(
            state, batches, fakes[:-1], noise.mix, config, rate_scale, average
        )
        judged = objective.judged(state.critic, fakes[-1])
    terms, gradient = objective.gradient(
        state.flow, judged, flow_batch, noise, config, axis_name
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
    fakes: jax.Array,
    mix: jax.Array,
    config: TrainConfig,
    rate_scale: float | jax.Array,
    average: Callable[[Any], Any],
) -> tuple[TrainState, jax.Array]:
    """All critic updates, and their mean loss."""
    rate = config.optimizer.critic_learning_rate * rate_scale
    optimizer = critic_optimizer(config.optimizer)

    def one_update(carry: Any, batch: Any) -> tuple[Any, jax.Array]:
        (params, optimizer_state), (poses, psi) = carry, batch
        loss, gradient = critic_gradient.gradient(
            params, poses, psi, config.loss.gradient_penalty_weight
        )
        carry = update(optimizer, average(gradient), optimizer_state, params, rate)
        return carry, loss

    start = state.critic, state.critic_optimizer
    poses = critic_gradient.rows(batches.pose3d[:-1:2], fakes, mix)
    inputs = poses, critic.kcs(poses)
    # Written out, an update's poses need no copy on a GPU.
    unroll = platform() == "gpu"
    end, critic_losses = jax.lax.scan(one_update, start, inputs, unroll=unroll)
    params, optimizer_state = end
    state = state._replace(critic=params, critic_optimizer=optimizer_state)
    return state, jnp.mean(critic_losses)


def _fakes(
    state: TrainState, batches: Batch, noise: Noise, config: TrainConfig
) -> jax.Array:
    """Generated poses of all critic updates and of the flow's, (6, B, 48).

    The flow stands still while the critic learns, so they are drawn at once.
    """
    z = jnp.concatenate([noise.critic_z, noise.generator_z[None]])
    pose2d, cond = (
        jnp.concatenate([array[1:-1:2], array[-1:]])
        for array in (batches.pose2d, batches.cond)
    )
    poses, _ = flow.inverse(state.flow, z, pose2d, cond, clamp=config.flow.clamp)
    return poses
