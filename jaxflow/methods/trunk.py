"""The residual net of Martinez et al. (ICCV 2017), which several methods share.

    inputs (B, I) -> features (B, W)

    first: L-BN-ReLU-dropout;  each block: h + [L-BN-ReLU-dropout] twice

Batch normalisation takes its statistics over the whole batch, also where devices share
it, and keeps running means of them, by which single poses are judged. What is dropped
is drawn from each example's own key.

Source: Martinez et al. (ICCV 2017) and the released code; initial weights as He et al.
(ICCV 2015).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Protocol

import jax
import jax.numpy as jnp

from jaxflow.config import NetConfig, TrainConfig
from jaxflow.maths.layers import product
from jaxflow.methods.supervised import Lesson
from jaxflow.training.updates import over_devices
from jaxflow.types import Params

_FORGETS = 0.1  # share of a running statistic that a batch replaces
_EPSILON = 1e-5


def dense_init(
    key: jax.Array, inputs: int, outputs: int, gain: float = math.sqrt(2)
) -> Params:
    """A dense layer: normal weights of deviation gain / sqrt(inputs), no bias."""
    kernel = gain / math.sqrt(inputs) * jax.random.normal(key, (inputs, outputs))
    return {"kernel": kernel, "bias": jnp.zeros(outputs)}


def dense(layer: Params, x: jax.Array) -> jax.Array:
    """(..., inputs) -> (..., outputs)."""
    return product(x, layer["kernel"]) + layer["bias"]


def init(
    key: jax.Array, inputs: int, config: NetConfig, joined: int = 0
) -> tuple[Params, Params]:
    """The layers' parameters, and their running statistics.

    Args:
      key: of the weights.
      inputs: how many.
      config: width and depth.
      joined: how many of the numbers that blocks see do not come from the first layer.
    """
    width, count = config.width, 1 + 2 * config.depth
    keys = jax.random.split(key, count)
    layers, statistics = {}, {}
    for i in range(count):
        size = width if i else width - joined
        layer = dense_init(keys[i], width if i else inputs, size)
        layers[f"layer{i}"] = {**layer, "scale": jnp.ones(size)}
        statistics[f"layer{i}"] = {"mean": jnp.zeros(size), "square": jnp.ones(size)}
    return layers, statistics


def run(norm: Norm, x: jax.Array, joined: jax.Array | None = None) -> jax.Array:
    """(..., I) -> (..., W) of `init`'s layers.

    Args:
      norm: has the layers, and normalises what they give.
      x: (..., I).
      joined: further numbers for the blocks, (..., `init`'s ``joined``) with as many or
        more rows than x.
    """
    layers = norm.layers
    h = norm.activated("layer0", product(x, layers["layer0"]["kernel"]))
    if joined is not None:
        rows = jnp.broadcast_to(h, (*joined.shape[:-1], h.shape[-1]))
        h = jnp.concatenate([rows, joined], axis=-1)
    for i in range(1, len(layers), 2):
        inner = h
        for name in (f"layer{i}", f"layer{i + 1}"):
            inner = norm.activated(name, product(inner, layers[name]["kernel"]))
        h = h + inner
    return h


def dropped(h: jax.Array, keys: jax.Array, number: int, share: float) -> jax.Array:
    """Rows (B, W) of which a share is left out, the rest made larger to make up.

    Args:
      h: the rows.
      keys: (B,) each example's own.
      number: tells one such layer of a net from another.
      share: at least 0 and below 1.
    """
    if not share:
        return h

    def kept(key: jax.Array) -> jax.Array:
        return jax.random.bernoulli(
            jax.random.fold_in(key, number), 1 - share, h.shape[1:]
        )

    return jnp.where(jax.vmap(kept)(keys), h / (1 - share), 0.0)


class Norm(Protocol):
    """What normalises what layers give, (..., W), by their names."""

    @property
    def layers(self) -> Params:
        """Of `init`, or their ``scale`` and ``bias`` alone."""

    def normalised(self, name: str, h: jax.Array) -> jax.Array:
        """Centred, of deviation 1, then the layer's scale and bias."""

    def activated(self, name: str, h: jax.Array) -> jax.Array:
        """The same behind ReLU and, in training, dropout."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """By running statistics, each row by itself.

    Attributes:
      layers: ``scale`` and ``bias`` of each.
      statistics: ``mean`` and ``square`` of each.
    """

    layers: Params
    statistics: Params

    def normalised(self, name: str, h: jax.Array) -> jax.Array:
        """See `Norm`."""
        moments, layer = self.statistics[name], self.layers[name]
        variance = jnp.maximum(moments["square"] - moments["mean"] ** 2, 0)
        centred = (h - moments["mean"]) * jax.lax.rsqrt(variance + _EPSILON)
        return layer["scale"] * centred + layer["bias"]

    def activated(self, name: str, h: jax.Array) -> jax.Array:
        """See `Norm`."""
        return jax.nn.relu(self.normalised(name, h))


@dataclasses.dataclass(frozen=True)
class InTraining:
    """By the batch's own statistics, over all axes but the last.

    Attributes:
      layers: ``scale`` and ``bias`` of each.
      statistics: running ones so far.
      keys: (B,) each example's own.
      dropout: share of the numbers left out.
      axis_name: of the devices that share the batch.
      after: gets the running statistics of the layers that were asked.
    """

    layers: Params
    statistics: Params
    keys: jax.Array
    dropout: float
    axis_name: str | None
    after: Params = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, layers: Params, lesson: Lesson, config: TrainConfig) -> InTraining:
        """Of a net that alone has statistics."""
        statistics, share = lesson.params["statistics"], config.net.dropout
        return cls(layers, statistics, lesson.keys, share, lesson.axis_name)

    def normalised(self, name: str, h: jax.Array) -> jax.Array:
        """See `Norm`."""
        rows = tuple(range(h.ndim - 1))
        moments = {"mean": jnp.mean(h, rows), "square": jnp.mean(h**2, rows)}
        moments = over_devices(moments, self.axis_name)
        self.after[name] = jax.tree.map(
            lambda old, new: old + _FORGETS * (jax.lax.stop_gradient(new) - old),
            self.statistics[name],
            moments,
        )
        return Trained(self.layers, {name: moments}).normalised(name, h)

    def activated(self, name: str, h: jax.Array) -> jax.Array:
        """See `Norm`."""
        h = jax.nn.relu(self.normalised(name, h))
        return dropped(h, self.keys, len(self.after), self.dropout)
