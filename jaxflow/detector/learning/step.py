"""How a detector learns: target heatmaps, their loss, one step of Adam.

    crops (B, S, S, 3) uint8, points (B, 16, 2), weight (B, 16) -> loss, next state

The target of a joint is the bump of sigma 2 heatmap px that the Gaussian fits expect of
a sure joint, at the labelled place itself (HRNet's published training rounds it to
whole pixels). The loss is the mean squared difference over the maps of the joints that
count.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.typing
import numpy as np
import optax

from jaxflow.config import MOST_SEED, at_least, at_most, finite, option
from jaxflow.detector.crops import warp
from jaxflow.detector.crops.crop import CROP_SIZE
from jaxflow.detector.learning.examples import Example
from jaxflow.detector.network import hrnet
from jaxflow.detector.network.blocks import MOMENTUM
from jaxflow.detector.network.hrnet import MULTIPLE, STRIDE, HRNetConfig
from jaxflow.gaussians.heatmaps import render_quadratic, start_quadratic
from jaxflow.runs.errors import UserError
from jaxflow.types import Params

_ADAM = optax.scale_by_adam()


@dataclasses.dataclass(frozen=True)
class LearningConfig:
    """What decides a run's trajectory on given annotations; defaults as published."""

    steps: int = option(5000, "optimiser steps in all")
    batch_size: int = option(32, "persons in a batch")
    learning_rate: float = option(1e-3, "of Adam; 1e-4 suits fine-tuning")
    warmup: int = option(5, "steps over which the learning rate rises to its value")
    lower_rate_after: int = option(
        0, "steps after which the learning rate is a tenth; 0: never"
    )
    rotation: float = option(30.0, "degrees, deviation of random turns; 0: none")
    scaling: float = option(0.25, "deviation and bound of random scaling; 0: none")
    mirror: bool = option(True, "mirror half of the examples")
    crop_size: int = option(
        CROP_SIZE, "pixels, a multiple of 32; what the detector is used with is 256"
    )
    seed: int = option(0, "of initial weights, order and random changes")

    def __post_init__(self) -> None:
        """Refuses what cannot be trained with."""
        at_least(self, steps=1, batch_size=1, warmup=0, seed=0, lower_rate_after=0)
        at_most(self, seed=MOST_SEED)
        finite(self, "learning_rate", "rotation")
        if not self.learning_rate > 0:
            raise UserError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0 <= self.scaling < 1:
            raise UserError(f"scaling must be in [0, 1), not {self.scaling}")
        if self.crop_size < MULTIPLE or self.crop_size % MULTIPLE:
            raise UserError(
                f"crop_size must be a multiple of {MULTIPLE}, not {self.crop_size}"
            )

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        lower = 0 < self.lower_rate_after <= step
        risen = min(1.0, (step + 1) / (self.warmup + 1))
        return self.learning_rate * risen * (0.1 if lower else 1.0)


class LearningState(NamedTuple):
    """All that a checkpoint needs.

    Attributes:
      step: () int32, steps done.
      variables: of the network.
      optimizer: Adam's state.
    """

    step: jax.Array
    variables: Params
    optimizer: Any


class Measures(NamedTuple):
    """Of one batch, before its step.

    Attributes:
      loss: mean squared difference.
      error: mean distance of the maps' peaks to the labels, heatmap px.
    """

    loss: jax.Array
    error: jax.Array


def start(variables: Params) -> LearningState:
    """A state before the first step."""
    optimizer = _ADAM.init(variables["params"])
    return LearningState(jnp.zeros((), jnp.int32), variables, optimizer)


def targets(points: jax.Array, size: int) -> jax.Array:
    """Heatmaps (..., size, size) of joints at points (..., 2), heatmap px."""
    quadratic = start_quadratic(jnp.ones_like(points[..., 0]), points)
    return render_quadratic(quadratic, size, size)


def loss(maps: jax.Array, points: jax.Array, weight: jax.Array) -> jax.Array:
    """Mean squared difference of maps (B, J, H, H) to their targets.

    Args:
      maps: as the network gives them.
      points: (B, J, 2) heatmap px.
      weight: (B, J); joints of weight 0 do not count.
    """
    errors = jnp.mean(jnp.square(maps - targets(points, maps.shape[-1])), (-2, -1))
    return jnp.sum(weight * errors) / jnp.maximum(jnp.sum(weight), 1)


def peak_error(maps: jax.Array, points: jax.Array, weight: jax.Array) -> jax.Array:
    """Mean distance of the peaks of (B, J, H, H) to points (B, J, 2), heatmap px."""
    width = maps.shape[-1]
    place = jnp.argmax(maps.reshape(*maps.shape[:-2], -1), axis=-1)
    peak = jnp.stack([place % width, place // width], -1).astype(points.dtype)
    distance = jnp.linalg.norm(peak - points, axis=-1)
    return jnp.sum(weight * distance) / jnp.maximum(jnp.sum(weight), 1)


@functools.partial(jax.jit, static_argnums=3, donate_argnums=0)
def step(
    state: LearningState,
    batch: Example,
    rate: jax.typing.ArrayLike,
    network: HRNetConfig,
) -> tuple[LearningState, Measures]:
    """One step of Adam at a learning rate.

    The memory of the state given is reused for the one returned.
    """
    points = batch.points / STRIDE
    images = warp.normalize(batch.crop)

    def objective(params: Params) -> tuple[jax.Array, tuple[jax.Array, Params]]:
        variables = {**state.variables, "params": params}
        maps, statistics = hrnet.train_heatmaps(variables, images, network)
        return loss(maps, points, batch.weight), (maps, statistics)

    params = state.variables["params"]
    value, gradient = jax.value_and_grad(objective, has_aux=True)(params)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes its counter in
        updates, optimizer = _ADAM.update(gradient, state.optimizer)
    params = jax.tree.map(lambda old, new: old - rate * new, params, updates)
    maps, statistics = value[1]
    variables = {"params": params, "batch_stats": statistics}
    measures = Measures(value[0], peak_error(maps, points, batch.weight))
    return LearningState(state.step + 1, variables, optimizer), measures


@functools.partial(jax.jit, static_argnums=2)
def statistics(
    variables: Params, crops: jax.typing.ArrayLike, network: HRNetConfig
) -> Params:
    """One batch's own means and variances, in the place of the running ones.

    Args:
      variables: of the network.
      crops: (B, S, S, 3) uint8.
      network: its sizes.
    """
    # The running ones move a tenth of the way from 0.
    zeros = jax.tree.map(jnp.zeros_like, variables["batch_stats"])
    blank = {"params": variables["params"], "batch_stats": zeros}
    moved = hrnet.train_heatmaps(blank, warp.normalize(jnp.asarray(crops)), network)[1]
    return jax.tree.map(lambda leaf: leaf / (1 - MOMENTUM), moved)


def pooled(parts: Sequence[Params]) -> Params:
    """The statistics of several batches taken together, from those of each."""

    def of_all(*batches: Params) -> Params:
        mean = np.mean([one["mean"] for one in batches], axis=0)
        square = np.mean([one["var"] + one["mean"] ** 2 for one in batches], axis=0)
        return {"mean": mean, "var": np.maximum(square - mean**2, 0)}

    return jax.tree.map(of_all, *parts, is_leaf=lambda node: "mean" in node)
