"""A conditional Gaussian learned by its likelihood.

    A(c) (r - m(c)) ~ N(0, I),    A lower triangular, so any covariance (A^T A)^-1

Two nets of what is seen, those of the flow's affine layer (`flow.affine.Net`), here in
whitened coordinates, where they begin as the regression with one covariance. What is
learned is the covariance's inverse: an iteration then solves nothing. Temperature
scales the normal noise.

Not published; the flow's affine layer is the same without the regression under it.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.config import NetConfig, TrainConfig
from jaxflow.flow import affine
from jaxflow.maths.layers import product
from jaxflow.methods import whitening
from jaxflow.methods.gaussian import Losses
from jaxflow.methods.supervised import ADAM, CONSTANT_RATE, Learned, Lesson, Supervised
from jaxflow.methods.whitening import Asked, Seen
from jaxflow.types import Params

_LOG_RANGE = (-2.0, 5.0)  # of A's diagonal
_NUMBERS = whitening.SIZE * (whitening.SIZE + 1) // 2
# What the net of A gives is in units of so much, so that it begins slowly.
_UNIT = 0.1


def net(key: jax.Array, config: NetConfig) -> Params:
    """Mean 0 and covariance 1 whatever is seen, but for small numbers."""
    mean_key, factor_key = jax.random.split(key)
    inputs = jnp.zeros(whitening.inputs())
    mean = affine.Net(config.width, whitening.SIZE, 1e-4)
    factor = affine.Net(config.width, _NUMBERS, 1e-4)
    return {
        "net": {
            "mean": mean.init(mean_key, inputs)["params"],
            "factor": factor.init(factor_key, inputs)["params"],
        }
    }


def _gaussian(net: Params, inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Of inputs (..., I): m (..., 45) and A (..., 45, 45)."""
    mean, numbers = (affine.output(net[name], inputs) for name in ("mean", "factor"))
    units = np.ones(whitening.SIZE)
    return mean, affine.lower_triangular(numbers, units, _UNIT, _LOG_RANGE)


def _log_density(net: Params, r: jax.Array, inputs: jax.Array) -> jax.Array:
    """(...) of r (..., 45)."""
    mean, factor = _gaussian(net, inputs)
    moved = (r - mean)[..., None]
    noise = product(factor, moved)[..., 0]
    logs = jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1))
    return jnp.sum(jax.scipy.stats.norm.logpdf(noise) + logs, axis=-1)


def loss(net: Params, lesson: Lesson, config: TrainConfig) -> tuple[jax.Array, Learned]:
    """How unlikely the batch is."""
    del config
    density = _log_density(net, lesson.residual, lesson.seen.inputs)
    likelihood = -jnp.mean(density) / whitening.SIZE
    return likelihood, Learned(Losses(likelihood))


def draw(params: Params, seen: Seen, how: Asked, config: NetConfig) -> jax.Array:
    """See `Supervised`."""
    del config
    key, temperature, num_hypotheses = how
    mean, factor = _gaussian(params["net"], seen.inputs)
    noise = jax.random.normal(key, (whitening.SIZE, num_hypotheses))
    moved = jax.scipy.linalg.solve_triangular(factor, noise, lower=True)
    r = mean + temperature * moved.T
    return whitening.pose(params["whitening"], r, seen.centre)


def density(params: Params, pose3d: jax.Array, seen: Seen) -> jax.Array:
    """See `Supervised`."""
    whitened = params["whitening"]
    r = whitening.residual(whitened, pose3d, seen.centre)
    scale = whitening.log_det(whitened)
    return _log_density(params["net"], r, seen.inputs) - scale


PUBLISHED: dict[str, Any] = {
    "width": 512,
    "batch_size": 256,
    "iterations": 2000,
    **ADAM,
    "warmup": 200,
    "average_decay": 0.998,
    **CONSTANT_RATE,
}

METHOD = Supervised("gaussian_nll", Losses, net, loss, draw, density, PUBLISHED)
