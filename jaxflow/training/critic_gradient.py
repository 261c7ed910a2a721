"""The critic's objective and its gradient: once there, once back, once more there.

    params, poses, their psi -> loss, gradient

The objective is WGAN-GP's (paper section 3.3, after Gulrajani et al.),

    mean f(fake) - mean f(real) + weight mean (|s| - 1)^2,   s = df/dx between the two.

Between its ReLUs' corners f is linear in a layer's weights, and so is s: how a layer's
inputs would change if the poses moved along c = d penalty / ds, times the cotangents of
its outputs, is the penalty's gradient, as inputs times cotangents is that of the means.
So all three kinds of poses go there and back together, and a layer's gradient is one
product over them; JAX's own derivative of a derivative goes back twice.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxflow import critic, losses
from jaxflow.maths.layers import precision
from jaxflow.types import Params


def rows(real: jax.Array, fake: jax.Array, mix: jax.Array) -> jax.Array:
    """Poses (..., B, 48) and shares of the real one (..., B, 1) -> (..., 3 B, 48).

    Generated ones, then real ones, then those between.
    """
    return jnp.concatenate([fake, real, mix * real + (1 - mix) * fake], axis=-2)


def gradient(
    params: Params, poses: jax.Array, psi: jax.Array, weight: float
) -> tuple[jax.Array, Params]:
    """The objective, and its gradient.

    Args:
      params: the critic's.
      poses: (3 B, 48) from `rows`.
      psi: (3 B, 16, 16) `critic.kcs` of them.
      weight: of the penalty.
    """
    count = len(poses) // 3
    kernels = {name: layer["kernel"] for name, layer in params.items()}

    def there(
        shifts: Params, poses: jax.Array, psi: jax.Array
    ) -> tuple[jax.Array, tuple[Params, list[jax.Array]]]:
        """Scores, what enters each layer, and on which side of each ReLU it leaves."""
        inputs, above = {}, []

        def dense(name: str, x: jax.Array) -> jax.Array:
            inputs[name] = x
            return jnp.matmul(x, kernels[name], precision=precision()) + shifts[name]

        def rectify(x: jax.Array) -> jax.Array:
            above.append(x >= 0)
            return critic.leaky_relu(x)

        return critic.network(dense, rectify, poses, psi), (inputs, above)

    # A bias for each pose: its gradient is the cotangent of the layer's output.
    shifts = {
        name: jnp.broadcast_to(layer["bias"], (len(poses), len(layer["bias"])))
        for name, layer in params.items()
    }
    flat = psi.reshape(len(poses), -1)
    scores, back, (inputs, above) = jax.vjp(there, shifts, poses, flat, has_aux=True)
    share = jnp.full((count,), 1 / count, scores.dtype)
    outputs, *slopes = back(jnp.concatenate([share, -share, jnp.ones_like(share)]))
    between, by_pose, by_psi = (array[2 * count :] for array in (poses, *slopes))

    def psi_change(change: jax.Array) -> jax.Array:
        return critic.kcs_change(between, change).reshape(count, -1)

    (by_bones,) = jax.linear_transpose(psi_change, between)(by_psi)
    penalty, along = jax.value_and_grad(losses.slope_penalty)(
        by_pose + by_bones, weight
    )
    moved = _moved(kernels, [a[2 * count :] for a in above], along, psi_change(along))

    def of_layer(name: str) -> Params:
        # Behind the inputs a one, whose weight is the bias; the penalty has none.
        ends = jnp.pad(inputs[name][: 2 * count], ((0, 0), (0, 1)), constant_values=1)
        both = jnp.concatenate([ends, jnp.pad(moved[name], ((0, 0), (0, 1)))])
        product = jnp.matmul(both.T, outputs[name], precision=precision())
        return {"kernel": product[:-1], "bias": product[-1]}

    distance = jnp.sum(share * scores[:count]) - jnp.sum(share * scores[count:-count])
    return distance + penalty, {name: of_layer(name) for name in params}


def _moved(
    kernels: Params, above: list[jax.Array], pose3d: jax.Array, psi: jax.Array
) -> Params:
    """How what enters each layer changes if the poses and their psi do so."""
    moved, sides = {}, iter(above)

    def dense(name: str, x: jax.Array) -> jax.Array:
        moved[name] = x
        return jnp.matmul(x, kernels[name], precision=precision())

    critic.network(dense, lambda x: critic.leaky_relu(x, next(sides)), pose3d, psi)
    return moved
