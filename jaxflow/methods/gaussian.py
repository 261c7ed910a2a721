"""A conditional Gaussian in closed form: the floor that other samplers must beat.

    r ~ N(0, diag(exp s(c))),    pose3d = m(c) + L r

m is the ridge regression that `whitening` has, L L^T the full covariance of what it
leaves on people it was not made of, and s the logarithms of the variances along that
covariance's principal axes, regressed on the same features. No gradient step is taken:
all is known before the first iteration, which only says how likely a batch is.

Temperature scales the deviations. Not published: the floor for what learns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.config import NetConfig, TrainConfig
from jaxflow.maths.layers import product
from jaxflow.methods import whitening
from jaxflow.methods.supervised import Learned, Lesson, Supervised
from jaxflow.methods.whitening import Asked, Fitted, Seen
from jaxflow.types import Params

# Of log-variances, about those of all frames: a factor of 4.5 in the deviation.
_RANGE = 3.0
_SMALL = 1e-2  # added to squares before their logarithm
_ROUNDS = 10


class Losses(NamedTuple):
    """Mean negative log-density by number of a whitened pose, nats."""

    likelihood: jax.Array


def net(key: jax.Array, config: NetConfig) -> Params:
    """All log-variances 0."""
    del key
    return {"net": {"log_variance": jnp.zeros((config.features + 1, whitening.SIZE))}}


def fit(params: Params, fitted: Fitted) -> Params:
    """The log-variances' regression on what the frames' residuals are.

    The logarithm of a squared normal number lies below that of its variance; each axis
    is moved so that the squares over their predicted variances have mean 1. Where the
    variances' bounds hold none back, one round is enough.
    """
    squares = fitted.residuals**2
    logs = np.log(squares + _SMALL)
    weights = fitted.ridge.fit(logs)
    predicted = logs - fitted.ridge.residuals(logs, weights)
    offset = np.zeros(predicted.shape[1])
    for _ in range(_ROUNDS):
        bounded = np.clip(predicted + offset.astype(np.float32), -_RANGE, _RANGE)
        scaled = np.mean(squares * np.exp(-bounded), axis=0, dtype=np.float64)
        offset += np.log(scaled)
    kernel = weights.all
    kernel[-1] += offset.astype(np.float32)
    return {**params, "net": {"log_variance": jnp.asarray(kernel)}}


def _log_variance(net: Params, features: jax.Array) -> jax.Array:
    """(..., 45)."""
    logs = product(features, net["log_variance"])
    return jnp.clip(logs, -_RANGE, _RANGE)


def loss(net: Params, lesson: Lesson, config: TrainConfig) -> tuple[jax.Array, Learned]:
    """How unlikely the batch is."""
    del config
    deviation = jnp.exp(_log_variance(net, lesson.seen.features) / 2)
    density = jax.scipy.stats.norm.logpdf(lesson.residual, scale=deviation)
    likelihood = -jnp.mean(density)
    return likelihood, Learned(Losses(likelihood))


def draw(params: Params, seen: Seen, how: Asked, config: NetConfig) -> jax.Array:
    """See `Supervised`."""
    del config
    key, temperature, num_hypotheses = how
    noise = jax.random.normal(key, (num_hypotheses, whitening.SIZE))
    deviation = temperature * jnp.exp(_log_variance(params["net"], seen.features) / 2)
    return whitening.pose(params["whitening"], deviation * noise, seen.centre)


def density(params: Params, pose3d: jax.Array, seen: Seen) -> jax.Array:
    """See `Supervised`."""
    r = whitening.residual(params["whitening"], pose3d, seen.centre)
    deviation = jnp.exp(_log_variance(params["net"], seen.features) / 2)
    normal = jax.scipy.stats.norm.logpdf(r, scale=deviation)
    return jnp.sum(normal) - whitening.log_det(params["whitening"])


PUBLISHED: dict[str, Any] = {"iterations": 1, "learning_rate": 0.0}

METHOD = Supervised("gaussian", Losses, net, loss, draw, density, PUBLISHED, fit=fit)
