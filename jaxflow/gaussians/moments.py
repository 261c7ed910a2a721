"""The normal equations of a Gaussian bump, as moments of the map.

Write the bump as g = exp(q . P) with the monomials P = [1, dx, dy, dx^2, dx dy, dy^2]
around its mean. Then dg/dq = g P, so for the residual r = h - g

    M = J^T J = sum g^2 P P^T,     m = J^T r = sum g r P

need only the moments sum g^2 dx^i dy^j up to i + j = 4 and sum g r dx^i dy^j up to
i + j = 2. Each is two thin matrix products a map; no array of pixels x parameters ever
exists. The Hessian of half the sum of squares has the same form, its weight being
g (2 g - h).

In: maps (K, H, W) and quadratics (K, 6), see ``heatmaps``. To first order a change of q
is a change of (A, x0, y0, a, b, c): ``apply_step``.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxflow.gaussians import heatmaps
from jaxflow.maths import linalg

# Powers of dx and of dy in the monomials P.
_X_POWERS = (0, 1, 0, 2, 1, 0)
_Y_POWERS = (0, 0, 1, 0, 1, 2)


class Moments(NamedTuple):
    """The normal equations of K bumps: cost (K,), M (K, 6, 6), m (K, 6)."""

    cost: jax.Array
    matrix: jax.Array
    vector: jax.Array


def of_bumps(maps: jax.Array, quadratic: jax.Array) -> Moments:
    """Cost and normal equations of K bumps (K, 6) on K maps (K, H, W)."""
    height, width = maps.shape[-2:]
    bump = heatmaps.render_quadratic(quadratic, height, width)
    residual = maps - bump
    squares = moment_table(bump * bump, quadratic, 4)
    products = moment_table(bump * residual, quadratic, 2)
    return Moments(
        cost=jnp.sum(jnp.square(residual), (1, 2)),
        matrix=moment_matrix(squares),
        vector=moment_vector(products),
    )


def moment_table(weight: jax.Array, quadratic: jax.Array, degree: int) -> jax.Array:
    """All sum w dx^i dy^j, as [j, i]: (K, H, W) to (K, degree + 1, degree + 1)."""
    dx, dy = heatmaps.offsets(quadratic, *weight.shape[-2:])
    x_powers = jnp.stack([dx**i for i in range(degree + 1)], axis=2)
    y_powers = jnp.stack([dy**j for j in range(degree + 1)], axis=1)
    rows = linalg.einsum("kjy,kyx->kjx", y_powers, weight)
    return linalg.einsum("kjx,kxi->kji", rows, x_powers)


def moment_matrix(table: jax.Array) -> jax.Array:
    """The matrix sum w P P^T (K, 6, 6), from moments up to degree 4, (K, 5, 5)."""
    j = [[p + q for q in _Y_POWERS] for p in _Y_POWERS]
    i = [[p + q for q in _X_POWERS] for p in _X_POWERS]
    return table[:, jnp.array(j), jnp.array(i)]


def moment_vector(table: jax.Array) -> jax.Array:
    """The vector sum w P (K, 6), from moments up to degree 2, (K, 3, 3)."""
    return table[:, jnp.array(_Y_POWERS), jnp.array(_X_POWERS)]


def apply_step(quadratic: jax.Array, step: jax.Array) -> jax.Array:
    """What the first-order change ``step`` (..., 6) of q = log g adds to a quadratic.

    With log g = log A - (a dx^2 + 2 b dx dy + c dy^2): the constant changes log A; the
    terms dx and dy are 2 [[a, b], [b, c]] times the change of the mean; the square
    terms are minus those of a, 2 b and c.
    """
    amplitude, _, _, a, b, c = jnp.moveaxis(quadratic, -1, 0)
    constant, x, y, xx, xy, yy = jnp.moveaxis(step, -1, 0)
    twice_det = 2 * (a * c - b * b)
    return jnp.stack(
        [
            amplitude * constant,
            (c * x - b * y) / twice_det,
            (a * y - b * x) / twice_det,
            -xx,
            -xy / 2,
            -yy,
        ],
        axis=-1,
    )
