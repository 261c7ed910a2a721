"""One conditional affine coupling block and its net (paper section 3.1, equation 1).

The released code conditions the halves in this order, on u = [u1 | u2]:

    [s | t] = net2([u2, h]);   v1 = u1 * exp(clamp(s)) + t
    [s | t] = net1([v1, h]);   v2 = u2 * exp(clamp(s)) + t

so that the inverse is the same nets read backwards, and log|det J| the sum of every
clamp(s). h, the encoded condition, enters a net linearly before its ReLU: its share
``h W + b`` is computed once per pose (`project`) and serves all hypotheses.

Vectors are columns here, (D, ...): see `layers`. The hidden layer is by far the largest
array, 1,028 numbers where a vector has 24, and cheap to compute: `recomputing_net` does
so again in its backward pass instead of keeping it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.core
import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxflow.config import SoftClamp
from jaxflow.maths import narrow
from jaxflow.maths.arctangent import arctan
from jaxflow.maths.layers import columns
from jaxflow.types import Params

INIT_SCALE = 0.05


class Share(NamedTuple):
    """What a net adds whatever the features are, for each pose.

    Attributes:
      hidden: (hidden, ...) to the hidden layer: the encoded condition's share of it.
      output: (D, ...) to the output: its bias.
    """

    hidden: jax.Array
    output: jax.Array


class Projected(NamedTuple):
    """The shares of a block's nets."""

    net1: Share
    net2: Share


def init(key: jax.Array, half: int, encoded: int, hidden: int) -> Params:
    """Parameters of one block on 2 * half numbers: ``{"net1": ..., "net2": ...}``."""
    net = functools.partial(_init_net, half=half, encoded=encoded, hidden=hidden)
    key1, key2 = jax.random.split(key)
    return {"net1": net(key1), "net2": net(key2)}


def _init_net(key: jax.Array, half: int, encoded: int, hidden: int) -> Params:
    """Of a net from [features, h] to [s | t]; see `plain_net` for what it computes.

    The first layer is split by input, so that h's share can be hoisted.
    """
    kernels = {
        "features": (half, hidden),
        "condition": (encoded, hidden),
        "output": (hidden, 2 * half),
    }
    start = nn.initializers.normal(INIT_SCALE)

    def declare(scope: flax.core.Scope) -> None:
        for name, shape in kernels.items():
            layer = scope.push(name)
            layer.param("kernel", start, shape, jnp.float32)
            if name != "features":
                layer.param("bias", start, shape[1:], jnp.float32)

    _, variables = flax.core.init(declare)(key)
    return variables["params"]


def project(params: Params, encoded: jax.Array) -> Projected:
    """What the nets make of the encoded condition (56, ...) alone.

    Of several blocks, stacked along a first axis, that axis is the first here, too.
    """
    return Projected(*(_share(params[net], encoded) for net in Projected._fields))


def _share(net: Params, encoded: jax.Array) -> Share:
    bias = net["output"]["bias"]
    # One for each pose, so that its gradient is summed over the poses of all blocks at
    # once, and over the hypotheses with others' sums.
    column = bias.reshape(*bias.shape, *(1,) * (encoded.ndim - 1))
    output = jnp.broadcast_to(column, (*bias.shape, *encoded.shape[1:]))
    return Share(columns(net["condition"], encoded), output)


# A net's parameters, (D/2, ...), and h's share, which broadcasts against the hidden
# layer (hidden, ...) -> [s | t] (D, ...), still without the output's bias
Net = Callable[[Params, jax.Array, jax.Array], jax.Array]


def plain_net(params: Params, features: jax.Array, projected: jax.Array) -> jax.Array:
    """The net as it is: differentiates in every mode."""
    hidden = _hidden(params, features, projected)
    return narrow.product(params["output"]["kernel"], hidden, (0,), (0,))


def _hidden(params: Params, features: jax.Array, projected: jax.Array) -> jax.Array:
    kernel = params["features"]["kernel"]
    return nn.relu(narrow.product(kernel, features, (0,), (0,)) + projected)


@jax.custom_vjp
def recomputing_net(
    params: Params, features: jax.Array, projected: jax.Array
) -> jax.Array:
    """The same, with a gradient, in reverse mode alone, that keeps no hidden layer."""
    return plain_net(params, features, projected)


def _recomputing_forward(
    params: Params, features: jax.Array, projected: jax.Array
) -> tuple[jax.Array, tuple[Params, jax.Array, jax.Array]]:
    output = plain_net(params, features, projected)
    return output, (params, features, projected)


def _recomputing_backward(
    inputs: tuple[Params, jax.Array, jax.Array], cotangent: jax.Array
) -> tuple[Params, jax.Array, jax.Array]:
    params, features, projected = inputs
    first, second = params["features"]["kernel"], params["output"]["kernel"]
    hidden = _hidden(params, features, projected)
    by_hidden = narrow.product(second, cotangent, (1,), (0,))
    slope = jnp.where(hidden > 0, by_hidden, 0)
    rest = tuple(range(1, features.ndim))
    gradient = jax.tree.map(jnp.zeros_like, params)
    gradient["features"]["kernel"] = narrow.product(features, slope, rest, rest)
    gradient["output"]["kernel"] = narrow.product(hidden, cotangent, rest, rest)
    # The share serves all hypotheses: along these axes it has length one.
    shared = [
        axis for axis in range(slope.ndim) if projected.shape[axis] != slope.shape[axis]
    ]
    share = jnp.sum(slope, axis=shared, keepdims=True)
    return gradient, narrow.product(first, slope, (1,), (0,)), share


recomputing_net.defvjp(_recomputing_forward, _recomputing_backward)


def forward(
    params: Params,
    u: jax.Array,
    projected: Projected,
    clamp: SoftClamp,
    net: Net = plain_net,
) -> tuple[jax.Array, jax.Array]:
    """U (D, ...) -> v (D, ...) and log|det dv/du| (...)."""
    u1, u2 = jnp.split(u, 2)
    s2, t2 = _scale_shift(net, params["net2"], u2, projected.net2, clamp)
    v1 = u1 * jnp.exp(s2) + t2
    s1, t1 = _scale_shift(net, params["net1"], v1, projected.net1, clamp)
    v2 = u2 * jnp.exp(s1) + t1
    return jnp.concatenate([v1, v2]), jnp.sum(s1, axis=0) + jnp.sum(s2, axis=0)


def inverse(
    params: Params,
    v: jax.Array,
    projected: Projected,
    clamp: SoftClamp,
    net: Net = plain_net,
) -> tuple[jax.Array, jax.Array]:
    """V (D, ...) -> u (D, ...) and log|det du/dv| (...)."""
    v1, v2 = jnp.split(v, 2)
    s1, t1 = _scale_shift(net, params["net1"], v1, projected.net1, clamp)
    u2 = (v2 - t1) * jnp.exp(-s1)
    s2, t2 = _scale_shift(net, params["net2"], u2, projected.net2, clamp)
    u1 = (v1 - t2) * jnp.exp(-s2)
    return jnp.concatenate([u1, u2]), -jnp.sum(s1, axis=0) - jnp.sum(s2, axis=0)


def _scale_shift(
    net: Net, params: Params, features: jax.Array, share: Share, clamp: SoftClamp
) -> tuple[jax.Array, jax.Array]:
    """A net's [s | t] as clamped log-scale and shift, each (D/2, ...)."""
    s, t = jnp.split(net(params, features, share.hidden), 2)
    s_bias, t_bias = jnp.split(share.output, 2)
    return soft_clamp(s + s_bias, clamp), t + t_bias


def soft_clamp(s: jax.Array, clamp: SoftClamp) -> jax.Array:
    """Bounded log-scale (paper equation 2)."""
    return clamp.alpha * clamp.factor * arctan(s / clamp.alpha)
