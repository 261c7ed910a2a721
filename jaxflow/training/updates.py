"""What an update does with a gradient: optimiser, running average, devices.

state, gradient -> state
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxflow import flow
from jaxflow.config import TrainConfig
from jaxflow.training.state import TrainState, flow_optimizer
from jaxflow.types import Params


def flow_update(
    state: TrainState, gradient: Params, config: TrainConfig, rate_scale: Any
) -> TrainState:
    """The state after an update of the flow with this gradient."""
    params, optimizer_state = update(
        flow_optimizer(config.optimizer),
        flow.trainable(gradient, config.flow),
        state.flow_optimizer,
        state.flow,
        config.optimizer.learning_rate * rate_scale * _share(state.step, config),
    )
    return state._replace(
        average=running_average(
            state.average, params, state.step, config.optimizer.average_decay
        ),
        step=state.step + 1,
        flow=params,
        flow_optimizer=optimizer_state,
    )


def _share(step: jax.Array, config: TrainConfig) -> Any:
    """Of the rate: after the affine layer's stage less, with a warm-up of its own."""
    if not config.affine_iterations:
        return 1.0
    since = (step - config.affine_iterations).astype(jnp.float32)
    risen = jnp.minimum(1.0, (since + 1) / max(config.optimizer.warmup, 1))
    return jnp.where(since < 0, 1.0, config.optimizer.joint_rate * risen)


def running_average(
    average: Params | None, params: Params, step: jax.Array, most_decay: float
) -> Params | None:
    """The average with these parameters; at first it forgets faster.

    Args:
      average: before, or None where none is kept.
      params: new ones.
      step: () int32, iterations done.
      most_decay: per iteration.
    """
    if average is None:
        return None
    done = step.astype(jnp.float32)
    decay = jnp.minimum(most_decay, (1 + done) / (10 + done))
    return jax.tree.map(
        lambda old, new: old + (1 - decay) * (new - old), average, params
    )


def update(
    optimizer: optax.GradientTransformation,
    gradient: Params,
    state: optax.OptState,
    params: Params,
    rate: float | jax.Array,
) -> tuple[Params, optax.OptState]:
    """One step of an optimiser at a rate."""
    # Optax mixes integer counts with floats, which strict promotion refuses.
    with jax.numpy_dtype_promotion("standard"):
        direction, state = optimizer.update(gradient, state, params)
    step = jax.tree.map(lambda leaf: -rate * leaf, direction)
    return optax.apply_updates(params, step), state


def over_devices(tree: Any, axis_name: str | None) -> Any:
    """The mean over the devices of an axis, or the tree itself without one."""
    return tree if axis_name is None else jax.lax.pmean(tree, axis_name)
