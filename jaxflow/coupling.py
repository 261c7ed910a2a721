"""One conditional affine coupling block and its net (paper section 3.1, equation 1).

The released code conditions the halves in this order, on u = [u1 | u2]:

    [s | t] = net2([u2, h]);   v1 = u1 * exp(clamp(s)) + t
    [s | t] = net1([v1, h]);   v2 = u2 * exp(clamp(s)) + t

so that the inverse is the same nets read backwards, and log|det J| the sum of every
clamp(s). h, the encoded condition, enters a net linearly before its ReLU: its share
``h W + b`` is computed once per pose (`project`) and serves all hypotheses.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxflow.config import SoftClamp
from jaxflow.layers import apply, normal_dense
from jaxflow.types import Params

INIT_SCALE = 0.05


class CouplingNet(nn.Module):
    """Linear, ReLU, Linear from [features, h] to [s | t]."""

    hidden: int
    outputs: int

    def setup(self) -> None:
        """Splits the first layer by input, so that h's share can be hoisted."""
        self.features = normal_dense(self.hidden, INIT_SCALE, use_bias=False)
        self.condition = normal_dense(self.hidden, INIT_SCALE)
        self.output = normal_dense(self.outputs, INIT_SCALE)

    def project(self, encoded: jax.Array) -> jax.Array:
        """H's share of the hidden layer: (..., 56) -> (..., hidden)."""
        return self.condition(encoded)

    def __call__(self, features: jax.Array, projected: jax.Array) -> jax.Array:
        """(..., D/2) and h's share (broadcasts against it) -> (..., D)."""
        return self.output(nn.relu(self.features(features) + projected))

    def init_all(self, features: jax.Array, encoded: jax.Array) -> jax.Array:
        """Touches every layer once, for ``init``."""
        return self(features, self.project(encoded))


class Projected(NamedTuple):
    """The condition's share of both nets' hidden layers, each (..., hidden)."""

    net1: jax.Array
    net2: jax.Array


def init(key: jax.Array, half: int, encoded: int, hidden: int) -> Params:
    """Parameters of one block on 2 * half numbers: ``{"net1": ..., "net2": ...}``."""
    net = CouplingNet(hidden, 2 * half)
    inputs = jnp.zeros(half, jnp.float32), jnp.zeros(encoded, jnp.float32)
    key1, key2 = jax.random.split(key)
    return {
        "net1": net.init(key1, *inputs, method="init_all")["params"],
        "net2": net.init(key2, *inputs, method="init_all")["params"],
    }


def project(params: Params, encoded: jax.Array) -> Projected:
    """What the encoded condition (..., 56) contributes to each net's hidden layer."""

    def share(net: Params) -> jax.Array:
        return apply(_net(net), net, encoded, method=CouplingNet.project)

    return Projected(net1=share(params["net1"]), net2=share(params["net2"]))


def forward(
    params: Params, u: jax.Array, projected: Projected, clamp: SoftClamp
) -> tuple[jax.Array, jax.Array]:
    """U (..., D) -> v (..., D) and log|det dv/du| (...)."""
    u1, u2 = jnp.split(u, 2, axis=-1)
    s2, t2 = _scale_shift(params["net2"], u2, projected.net2, clamp)
    v1 = u1 * jnp.exp(s2) + t2
    s1, t1 = _scale_shift(params["net1"], v1, projected.net1, clamp)
    v2 = u2 * jnp.exp(s1) + t1
    log_det = jnp.sum(s1, axis=-1) + jnp.sum(s2, axis=-1)
    return jnp.concatenate([v1, v2], axis=-1), log_det


def inverse(
    params: Params, v: jax.Array, projected: Projected, clamp: SoftClamp
) -> tuple[jax.Array, jax.Array]:
    """V (..., D) -> u (..., D) and log|det du/dv| (...)."""
    v1, v2 = jnp.split(v, 2, axis=-1)
    s1, t1 = _scale_shift(params["net1"], v1, projected.net1, clamp)
    u2 = (v2 - t1) * jnp.exp(-s1)
    s2, t2 = _scale_shift(params["net2"], u2, projected.net2, clamp)
    u1 = (v1 - t2) * jnp.exp(-s2)
    log_det = -jnp.sum(s1, axis=-1) - jnp.sum(s2, axis=-1)
    return jnp.concatenate([u1, u2], axis=-1), log_det


def soft_clamp(s: jax.Array, clamp: SoftClamp) -> jax.Array:
    """Bounded log-scale (paper equation 2)."""
    return clamp.alpha * clamp.factor * jnp.arctan(s / clamp.alpha)


def _scale_shift(
    params: Params, features: jax.Array, projected: jax.Array, clamp: SoftClamp
) -> tuple[jax.Array, jax.Array]:
    """Clamped log-scale and shift, each (..., D/2)."""
    output = apply(_net(params), params, features, projected)
    s, t = jnp.split(output, 2, axis=-1)
    return soft_clamp(s, clamp), t


def _net(params: Params) -> CouplingNet:
    """The net whose sizes the parameters have."""
    hidden, outputs = params["output"]["kernel"].shape[-2:]
    return CouplingNet(hidden, outputs)
