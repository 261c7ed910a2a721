"""The random numbers of a training iteration, keyed by purpose and example.

A row of noise belongs to an example of the global batch: it is the same however the
batch is split over devices.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxflow.config import TrainConfig
from jaxflow.maths import keys


class Noise(NamedTuple):
    """Every random number of one iteration.

    Attributes:
      critic_z: (5, B, 16) latents of the critic updates' generated poses.
      mix: (5, B, 1) uniform shares of the gradient penalty.
      mmd_z: (B, 16) the normal sample that z is compared with.
      generator_z: (B, 16) latents of the poses that the critic judges for the flow.
      hypothesis_z: (L, B, 16) latents of the hypotheses.
    """

    critic_z: jax.Array
    mix: jax.Array
    mmd_z: jax.Array
    generator_z: jax.Array
    hypothesis_z: jax.Array


def draw_noise(
    key: jax.Array, config: TrainConfig, examples: jax.Array | None = None
) -> Noise:
    """The random numbers of one iteration, keyed by purpose and example.

    Args:
      key: the iteration's typed key.
      config: gives the counts.
      examples: numbers within the global batch of the rows wanted; default all of them.
        A row's noise does not depend on which others are drawn.

    Raises:
      TypeError: a legacy key.
    """
    keys.check_key(key)
    if examples is None:
        examples = jnp.arange(config.batch_size)
    updates = config.critic_updates
    critic_key, mix_key, *others = jax.random.split(key, 5)
    uniform = jax.vmap(lambda k: jax.random.uniform(k, (updates, 1), jnp.float32))
    critic_z = keys.normal_rows(critic_key, examples, (updates, 16))
    mix = uniform(keys.per_example(mix_key, examples))
    mmd_key, generator_key, hypothesis_key = others
    hypothesis_z = keys.normal_rows(hypothesis_key, examples, (config.hypotheses, 16))
    return Noise(
        critic_z=jnp.swapaxes(critic_z, 0, 1),
        mix=jnp.swapaxes(mix, 0, 1),
        mmd_z=keys.normal_rows(mmd_key, examples, (16,)),
        generator_z=keys.normal_rows(generator_key, examples, (16,)),
        hypothesis_z=jnp.swapaxes(hypothesis_z, 0, 1),
    )
