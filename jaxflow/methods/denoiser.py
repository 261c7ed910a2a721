"""The net that several methods turn noise into poses with.

    x (..., 45), time (...), what is seen (...) -> (..., 45)

    h = SiLU(A x + B time + C seen + b);  each block: h + L-SiLU-dropout-L-SiLU;  L h

What is seen enters by one product, made once a pose however many hypotheses are drawn.
The last layer begins at 0, so that a method begins as what it adds the net to: the
regression's Gaussian, x ~ N(0, I) in whitened coordinates.

FMPose's (Le et al., TMLR 2026) is of this kind, 1,024 wide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxflow.config import NetConfig, TrainConfig
from jaxflow.methods import trunk, whitening
from jaxflow.methods.supervised import ADAM, CONSTANT_RATE, Lesson
from jaxflow.types import Params

_WAVES = 4
TIMES = 1 + 2 * _WAVES
_DRAWN = 1000  # far from the numbers of layers, whose dropout has keys by them

# Our own, for all that this net is used for; the nets of the sources are larger.
SETTINGS: dict[str, Any] = {
    "width": 256,
    "depth": 2,
    "dropout": 0.1,
    "batch_size": 256,
    "iterations": 10_000,
    **ADAM,
    "weight_decay": 1e-2,
    "warmup": 300,
    "average_decay": 0.999,
    **CONSTANT_RATE,
}


def init(key: jax.Array, config: NetConfig, seen: int) -> Params:
    """Parameters; what is seen are so many numbers."""
    names = ["x", "time", "seen"]
    names += [f"block{i}_{side}" for i in range(config.depth) for side in ("in", "out")]
    sizes = {"x": whitening.SIZE, "time": TIMES, "seen": seen}
    net = {
        name: trunk.dense_init(each, sizes.get(name, config.width), config.width)
        for name, each in zip(names, jax.random.split(key, len(names)), strict=True)
    }
    net["out"] = trunk.dense_init(key, config.width, whitening.SIZE, gain=0.0)
    return net


def share_of(net: Params, seen: jax.Array) -> jax.Array:
    """What is seen (..., S) adds to the first layer, (..., W)."""
    return trunk.dense(net["seen"], seen)


def apply(
    net: Params,
    x: jax.Array,
    time: jax.Array | float,
    share: jax.Array,
    drop: Callable[[jax.Array, int], jax.Array] = lambda h, number: h,
) -> jax.Array:
    """The net's output (..., 45).

    Args:
      net: from `init`.
      x: (..., 45).
      time: (...) or (), from 0 to 1.
      share: (..., W) or (W,), from `share_of`.
      drop: leaves numbers out of rows, in training; see `dropping`.
    """
    when = trunk.dense(net["time"], _waves(jnp.asarray(time, x.dtype)))
    h = jax.nn.silu(trunk.dense(net["x"], x) + when + share)
    for i in range((len(net) - 4) // 2):
        inner = jax.nn.silu(trunk.dense(net[f"block{i}_in"], h))
        inner = trunk.dense(net[f"block{i}_out"], drop(inner, i))
        h = h + jax.nn.silu(inner)
    return trunk.dense(net["out"], h)


def dropping(
    lesson: Lesson, config: TrainConfig
) -> Callable[[jax.Array, int], jax.Array]:
    """What leaves out the share of a batch's numbers that is asked for."""
    share = config.net.dropout
    return lambda h, number: trunk.dropped(h, lesson.keys, number, share)


def draws(
    lesson: Lesson, draw: Callable[[jax.Array], tuple[jax.Array, ...]]
) -> tuple[jax.Array, ...]:
    """What each example draws by its own key, stacked."""
    return jax.vmap(lambda key: draw(jax.random.fold_in(key, _DRAWN)))(lesson.keys)


def net(key: jax.Array, config: NetConfig) -> Params:
    """Of a method that needs nothing else, and sees the inputs."""
    return {"net": init(key, config, whitening.inputs())}


def _waves(time: jax.Array) -> jax.Array:
    """(...) -> (..., TIMES): the time itself and its harmonics."""
    angle = 2 * jnp.pi * time[..., None] * jnp.arange(1, 1 + _WAVES, dtype=time.dtype)
    return jnp.concatenate([time[..., None], jnp.sin(angle), jnp.cos(angle)], axis=-1)
