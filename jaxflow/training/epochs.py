"""Which rows of a data set an iteration sees, from the seed and its number alone.

    iteration -> rows (N, B) of the data set

Nothing is carried from one iteration to the next, so a run goes on anywhere, and rows
can be told, and read, before their iteration's turn.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxflow.config import TrainConfig
from jaxflow.runs.errors import UserError
from jaxflow.training import augmentation, shuffling
from jaxflow.training.method import Method

# Of an iteration's key: behind those that `draw_noise` splits it into.
_AUGMENT = 5


class Seeds(NamedTuple):
    """The independent keys of a run, all from its seed."""

    init: jax.Array
    order: jax.Array
    noise: jax.Array


def seeds(seed: int) -> Seeds:
    """Keys for the initial parameters, the data order and the noise."""
    return Seeds(*jax.random.split(jax.random.key(seed), 3))


def iterations_per_epoch(frames: int, config: TrainConfig, method: Method) -> int:
    """Whole iterations that one pass over the data gives (482 on Human3.6M).

    Raises:
      UserError: not even one.
    """
    batches = method.batches(config)
    count = frames // (batches * config.batch_size)
    if count < 1:
        raise UserError(
            f"an iteration takes {batches} batches of {config.batch_size} = "
            f"{batches * config.batch_size} frames, but the data set has only "
            f"{frames}: lower the batch size"
        )
    return count


def rows(
    steps: jax.Array, frames: int, config: TrainConfig, method: Method
) -> jax.Array:
    """Which rows of the data set some iterations see.

    Args:
      steps: (S,) int32 iterations, from 0.
      frames: of the data set.
      config: static.
      method: static.

    Returns:
      (S, N, B) int32, N batches of an iteration.
    """
    each = method.batches(config)
    within = jnp.arange(each * config.batch_size)
    per_epoch = iterations_per_epoch(frames, config, method)
    order_key = seeds(config.seed).order

    def of_one(step: jax.Array) -> jax.Array:
        epoch, number = jnp.divmod(step, per_epoch)
        positions = number * len(within) + within
        return shuffling.rows_at(
            jax.random.fold_in(order_key, epoch), positions, frames
        )

    return jax.vmap(of_one)(steps).reshape(-1, each, config.batch_size)


def change_key(iteration_key: jax.Array) -> jax.Array:
    """The key of how an iteration's frames are changed (`augmentation`)."""
    return jax.random.fold_in(iteration_key, _AUGMENT)


def others(
    steps: jax.Array, frames: int, config: TrainConfig, method: Method
) -> jax.Array:
    """Which rows lend their limbs to those that `rows` gives.

    Args:
      steps: as there, and the next.
      frames: of the data set.
      config: static.
      method: static.

    Returns:
      (S, N, B, G) int32, one for each of `augmentation.GROUPS`.
    """
    examples = jnp.arange(config.batch_size)

    def of_one(step: jax.Array) -> jax.Array:
        key = change_key(jax.random.fold_in(seeds(config.seed).noise, step))
        each = augmentation.frame_keys(key, method.batches(config), examples)
        return augmentation.others(each, frames)

    return jax.vmap(of_one)(steps)
