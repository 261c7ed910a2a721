"""One pose by a residual net (Martinez et al., ICCV 2017), and its error's covariance.

    pose3d = f(c),    hypotheses f(c) + L e,    e ~ N(0, T^2 I)

f is the net of `trunk`, trained by the squared error of poses whose numbers are each
standardised, as published: 1,024 wide, two blocks, dropout 0.5, Adam at 1e-3, batches
of 64, 200 epochs. At temperature 0 all hypotheses are f(c), the method alone; otherwise
they differ by one covariance, that of what the regression of `whitening` leaves on
people it was not made of: `jaxflow.calibrate` scales it to what this net leaves.

Changed for the harness: the condition is seen, too; the gradient's norm is bounded by
1, as in the PyTorch port, not the weights'; the rate is not lowered by its 4 % per
100,000 iterations. Source: Martinez et al. (ICCV 2017) and the released code.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxflow.config import NetConfig, TrainConfig
from jaxflow.methods import trunk, whitening
from jaxflow.methods.supervised import ADAM, CONSTANT_RATE, Learned, Lesson, Supervised
from jaxflow.methods.whitening import Asked, Seen
from jaxflow.types import Params


class Losses(NamedTuple):
    """Mean squared error of a standardised number."""

    squared: jax.Array


def net(key: jax.Array, config: NetConfig) -> Params:
    """The trunk and a dense layer to the pose."""
    trunk_key, head_key = jax.random.split(key)
    layers, statistics = trunk.init(trunk_key, whitening.inputs(), config)
    head = trunk.dense_init(head_key, config.width, whitening.POSE)
    return {"net": {"trunk": layers, "pose": head}, "statistics": statistics}


def loss(net: Params, lesson: Lesson, config: TrainConfig) -> tuple[jax.Array, Learned]:
    """The squared error."""
    norm = trunk.InTraining.of(net["trunk"], lesson, config)
    hidden = trunk.run(norm, lesson.seen.inputs)
    units = lesson.params["whitening"]["pose"]
    target = (lesson.batch.pose3d - units["place"]) / units["scale"]
    squared = jnp.mean((trunk.dense(net["pose"], hidden) - target) ** 2)
    return squared, Learned(Losses(squared), norm.after)


def draw(params: Params, seen: Seen, how: Asked, config: NetConfig) -> jax.Array:
    """See `Supervised`."""
    del config
    key, temperature, num_hypotheses = how
    net, units = params["net"], params["whitening"]["pose"]
    norm = trunk.Trained(net["trunk"], params["statistics"])
    hidden = trunk.run(norm, seen.inputs)
    pose = units["place"] + units["scale"] * trunk.dense(net["pose"], hidden)
    noise = temperature * jax.random.normal(key, (num_hypotheses, whitening.SIZE))
    return whitening.pose(params["whitening"], noise, pose)


PUBLISHED: dict[str, Any] = {
    "width": 1024,
    "depth": 2,
    "dropout": 0.5,
    "batch_size": 64,
    "epochs": 200,
    **ADAM,
    **CONSTANT_RATE,
}

METHOD = Supervised("regression", Losses, net, loss, draw, published=PUBLISHED)
