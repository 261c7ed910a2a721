"""Conditional flow matching (FMPose, TMLR 2026) on whitened residuals, in few steps.

    dx/dt = v(x, t, c),    x(0) ~ N(0, I),  x(1) = r

    v(x, t, c) = (2t - 1) / (t^2 + (1 - t)^2) x + net(x, t, c)

The first term is the whole velocity where r ~ N(0, I). The net learns by the squared
error of v(x_t, t, c) from r - e at x_t = (1 - t) e + t r, with e ~ N(0, I) and t
uniform. A pose is `NetConfig.steps` midpoint steps, two calls each.

Temperature scales the noise x(0). The density is that of the flow in continuous time,
by the exact divergence along the way back.

Changed for the harness: FMPose flows in metres, from noise of a metre, where 25 such
steps are needed: few keep a part of the spread only, which reads as a lower
temperature. In whitened coordinates two steps keep 98 % of it. The net is `denoiser`'s;
the fitted Gaussians are seen, not the heatmaps' pixels. Source: Le et al. (TMLR 2026)
and their released code; Lipman et al. (ICLR 2023).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxflow.config import NetConfig, TrainConfig
from jaxflow.methods import denoiser, whitening
from jaxflow.methods.supervised import Learned, Lesson, Supervised
from jaxflow.methods.whitening import Asked, Seen
from jaxflow.types import Params

Velocity = Callable[[jax.Array, Any], jax.Array]
# Of the way back, of Runge and Kutta's fourth order, four calls with all derivatives
# each: its error is below 0.01 nats a number.
_DENSITY_STEPS = 4


class Losses(NamedTuple):
    """Mean squared error of a number's velocity, deviations^2."""

    velocity: jax.Array


def loss(net: Params, lesson: Lesson, config: TrainConfig) -> tuple[jax.Array, Learned]:
    """The velocity's error at one moment of each pose."""

    def draw(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        noise_key, time_key = jax.random.split(key)
        noise = jax.random.normal(noise_key, (whitening.SIZE,))
        return noise, jax.random.uniform(time_key)

    noise, time = denoiser.draws(lesson, draw)
    x = noise + time[:, None] * (lesson.residual - noise)
    share = denoiser.share_of(net, lesson.seen.inputs)
    change = denoiser.apply(net, x, time, share, denoiser.dropping(lesson, config))
    velocity = of_gaussian(x, time[:, None]) + change
    squared = jnp.mean((velocity - (lesson.residual - noise)) ** 2)
    return squared, Learned(Losses(squared))


def of_gaussian(x: jax.Array, time: Any) -> jax.Array:
    """The velocity that takes N(0, I) along straight lines to N(0, I)."""
    return (2 * time - 1) / (time**2 + (1 - time) ** 2) * x


def _velocity(net: Params, inputs: jax.Array) -> Velocity:
    """v(x, t) of one detected pose."""
    share = denoiser.share_of(net, inputs)
    return lambda x, t: of_gaussian(x, t) + denoiser.apply(net, x, t, share)


def midpoint(velocity: Velocity, x: jax.Array, steps: int) -> jax.Array:
    """Where x at time 0 is at time 1, by so many steps of two calls."""
    size = 1 / steps

    def step(x: jax.Array, time: jax.Array) -> tuple[jax.Array, None]:
        halfway = x + size / 2 * velocity(x, time)
        return x + size * velocity(halfway, time + size / 2), None

    return jax.lax.scan(step, x, size * jnp.arange(steps, dtype=x.dtype))[0]


def draw(params: Params, seen: Seen, how: Asked, config: NetConfig) -> jax.Array:
    """See `Supervised`."""
    key, temperature, num_hypotheses = how
    noise = temperature * jax.random.normal(key, (num_hypotheses, whitening.SIZE))
    r = midpoint(_velocity(params["net"], seen.inputs), noise, config.steps)
    return whitening.pose(params["whitening"], r, seen.centre)


def density(params: Params, pose3d: jax.Array, seen: Seen) -> jax.Array:
    """See `Supervised`; the same for any number of steps."""
    velocity = _velocity(params["net"], seen.inputs)
    r = whitening.residual(params["whitening"], pose3d, seen.centre)
    return log_density(velocity, r) - whitening.log_det(params["whitening"])


def log_density(velocity: Velocity, r: jax.Array) -> jax.Array:
    """Log-density, nats, of r (D,) where N(0, I) is taken along a velocity.

    Args:
      velocity: v(x, t).
      r: (D,) at time 1.
    """
    size = -1 / _DENSITY_STEPS

    def rate(state: tuple[jax.Array, jax.Array], time: jax.Array) -> Any:
        jacobian = jax.jacfwd(lambda x: velocity(x, time))(state[0])
        return velocity(state[0], time), jnp.trace(jacobian)

    def moved(state: Any, rates: Any, by: float) -> Any:
        return jax.tree.map(lambda s, r: s + by * r, state, rates)

    def step(state: Any, time: jax.Array) -> tuple[Any, None]:
        first = rate(state, time)
        second = rate(moved(state, first, size / 2), time + size / 2)
        third = rate(moved(state, second, size / 2), time + size / 2)
        fourth = rate(moved(state, third, size), time + size)
        for part, rates in zip(
            (6, 3, 3, 6), (first, second, third, fourth), strict=True
        ):
            state = moved(state, rates, size / part)
        return state, None

    times = 1 + size * jnp.arange(_DENSITY_STEPS, dtype=r.dtype)
    (x, change), _ = jax.lax.scan(step, (r, jnp.zeros((), r.dtype)), times)
    return jnp.sum(jax.scipy.stats.norm.logpdf(x)) + change


PUBLISHED: dict[str, Any] = {**denoiser.SETTINGS, "steps": 2}

METHOD = Supervised(
    "flow_matching",
    Losses,
    denoiser.net,
    loss,
    draw,
    density,
    published=PUBLISHED,
    density_on_demand=True,
    any_steps=True,
)
