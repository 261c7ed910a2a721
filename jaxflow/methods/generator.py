"""A generator of one call, trained by the energy score, whose noise has gates.

    n = g(c) e,  e ~ N(0, I);    r = n + net(n, c),    log g = G k(c),  k = two layers

The noise is multiplied by what is seen before anything else: where the detector is
sure, little enters, and hypotheses lie close. Noise that is merely added to learns to
do that badly. The loss is the energy score of `TrainConfig.hypotheses` poses, which is
proper: no adversary, no density, no inverse. With `NetConfig.winner` it is the error of
the nearest of them alone, which others have trained by: best of many, and spread as
far as that asks, whatever the truth's width.

Temperature scales the noise e.

Not published; the winner's loss is Rupprecht et al.'s (ICCV 2017). The score is
`jaxflow.losses.energy_score`; the net is `denoiser`'s, whose time stands still.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxflow import losses
from jaxflow.config import NetConfig, TrainConfig
from jaxflow.methods import denoiser, trunk, whitening
from jaxflow.methods.supervised import Learned, Lesson, Supervised
from jaxflow.methods.whitening import Asked, Seen
from jaxflow.types import Params

_RANGE = 3.0  # of the gates' logarithms


class Losses(NamedTuple):
    """Metres; what is not learned by reads 0.

    Attributes:
      energy: the energy score.
      winner: the nearest hypothesis's mean absolute error.
    """

    energy: jax.Array
    winner: jax.Array


def net(key: jax.Array, config: NetConfig) -> Params:
    """All gates 1, as the regression's Gaussian."""
    first, second, last = jax.random.split(key, 3)
    width = config.width
    return {
        "net": {
            "first": trunk.dense_init(first, whitening.inputs(), width),
            "second": trunk.dense_init(second, width, width),
            "gates": trunk.dense_init(second, width, whitening.SIZE, gain=0.0),
            "pose": denoiser.init(last, config, seen=width),
        }
    }


def _gates(net: Params, inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Of inputs (..., I): gates (..., 45), and their share of the pose's net."""
    hidden = jax.nn.silu(trunk.dense(net["first"], inputs))
    hidden = jax.nn.silu(trunk.dense(net["second"], hidden))
    logs = jnp.clip(trunk.dense(net["gates"], hidden), -_RANGE, _RANGE)
    return jnp.exp(logs), denoiser.share_of(net["pose"], hidden)


def loss(net: Params, lesson: Lesson, config: TrainConfig) -> tuple[jax.Array, Learned]:
    """Either; what is left out of an example is so for all its hypotheses."""
    size = (config.hypotheses, whitening.SIZE)
    (noise,) = denoiser.draws(lesson, lambda key: (jax.random.normal(key, size),))
    gates, share = _gates(net, lesson.seen.inputs)
    drop = denoiser.dropping(lesson, config)

    def hypothesis(noise: jax.Array) -> jax.Array:
        gated = gates * noise
        r = gated + denoiser.apply(net["pose"], gated, 0.0, share, drop)
        return whitening.pose(lesson.params["whitening"], r, lesson.seen.centre)

    drawn, true = jax.vmap(hypothesis, in_axes=1)(noise), lesson.batch.pose3d
    zero = jnp.zeros((), true.dtype)
    if config.net.winner:
        nearest = losses.best_of_m(drawn, true, k=1)
        return nearest, Learned(Losses(zero, nearest))
    score = losses.energy_score(drawn, true, pairwise=True)
    return score, Learned(Losses(score, zero))


def draw(params: Params, seen: Seen, how: Asked, config: NetConfig) -> jax.Array:
    """See `Supervised`."""
    del config
    key, temperature, num_hypotheses = how
    gates, share = _gates(params["net"], seen.inputs)
    noise = jax.random.normal(key, (num_hypotheses, whitening.SIZE))
    gated = temperature * gates * noise
    r = gated + denoiser.apply(params["net"]["pose"], gated, 0.0, share)
    return whitening.pose(params["whitening"], r, seen.centre)


PUBLISHED: dict[str, Any] = {
    **denoiser.SETTINGS,
    "width": 512,
    "hypotheses": 16,
    "batch_size": 128,
    "iterations": 4000,
}

METHOD = Supervised("generator", Losses, net, loss, draw, published=PUBLISHED)
