"""Denoising diffusion (DiffPose, ICCV 2023) on whitened residuals.

    x_t = sqrt(a_t) r + sqrt(1 - a_t) e,    e_hat = sqrt(1 - a_t) x_t + net(x_t, t, c)

a_t follows the cosine schedule over `NetConfig.steps` steps, 25 as published. The net
learns by the squared error of e_hat, whose first term is all there is to know where
r ~ N(0, I). A pose is drawn by ancestral sampling: from x ~ N(0, I), step by step to
what is likely one step before, given the r that e_hat says.

Temperature scales all noise: the first x and that of each step.

Changed for the harness: whitened residuals in place of metres times 10, the fitted
Gaussians in place of points drawn from the heatmaps, `denoiser`'s net, which is
`flow_matching`'s, with its settings. Source: Holmquist and Wandt (ICCV 2023) and their
released code.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.config import NetConfig, TrainConfig
from jaxflow.methods import denoiser, whitening
from jaxflow.methods.supervised import Learned, Lesson, Supervised
from jaxflow.methods.whitening import Asked, Seen
from jaxflow.types import Params

_OFFSET, _MOST_BETA = 0.008, 0.999
_FAR = 10.0  # deviations: what r is taken to be within while it is not known well


class Losses(NamedTuple):
    """Mean squared error of a number's noise."""

    noise: jax.Array


def schedule(steps: int) -> np.ndarray:
    """(steps,) share a_t of the variance that is left of r after each step."""
    angle = (np.arange(steps + 1) / steps + _OFFSET) / (1 + _OFFSET) * np.pi / 2
    left = np.cos(angle) ** 2
    beta = np.minimum(1 - left[1:] / left[:-1], _MOST_BETA)
    return np.cumprod(1 - beta)


def _noise(
    net: Params, x: jax.Array, time: jax.Array, left: jax.Array, *more: Any
) -> jax.Array:
    """e_hat (..., 45) at a time (...) when so much of r is left."""
    return jnp.sqrt(1 - left)[..., None] * x + denoiser.apply(net, x, time, *more)


def loss(net: Params, lesson: Lesson, config: TrainConfig) -> tuple[jax.Array, Learned]:
    """The noise's error at one step of each pose."""
    steps = config.net.steps

    def draw(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        noise_key, step_key = jax.random.split(key)
        noise = jax.random.normal(noise_key, (whitening.SIZE,))
        return noise, jax.random.randint(step_key, (), 0, steps)

    noise, step = denoiser.draws(lesson, draw)
    left = jnp.asarray(schedule(steps), noise.dtype)[step]
    x = jnp.sqrt(left)[:, None] * lesson.residual + jnp.sqrt(1 - left)[:, None] * noise
    share = denoiser.share_of(net, lesson.seen.inputs)
    time = (step + 1).astype(noise.dtype) / steps
    told = _noise(net, x, time, left, share, denoiser.dropping(lesson, config))
    squared = jnp.mean((told - noise) ** 2)
    return squared, Learned(Losses(squared))


def draw(params: Params, seen: Seen, how: Asked, config: NetConfig) -> jax.Array:
    """See `Supervised`."""
    key, temperature, num_hypotheses = how
    net, steps, size = params["net"], config.steps, (num_hypotheses, whitening.SIZE)
    share = denoiser.share_of(net, seen.inputs)
    left = schedule(steps)
    before = np.concatenate([[1.0], left[:-1]])
    kept = left / before
    of_r = np.sqrt(before) * (1 - kept) / (1 - left)
    of_x = np.sqrt(kept) * (1 - before) / (1 - left)
    deviation = np.sqrt((1 - kept) * (1 - before) / (1 - left))
    numbers = np.stack([left, of_r, of_x, deviation, np.arange(1, steps + 1) / steps])

    def step(x: jax.Array, at: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        (left, of_r, of_x, deviation, time), step_key = at
        told = _noise(net, x, time, left, share)
        r = (x - jnp.sqrt(1 - left) * told) / jnp.sqrt(left)
        mean = of_r * jnp.clip(r, -_FAR, _FAR) + of_x * x
        noise = jax.random.normal(step_key, size)
        return mean + temperature * deviation * noise, None

    keys = jax.random.split(key, steps + 1)
    x = temperature * jax.random.normal(keys[0], size)
    each = jnp.asarray(numbers.T[::-1], x.dtype), keys[1:]
    r, _ = jax.lax.scan(step, x, each)
    return whitening.pose(params["whitening"], r, seen.centre)


PUBLISHED: dict[str, Any] = {**denoiser.SETTINGS, "steps": 25}

METHOD = Supervised("diffusion", Losses, denoiser.net, loss, draw, published=PUBLISHED)
