"""What training carries from one iteration to the next, and its two optimisers.

Everything else (data order, noise) follows from the seed and ``step``, so this state is
all that a checkpoint needs.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxflow import critic, flow
from jaxflow.config import OptimizerConfig, TrainConfig
from jaxflow.types import Params


class TrainState(NamedTuple):
    """Parameters and optimiser states.

    Attributes:
      step: () int32, iterations done.
      flow: the flow's and encoder's parameters.
      critic: the critic's parameters.
      flow_optimizer: optax state of the flow and encoder together.
      critic_optimizer: optax state of the critic.
      average: running average of ``flow``, or None where none is kept.
    """

    step: jax.Array
    flow: Params
    critic: Params
    flow_optimizer: optax.OptState
    critic_optimizer: optax.OptState
    average: Params | None = None


def shown(state: TrainState) -> str:
    """The field to sample with: the average where there is one."""
    return "flow" if state.average is None else "average"


def init(
    key: jax.Array, config: TrainConfig, params: Params | None = None
) -> TrainState:
    """A fresh state; the same key and configuration give the same state.

    Args:
      key: of all that is drawn.
      config: of the run.
      params: of the flow, to begin with; default drawn ones. The critic is new anyway.
    """
    flow_key, critic_key = jax.random.split(key)
    if params is None:
        params = flow.init(flow_key, config.flow)
    return from_params(
        params, critic.of_width(critic_key, config.critic_hidden), config
    )


def from_params(
    flow_params: Params, critic_params: Params, config: TrainConfig
) -> TrainState:
    """A state at step 0 with the given parameters."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        flow=flow_params,
        critic=critic_params,
        flow_optimizer=flow_optimizer(config.optimizer).init(flow_params),
        critic_optimizer=critic_optimizer(config.optimizer).init(critic_params),
        # A copy of its own: a state's buffers are given away to the next iteration.
        average=jax.tree.map(jnp.copy, flow_params)
        if config.optimizer.average_decay
        else None,
    )


def flow_optimizer(config: OptimizerConfig) -> optax.GradientTransformation:
    """Adam without its learning rate, after clipping each gradient element.

    The released code clips the flow's own weights and not the encoder's; the paper does
    not make the difference. The rate is applied by the step, which knows the epoch.
    """
    clip = optax.clip(config.clip)
    if not config.clip_encoder:
        clip = optax.masked(clip, lambda tree: {n: n != "encoder" for n in tree})
    return optax.chain(clip, _adam(config))


def optimizer(config: OptimizerConfig) -> optax.GradientTransformation:
    """Adam without its learning rate, of one net whose weights may decay."""
    clip = optax.clip(config.clip)
    if config.clip_norm:
        clip = optax.clip_by_global_norm(config.clip_norm)
    decay = [optax.add_decayed_weights(config.weight_decay, _kernels)]
    return optax.chain(clip, _adam(config), *(decay if config.weight_decay else []))


def _kernels(tree: Params) -> Params:
    """Which leaves decay: matrices, not biases."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, tree)


def critic_optimizer(config: OptimizerConfig) -> optax.GradientTransformation:
    """Adam without its learning rate."""
    return _adam(config)


def _adam(config: OptimizerConfig) -> optax.GradientTransformation:
    return optax.scale_by_adam(b1=config.beta1, b2=config.beta2, eps=config.epsilon)
