"""An arctangent that CPUs can compute many at a time.

    x (...) -> arctan(x) (...), within 2e-7 of it relatively in float32

    arctan(x) = sign(x) (pi/2 - arctan(1/|x|))    where |x| > 1
    arctan(x) = x P(x^2)                          elsewhere, P a polynomial

The soft clamp takes 384 of them a hypothesis. XLA's own runs element by element on a
CPU, 30 times as slowly: a quarter of the time that sampling takes.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

_DEGREE = 10


@jax.custom_jvp
def arctan(x: jax.Array) -> jax.Array:
    """Arctangent of each element, any shape; other dtypes than float32 as in NumPy."""
    if x.dtype != jnp.float32:
        return jnp.arctan(x)
    size = jnp.abs(x)
    large = size > 1
    near = jnp.where(large, 1 / size, size)
    square = near * near
    first, *others = reversed(coefficients())
    value = jnp.full_like(near, first)
    for coefficient in others:
        value = value * square + coefficient
    value = value * near
    value = jnp.where(large, np.float32(np.pi / 2) - value, value)
    return jnp.where(x < 0, -value, value)


@arctan.defjvp
def _slope(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x,), (dx,) = primals, tangents
    return arctan(x), dx / (1 + x * x)


@functools.cache
def coefficients() -> tuple[np.float32, ...]:
    """P's, lowest first: a fit at Chebyshev nodes of y = x^2 in [0, 1]."""
    angles = (np.arange(400) + 0.5) * np.pi / 400
    y = (np.cos(angles) + 1) / 2
    x = np.sqrt(y)
    fit = np.polynomial.Chebyshev.fit(y, np.arctan(x) / x, _DEGREE, domain=[0, 1], w=x)
    return tuple(fit.convert(kind=np.polynomial.Polynomial).coef.astype(np.float32))
