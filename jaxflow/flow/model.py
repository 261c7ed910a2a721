"""The conditional flow: 8 coupling blocks, each followed by a fixed permutation.

    forward:  pose3d (..., 48), cond (..., 78) -> z (..., 16), pose2d (..., 32)
    inverse:  z (..., 16), pose2d (..., 32), cond (..., 78) -> pose3d (..., 48)

Paper section 3.1. Everything is a pure function of the parameters; sizes are read from
them, so smaller flows work too. Parameters are stacked over the blocks (`stack`), and
the blocks work on columns, the numbers of a vector first (`layers`); here vectors are
rows. `forward` and `inverse` are compiled once per shape; `density` is what follows
from them.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.config import RELEASED_CLAMP, FlowConfig, SoftClamp
from jaxflow.flow import affine, coupling, stack
from jaxflow.flow.stack import permutations as permutations
from jaxflow.flow.stack import separate as separate
from jaxflow.flow.stack import size as size
from jaxflow.maths import checks
from jaxflow.maths.keys import check_key
from jaxflow.maths.layers import apply, uniform_dense
from jaxflow.types import Params


class Encoder(nn.Module):
    """The condition's encoder h: Linear, ReLU, Linear."""

    inputs: int
    hidden: int
    outputs: int

    @nn.compact
    def __call__(self, cond: jax.Array) -> jax.Array:
        """(..., inputs) -> (..., outputs)."""
        hidden = nn.relu(uniform_dense(self.inputs, self.hidden)(cond))
        return uniform_dense(self.hidden, self.outputs)(hidden)


def init(key: jax.Array, config: FlowConfig = FlowConfig()) -> Params:
    """Fresh parameters: 2,157,176 float32 numbers in the released configuration.

    Args:
      key: one typed key.
      config: the architecture.

    Returns:
      ``{"encoder": ..., "blocks": ...}``, a nested dict of float32 arrays; those of the
      blocks have the block as their first axis. Without ``config.use_condition`` the
      encoder's first kernel is zero: the parameters then carry that the condition
      has no influence, and sampling needs no further argument.

    Raises:
      TypeError: a legacy key.
    """
    check_key(key)
    return _init(key, config)


@functools.partial(jax.jit, static_argnames="config")
def _init(key: jax.Array, config: FlowConfig) -> Params:
    encoder_key, blocks_key = jax.random.split(key)
    encoder = Encoder(config.condition, config.encoder_hidden, config.encoded)
    condition = jnp.zeros(config.condition, jnp.float32)
    half = 3 * config.joints // 2
    init_block = functools.partial(
        coupling.init, half=half, encoded=config.encoded, hidden=config.hidden
    )
    params = {
        "encoder": encoder.init(encoder_key, condition)["params"],
        "blocks": jax.vmap(init_block)(jax.random.split(blocks_key, config.blocks)),
    }
    if config.affine_hidden:
        params["affine"] = affine.init(jax.random.fold_in(key, 2), config)
        for net in params["blocks"].values():  # the blocks start as the identity
            net["output"] = jax.tree.map(jnp.zeros_like, net["output"])
    return trainable(params, config)


def trainable(tree: Params, config: FlowConfig) -> Params:
    """Parameters, or their gradient, zero where the configuration holds them at zero.

    Without ``config.use_condition`` those are the encoder's first kernel and what the
    affine layer's nets make of the condition; Adam leaves alone what starts at zero and
    never has a gradient.
    """
    if config.use_condition:
        return tree
    blind = {**tree, "encoder": _blind(tree["encoder"], config.condition)}
    if config.affine_hidden:
        inputs = affine.features(config.condition)
        blind["affine"] = affine.of_nets(
            tree["affine"], lambda net: _blind(net, inputs)
        )
    return blind


def _blind(net: Params, inputs: int) -> Params:
    """A net whose first layer does not see its first inputs."""
    first = net["Dense_0"]
    kernel = first["kernel"].at[:inputs].set(0)
    return {**net, "Dense_0": {**first, "kernel": kernel}}


def encode(params: Params, cond: jax.Array) -> jax.Array:
    """The encoded condition h: (..., 78) -> (..., 56)."""
    encoder = params["encoder"]
    inputs, hidden = encoder["Dense_0"]["kernel"].shape
    outputs = encoder["Dense_1"]["kernel"].shape[1]
    cond = checks.floating("cond", cond, (inputs,))
    return apply(Encoder(inputs, hidden, outputs), encoder, cond)


class Seen(NamedTuple):
    """What the flow makes of a condition alone: the same in both directions.

    Attributes:
      encoded: (..., 56) the condition, encoded.
      base: the affine layer's; None of a flow without one.
    """

    encoded: jax.Array
    base: affine.Base | None


def see(params: Params, cond: jax.Array) -> Seen:
    """Of conditions (..., 78), what is to be computed once for each."""
    encoded = encode(params, cond)  # which checks the condition
    layer = affine.base(params["affine"], cond) if "affine" in params else None
    return Seen(encoded, layer)


@checks.promoting
@functools.partial(jax.jit, static_argnames="clamp")
def forward(
    params: Params,
    pose3d: jax.typing.ArrayLike,
    cond: jax.typing.ArrayLike,
    *,
    clamp: SoftClamp = RELEASED_CLAMP,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A 3D pose to its latent vector and 2D pose (paper section 3.1).

    Args:
      params: from `init` or a checkpoint.
      pose3d: (..., 48) in the network's frame, metres (`geometry.normalize_pose3d`).
      cond: (..., 78) from `condition`, same leading shape.
      clamp: the soft clamp the parameters were trained with.

    Returns:
      z (..., 16), pose2d (..., 32) normalised, and the forward map's log|det J| (...).

    Raises:
      TypeError: not floating point.
      ValueError: wrong sizes, or leading shapes that differ.
    """
    return latents(params, pose3d, cond, clamp)


def latents(
    params: Params,
    pose3d: jax.typing.ArrayLike,
    cond: jax.typing.ArrayLike,
    clamp: SoftClamp,
    seen: Seen | None = None,
    **options: Any,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`forward`, where the conditions may have been seen already.

    Options are of `stack.forward`: how, not what, it computes.
    """
    length = size(params)
    pose3d = checks.floating("pose3d", pose3d, (length,))
    cond = jnp.asarray(cond)
    checks.same_batch(pose3d=pose3d.shape[:-1], cond=cond.shape[:-1])
    encoded, base = see(params, cond) if seen is None else seen
    blocks, columns = params["blocks"], _columns(pose3d)
    if base is not None:
        columns, further = affine.before_blocks(
            params["affine"], columns, base, stack.count(blocks)
        )
    encoded = _columns(encoded)
    output, log_det = stack.forward(blocks, columns, encoded, clamp, **options)
    z, pose2d = jnp.split(_rows(output), [length // 3], axis=-1)
    if base is not None:
        z = z - affine.shift(params["affine"], pose2d, cond)
        log_det = log_det + further
    return z, pose2d, log_det


@checks.promoting
@functools.partial(jax.jit, static_argnames="clamp")
def inverse(
    params: Params,
    z: jax.typing.ArrayLike,
    pose2d: jax.typing.ArrayLike,
    cond: jax.typing.ArrayLike,
    *,
    clamp: SoftClamp = RELEASED_CLAMP,
) -> tuple[jax.Array, jax.Array]:
    """A latent vector and a 2D pose to a 3D pose, the exact inverse of `forward`.

    Args:
      params: from `init` or a checkpoint.
      z: (..., 16) latent vectors.
      pose2d: (..., 32) normalised 2D poses (`geometry.normalize_pose2d`).
      cond: (..., 78) from `condition`.
      clamp: the soft clamp the parameters were trained with.

    Returns:
      pose3d (..., 48), network's frame, metres, and the inverse map's log|det J| (...).

    Raises:
      TypeError: not floating point.
      ValueError: wrong sizes, or leading shapes that differ.
    """
    length = size(params)
    z = checks.floating("z", z, (length // 3,))
    pose2d = checks.floating("pose2d", pose2d, (2 * length // 3,))
    cond = jnp.asarray(cond)
    checks.same_batch(z=z.shape[:-1], pose2d=pose2d.shape[:-1], cond=cond.shape[:-1])
    blocks, (encoded, base) = params["blocks"], see(params, cond)
    if base is not None:
        z = z + affine.shift(params["affine"], pose2d, cond)
    output = _columns(jnp.concatenate([z, pose2d], axis=-1))
    vector, log_det = stack.inverse(blocks, output, _columns(encoded), clamp)
    if base is not None:
        layer, count = params["affine"], stack.count(blocks)
        vector, further = affine.after_blocks(layer, vector, base, count)
        log_det = log_det + further
    return _rows(vector), log_det


def _columns(rows: jax.Array) -> jax.Array:
    """(..., D) -> (D, ...)."""
    return jnp.moveaxis(rows, -1, 0)


def _rows(columns: jax.Array) -> jax.Array:
    """(D, ...) -> (..., D)."""
    return jnp.moveaxis(columns, 0, -1)
