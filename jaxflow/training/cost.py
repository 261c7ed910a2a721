"""What training costs: floating-point operations, so that methods are compared fairly.

config, method -> operations of an iteration; a budget -> iterations
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxflow.config import TrainConfig
from jaxflow.maths import operations
from jaxflow.runs.errors import UserError
from jaxflow.training.method import Method
from jaxflow.types import Batch, Grouped

PETA = 1e15
_TRIES, _SHARE = 5, 0.5  # of the measure of speed


@functools.lru_cache(maxsize=64)
def per_iteration(
    config: TrainConfig, method: Method, branch: Callable[[list[float]], float] = max
) -> float:
    """Operations of an iteration, see `operations.count`."""
    key = jax.random.key(0)
    state = jax.eval_shape(lambda: method.init(key, config))
    noise = jax.eval_shape(lambda: method.draw_noise(key, config))
    shape = method.batches(config), config.batch_size
    frames = Batch(*(jnp.zeros((*shape, size)) for size in (48, 32, 78)))
    group = jnp.zeros(shape, jnp.int32)
    batches = Grouped(frames, group) if method.groups else frames

    def iteration(state: Any, batches: Any, noise: Any) -> Any:
        return method.iteration(state, batches, noise, config)

    return operations.count(iteration, state, batches, noise, branch=branch)


def of_run(config: TrainConfig, method: Method, iterations: int) -> float:
    """Operations of so many iterations, of which the first may be cheaper ones."""
    first = min(config.affine_iterations, iterations)
    cheap = per_iteration(config, method, min) if first else 0.0
    return first * cheap + (iterations - first) * per_iteration(config, method)


def within(config: TrainConfig, method: Method, petaflop: float) -> TrainConfig:
    """The configuration with as many iterations as a budget allows.

    A method that learns nothing step by step (a rate of 0) stays as it is.

    Args:
      config: of the run.
      method: that is trained.
      petaflop: 1e15 operations.

    Raises:
      UserError: not even one iteration.
    """
    if not config.optimizer.learning_rate:
        return config
    each = per_iteration(config, method) / PETA
    first, budget = config.affine_iterations, petaflop
    if first:
        cheap = per_iteration(config, method, min) / PETA
        first = min(first, int(petaflop / cheap))
        budget -= first * cheap
    iterations = first + int(budget / each)
    if iterations < 1:
        raise UserError(
            f"an iteration of {config.method} costs {each:.2g} petaflop, more than the "
            f"budget of {petaflop:g}; give more, or lower the batch size"
        )
    return dataclasses.replace(config, iterations=iterations)


def of_minutes(minutes: float) -> float:
    """Petaflop that the default device does in some minutes, at half of its speed.

    The speed is that of a large float32 matrix product, in two digits.
    """
    size = 2048
    matrix = jnp.ones((size, size))
    product = jax.jit(jnp.matmul)
    product(matrix, matrix).block_until_ready()
    fastest = math.inf
    for _ in range(_TRIES):
        began = time.perf_counter()
        product(matrix, matrix).block_until_ready()
        fastest = min(fastest, time.perf_counter() - began)
    speed = 2 * size**3 / fastest
    return float(f"{_SHARE * speed * 60 * minutes / PETA:.2g}")
