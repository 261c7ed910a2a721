"""A mixture density network (Li and Lee, CVPR 2019).

    p(r | c) = sum_k alpha_k(c) N(r; mu_k(c), sigma_k(c)^2 I)

The net is `trunk`'s; K means, deviations (elu + 1) and weights (softmax) come of its
features. The loss is the negative log-likelihood and a Dirichlet prior of concentration
2 on the weights, which keeps components alive. As published: K = 5, 1,024 wide, two
blocks, dropout 0.5, Adam at 1e-3, batches of 64, 200 epochs.

A component is drawn by its weight, then a pose of it; temperature scales the normal
noise and the Gumbel noise by which the component is chosen, so that 0 gives the mean of
the heaviest one. The published hypotheses are the means (`means`).

Changed for the harness: poses are whitened residuals, since one deviation cannot be
that of depth and of width; the condition is seen; the gradient's norm is bounded by 1,
not the weights'.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxflow.config import NetConfig, TrainConfig
from jaxflow.methods import regression, trunk, whitening
from jaxflow.methods.supervised import Learned, Lesson, Supervised
from jaxflow.methods.whitening import Asked, Seen
from jaxflow.types import Params

_LEAST_SIGMA, _LEAST_ALPHA = 1e-3, 1e-8


class Losses(NamedTuple):
    """Nats by number of a whitened pose, and of the prior by component."""

    likelihood: jax.Array
    prior: jax.Array


class Mixture(NamedTuple):
    """Leading axes shared.

    Attributes:
      log_alpha: (..., K) logarithms of the weights.
      mu: (..., K, 45) whitened residuals.
      sigma: (..., K).
    """

    log_alpha: jax.Array
    mu: jax.Array
    sigma: jax.Array


def net(key: jax.Array, config: NetConfig) -> Params:
    """The trunk and three dense layers."""
    trunk_key, *heads = jax.random.split(key, 4)
    layers, statistics = trunk.init(trunk_key, whitening.inputs(), config)
    count = config.components
    sizes = {"mu": count * whitening.SIZE, "sigma": count, "alpha": count}
    outputs = {
        name: trunk.dense_init(head, config.width, size, gain=0.5)
        for head, (name, size) in zip(heads, sizes.items(), strict=True)
    }
    return {"net": {"trunk": layers, **outputs}, "statistics": statistics}


def mixture(net: Params, hidden: jax.Array) -> Mixture:
    """Of the trunk's features (..., W)."""
    mu = trunk.dense(net["mu"], hidden)
    sigma = jax.nn.elu(trunk.dense(net["sigma"], hidden)) + 1 + _LEAST_SIGMA
    alpha = jax.nn.softmax(trunk.dense(net["alpha"], hidden))
    return Mixture(
        jnp.log(jnp.maximum(alpha, _LEAST_ALPHA)),
        mu.reshape(*mu.shape[:-1], -1, whitening.SIZE),
        sigma,
    )


def log_density(of: Mixture, r: jax.Array) -> jax.Array:
    """(...) of r (..., 45)."""
    normal = jax.scipy.stats.norm.logpdf(
        r[..., None, :], loc=of.mu, scale=of.sigma[..., None]
    )
    return jax.nn.logsumexp(of.log_alpha + jnp.sum(normal, axis=-1), axis=-1)


def loss(net: Params, lesson: Lesson, config: TrainConfig) -> tuple[jax.Array, Learned]:
    """The likelihood of the batch and the weights' prior."""
    norm = trunk.InTraining.of(net["trunk"], lesson, config)
    hidden = trunk.run(norm, lesson.seen.inputs)
    found = mixture(net, hidden)
    likelihood = -jnp.mean(log_density(found, lesson.residual))
    prior = -jnp.mean(jnp.sum(found.log_alpha, axis=-1))
    losses = Losses(likelihood / whitening.SIZE, prior / config.net.components)
    return likelihood + prior, Learned(losses, norm.after)


def _seen_mixture(params: Params, seen: Seen) -> Mixture:
    net = params["net"]
    norm = trunk.Trained(net["trunk"], params["statistics"])
    return mixture(net, trunk.run(norm, seen.inputs))


def draw(params: Params, seen: Seen, how: Asked, config: NetConfig) -> jax.Array:
    """See `Supervised`."""
    del config
    key, temperature, num_hypotheses = how
    of = _seen_mixture(params, seen)
    choice_key, noise_key = jax.random.split(key)
    count, size = of.mu.shape
    gumbel = jax.random.gumbel(choice_key, (num_hypotheses, count))
    chosen = jnp.argmax(of.log_alpha + temperature * gumbel, axis=-1)
    noise = jax.random.normal(noise_key, (num_hypotheses, size))
    r = of.mu[chosen] + temperature * of.sigma[chosen, None] * noise
    return whitening.pose(params["whitening"], r, seen.centre)


def density(params: Params, pose3d: jax.Array, seen: Seen) -> jax.Array:
    """See `Supervised`."""
    r = whitening.residual(params["whitening"], pose3d, seen.centre)
    scale = whitening.log_det(params["whitening"])
    return log_density(_seen_mixture(params, seen), r) - scale


def means(params: Params, seen: Seen, config: NetConfig) -> jax.Array:
    """The components' means (K, 48), the heaviest first."""
    del config
    found = _seen_mixture(params, seen)
    ordered = found.mu[jnp.argsort(-found.log_alpha)]
    return whitening.pose(params["whitening"], ordered, seen.centre)


PUBLISHED: dict[str, Any] = {**regression.PUBLISHED, "components": 5}

METHOD = Supervised("mdn", Losses, net, loss, draw, density, PUBLISHED, means=means)
