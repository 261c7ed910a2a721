"""The residual net of Martinez et al. (ICCV 2017), which several methods share.

    inputs (B, I) -> features (B, W)

    first: L-BN-ReLU-dropout;  each block: h + [L-BN-ReLU-dropout] twice

Batch normalisation takes its statistics over the whole batch, also where devices share
it, and keeps running means of them, by which single poses are judged. What is dropped
is drawn from each example's own key.

Source: BASELINES section 1; initial weights as He et al. (ICCV 2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxflow.config import NetConfig, TrainConfig
from jaxflow.maths.layers import precision
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
    return _product(layer, x) + layer["bias"]


def _product(layer: Params, x: jax.Array) -> jax.Array:
    return jnp.matmul(x, layer["kernel"], precision=precision())


def init(key: jax.Array, inputs: int, config: NetConfig) -> tuple[Params, Params]:
    """The layers' parameters, and their running statistics."""
    width, count = config.width, 1 + 2 * config.depth
    keys = jax.random.split(key, count)
    layers, statistics = {}, {}
    for i in range(count):
        layer = dense_init(keys[i], width if i else inputs, width)
        layers[f"layer{i}"] = {**layer, "scale": jnp.ones(width)}
        statistics[f"layer{i}"] = {"mean": jnp.zeros(width), "square": jnp.ones(width)}
    return layers, statistics


def features(layers: Params, statistics: Params, x: jax.Array) -> jax.Array:
    """(..., I) -> (..., W) of trained layers, each row by itself."""

    def activated(name: str, h: jax.Array) -> jax.Array:
        return jax.nn.relu(_normalised(layers[name], h, statistics[name]))

    return _residual(layers, x, activated)


def learning(
    layers: Params,
    statistics: Params,
    x: jax.Array,
    keys: jax.Array,
    *,
    dropout: float,
    axis_name: str | None,
) -> tuple[jax.Array, Params]:
    """The same in training, and the running statistics after it.

    Args:
      layers: from `init`.
      statistics: so far.
      x: (B, I).
      keys: (B,) each example's own.
      dropout: share of the features left out.
      axis_name: of the devices that share the batch.
    """
    after: Params = {}

    def activated(name: str, h: jax.Array) -> jax.Array:
        moments = {"mean": jnp.mean(h, axis=0), "square": jnp.mean(h**2, axis=0)}
        moments = over_devices(moments, axis_name)
        after[name] = jax.tree.map(
            lambda old, new: old + _FORGETS * (jax.lax.stop_gradient(new) - old),
            statistics[name],
            moments,
        )
        h = jax.nn.relu(_normalised(layers[name], h, moments))
        return dropped(h, keys, len(after), dropout)

    return _residual(layers, x, activated), after


def lesson_features(
    layers: Params, lesson: Lesson, config: TrainConfig
) -> tuple[jax.Array, Params]:
    """`learning` of a lesson's inputs."""
    return learning(
        layers,
        lesson.params["statistics"],
        lesson.seen.inputs,
        lesson.keys,
        dropout=config.net.dropout,
        axis_name=lesson.axis_name,
    )


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


def _residual(
    layers: Params, x: jax.Array, activated: Callable[[str, jax.Array], jax.Array]
) -> jax.Array:
    h = activated("layer0", _product(layers["layer0"], x))
    for i in range(1, len(layers), 2):
        inner = h
        for name in (f"layer{i}", f"layer{i + 1}"):
            inner = activated(name, _product(layers[name], inner))
        h = h + inner
    return h


def _normalised(layer: Params, h: jax.Array, moments: Params) -> jax.Array:
    """Centred, of deviation 1, then the layer's scale and bias."""
    variance = jnp.maximum(moments["square"] - moments["mean"] ** 2, 0)
    centred = (h - moments["mean"]) * jax.lax.rsqrt(variance + _EPSILON)
    return layer["scale"] * centred + layer["bias"]
