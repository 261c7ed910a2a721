"""A conditional variational autoencoder (Sharma et al., ICCV 2019).

    z ~ N(0, I),    r = decoder(c, z);    in training also z ~ q(z | c, r)

Recognition and decoder are nets as `trunk`'s; z has a quarter of their width and joins
the decoder behind its first layer. Two losses, by `NetConfig.elbo`:

* as released: 50 times the squared error of the mean of 10 poses decoded of z from q,
  50 times that of z from the prior, and 10 times the divergence's mean over z. Nothing
  here asks for any spread of poses, and q's layer ends with ReLU, so that its deviation
  is never below 1: hypotheses come out too much alike.
* the evidence lower bound: -log N(r; decoder(c, z), s^2 I) at one z of q and the
  divergence's sum, with s learned and drawn from, q's layer linear.

Published: 1,024 wide, dropout 0.5, Adam at 2.5e-4, batches of 256, 200 epochs.
Temperature scales z, and the noise of s.

Changed for the harness: poses are whitened residuals, not standardised numbers; the
condition is seen; both kinds of z are normalised as one batch. The order of depths by
which the final pose was weighed needs the image. Source: Sharma et al. (ICCV 2019) and
their released code.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxflow.config import NetConfig, TrainConfig
from jaxflow.methods import regression, trunk, whitening
from jaxflow.methods.supervised import Learned, Lesson, Supervised
from jaxflow.methods.whitening import Asked, Seen
from jaxflow.types import Params

_DECODED = 10
_ERROR_WEIGHT, _DIVERGENCE_WEIGHT = 100.0, 10.0
_DRAWN = 1000  # keys by numbers far from those of layers


class Losses(NamedTuple):
    """Without weights; by number of a whitened pose and of z where as released.

    Attributes:
      reconstruction: mean squared error, or nats of a pose.
      divergence: of q from the prior, nats.
    """

    reconstruction: jax.Array
    divergence: jax.Array


def _latent(config: NetConfig) -> int:
    return max(1, config.width // 4)


def net(key: jax.Array, config: NetConfig) -> Params:
    """Recognition and decoder."""
    recognition_key, q_key, decoder_key, pose_key = jax.random.split(key, 4)
    seen, latent = whitening.inputs(), _latent(config)
    layers = {
        "recognition": trunk.init(recognition_key, seen + whitening.SIZE, config),
        "decoder": trunk.init(decoder_key, seen, config, joined=latent),
    }
    # Near the regression, whatever z is.
    pose = trunk.dense_init(pose_key, config.width, whitening.SIZE, gain=0.1)
    more: Params = {"pose": pose}
    if config.elbo:
        more["q"] = trunk.dense_init(q_key, config.width, 2 * latent, gain=0.1)
        more["log_deviation"] = jnp.zeros(())
    else:
        one = dataclasses.replace(config, width=2 * latent, depth=0)
        layers["q"] = trunk.init(q_key, config.width, one)
    params = {name: each for name, (each, _) in layers.items()}
    statistics = {name: each for name, (_, each) in layers.items()}
    return {"net": {**params, **more}, "statistics": statistics}


class _Nets:
    """The nets in training: what they give, and their statistics after the batch."""

    def __init__(self, net: Params, lesson: Lesson, config: TrainConfig):
        self.net, self.lesson, self._config = net, lesson, config
        self.statistics = dict(lesson.params["statistics"])

    def keys(self, number: int) -> jax.Array:
        """(B,) for one purpose."""
        fold = jax.vmap(jax.random.fold_in, in_axes=(0, None))
        return fold(self.lesson.keys, _DRAWN + number)

    def normal(self, number: int, size: tuple[int, ...]) -> jax.Array:
        """(B, *size) each example's own."""
        return jax.vmap(lambda key: jax.random.normal(key, size))(self.keys(number))

    def run(self, name: str, x: jax.Array, keys: jax.Array, **more: Any) -> jax.Array:
        """One of the trunks."""
        norm = trunk.InTraining(
            self.net[name],
            self.lesson.params["statistics"][name],
            keys,
            self._config.net.dropout,
            self.lesson.axis_name,
        )
        self.statistics[name] = norm.after
        return trunk.run(norm, x, **more)

    def recognised(self) -> tuple[jax.Array, jax.Array]:
        """Mean and log-variance (B, L) of q."""
        seen = self.lesson.seen.inputs
        rows = jnp.concatenate([seen, self.lesson.residual], axis=-1)
        hidden = self.run("recognition", rows, self.keys(0))
        if self._config.net.elbo:
            both = trunk.dense(self.net["q"], hidden)
        else:
            both = self.run("q", hidden, self.keys(1))
        mean, log_variance = jnp.split(both, 2, axis=-1)
        return mean, log_variance

    def decoded(self, z: jax.Array) -> jax.Array:
        """(N, B, 45) of z (N, B, L), all as one batch."""
        count = z.shape[0]
        seen = jnp.tile(self.lesson.seen.inputs, (count, 1))
        keys = jnp.concatenate([self.keys(10 + number) for number in range(count)])
        flat = z.reshape(-1, z.shape[-1])
        hidden = self.run("decoder", seen, keys, joined=flat)
        return trunk.dense(self.net["pose"], hidden).reshape(*z.shape[:2], -1)


def loss(net: Params, lesson: Lesson, config: TrainConfig) -> tuple[jax.Array, Learned]:
    """Either loss."""
    nets = _Nets(net, lesson, config)
    mean, log_variance = nets.recognised()
    each = -0.5 * (1 + log_variance - mean**2 - jnp.exp(log_variance))
    deviation = jnp.exp(log_variance / 2)
    if config.net.elbo:
        z = mean + deviation * nets.normal(2, mean.shape[1:])
        (r,) = nets.decoded(z[None])
        normal = jax.scipy.stats.norm.logpdf(
            lesson.residual, loc=r, scale=jnp.exp(net["log_deviation"])
        )
        losses = Losses(-jnp.mean(jnp.sum(normal, -1)), jnp.mean(jnp.sum(each, -1)))
        return sum(losses, start=jnp.zeros(())), Learned(losses, nets.statistics)
    noise = nets.normal(2, (2, _DECODED, mean.shape[1])).transpose(1, 2, 0, 3)
    z = jnp.concatenate([mean + deviation * noise[0], noise[1]])
    r = nets.decoded(z).reshape(2, _DECODED, *lesson.residual.shape)
    squared = jnp.mean((jnp.mean(r, axis=1) - lesson.residual) ** 2)
    losses = Losses(squared, jnp.mean(each))
    total = _ERROR_WEIGHT * losses.reconstruction
    total += _DIVERGENCE_WEIGHT * losses.divergence
    return total, Learned(losses, nets.statistics)


def draw(params: Params, seen: Seen, how: Asked, config: NetConfig) -> jax.Array:
    """See `Supervised`."""
    key, temperature, num_hypotheses = how
    z_key, noise_key = jax.random.split(key)
    z = temperature * jax.random.normal(z_key, (num_hypotheses, _latent(config)))
    net = params["net"]
    norm = trunk.Trained(net["decoder"], params["statistics"]["decoder"])
    r = trunk.dense(net["pose"], trunk.run(norm, seen.inputs, joined=z))
    if config.elbo:
        deviation = temperature * jnp.exp(net["log_deviation"])
        r += deviation * jax.random.normal(noise_key, r.shape)
    return whitening.pose(params["whitening"], r, seen.centre)


PUBLISHED: dict[str, Any] = {
    **regression.PUBLISHED,
    "batch_size": 256,
    "learning_rate": 2.5e-4,
}

METHOD = Supervised("cvae", Losses, net, loss, draw, published=PUBLISHED)
