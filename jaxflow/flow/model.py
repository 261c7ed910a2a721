"""The conditional flow: 8 coupling blocks, each followed by a fixed permutation.

    forward:  pose3d (..., 48), cond (..., 78) -> z (..., 16), pose2d (..., 32)
    inverse:  z (..., 16), pose2d (..., 32), cond (..., 78) -> pose3d (..., 48)

Paper section 3.1. Everything is a pure function of the parameters; sizes are read from
them, so smaller flows work too. Parameters are stacked over the blocks (`stack`), and
the blocks work on columns, the numbers of a vector first (`layers`); here vectors are
rows. `forward`, `inverse` and `log_prob` are compiled once per shape.
"""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.config import RELEASED_CLAMP, FlowConfig, SoftClamp
from jaxflow.flow import affine, coupling, stack
from jaxflow.flow.stack import permutations as permutations
from jaxflow.flow.stack import separate as separate
from jaxflow.flow.stack import size as size
from jaxflow.maths import checks, geometry
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
        params["affine"] = affine.init(
            jax.random.fold_in(key, 2), config.condition, 2 * half, config.affine_hidden
        )
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
        nets = tree["affine"].items()
        blind["affine"] = {name: _blind(net, inputs) for name, net in nets}
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
    **options: Any,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`forward` with options of `stack.forward`: how, not what, it computes."""
    length = size(params)
    pose3d = checks.floating("pose3d", pose3d, (length,))
    cond = jnp.asarray(cond)
    checks.same_batch(pose3d=pose3d.shape[:-1], cond=cond.shape[:-1])
    blocks, encoded = params["blocks"], _columns(encode(params, cond))
    columns = _columns(pose3d)
    if "affine" in params:
        base = affine.base(params["affine"], cond)
        columns, further = affine.before_blocks(columns, base, stack.count(blocks))
    output, log_det = stack.forward(blocks, columns, encoded, clamp, **options)
    z, pose2d = jnp.split(_rows(output), [length // 3], axis=-1)
    if "affine" in params:
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
    if "affine" in params:
        z = z + affine.shift(params["affine"], pose2d, cond)
    output = _columns(jnp.concatenate([z, pose2d], axis=-1))
    blocks, encoded = params["blocks"], _columns(encode(params, cond))
    vector, log_det = stack.inverse(blocks, output, encoded, clamp)
    if "affine" in params:
        base = affine.base(params["affine"], cond)
        vector, further = affine.after_blocks(vector, base, stack.count(blocks))
        log_det = log_det + further
    return _rows(vector), log_det


@checks.promoting
def log_prob(
    params: Params,
    pose3d: jax.typing.ArrayLike,
    pose2d: jax.typing.ArrayLike,
    cond: jax.typing.ArrayLike,
    *,
    observation_scale: float | jax.Array,
    clamp: SoftClamp = RELEASED_CLAMP,
) -> jax.Array:
    """Log-density of the posterior p(pose3d | pose2d, cond), exact.

        log N(z; 0, I) + log N(pose2d_hat; pose2d, scale^2 I) + log|det J|

    with [z, pose2d_hat] = forward(pose3d). With an exact observation the posterior
    lives on a 16-dimensional surface and has no density; the 2D pose is therefore taken
    to carry Gaussian noise.

    How to choose the noise: the standard deviation over all 32 numbers of a normalised
    2D pose is 1, so ``observation_scale`` is the detector's error as a share of the
    spread of the joints it found, pixels over ``jnp.std`` of the centred pixels. A
    detector that is off by 5 px in a person whose joints spread by 60 px has about
    0.08. Below the error there really is, plausible poses count as impossible.

    Args:
      params: from `init` or a checkpoint.
      pose3d: (..., 48) network's frame, metres, or (..., 17, 3) metres, camera frame,
        as `sample` gives it (`geometry.normalize_pose3d` is applied, which centres
        it). It may have batch axes behind those of pose2d, as (..., M, 17, 3) has.
      pose2d: (..., 32) the observed, normalised 2D pose.
      cond: (..., 78) from `condition`.
      observation_scale: standard deviation of the noise of pose2d, normalised units,
        one or (...) of them, above 0 (else the result is NaN: a traced number cannot
        be refused).
      clamp: the soft clamp the parameters were trained with.

    Returns:
      The batch shape of pose3d: nats, a density over the 48 numbers of its vector.

    Raises:
      TypeError: not floating point, or no parameters.
      ValueError: wrong sizes, leading shapes that differ, or coordinates that no body
        has in metres (where they are no traced values).
    """
    vector = as_vector(params, pose3d)
    pose2d = checks.floating("pose2d", pose2d, (2 * size(params) // 3,))
    cond, scale = jnp.asarray(cond), jnp.asarray(observation_scale, vector.dtype)
    batch, extra = pose2d.shape[:-1], vector.ndim - pose2d.ndim
    checks.one_or_each("observation_scale", scale, batch)
    checks.positive("observation_scale", scale)
    if extra > 0 and vector.shape[: len(batch)] == batch == cond.shape[:-1]:
        behind = (*vector.shape[:-1], 1)
        pose2d, cond = (
            jnp.broadcast_to(
                row.reshape(*batch, *(1,) * extra, -1), (*behind[:-1], row.shape[-1])
            )
            for row in (pose2d, cond)
        )
        if scale.ndim:
            scale = jnp.broadcast_to(scale.reshape(*batch, *(1,) * extra), behind[:-1])
    return _log_prob(params, vector, pose2d, cond, scale, clamp=clamp)


def as_vector(params: Params, pose3d: jax.typing.ArrayLike) -> jax.Array:
    """Poses (..., 48), or (..., 17, 3) as `sample` gives them, as the former.

    Raises:
      TypeError, ValueError: as `log_prob` does.
    """
    length, pose = size(params), jnp.asarray(pose3d)
    if pose.shape[-2:] == (length // 3 + 1, 3):
        pose = geometry.normalize_pose3d(pose)
    elif pose.ndim > 1 and pose.shape[-1] == 3:
        both = f"(..., {length}) or (..., {length // 3 + 1}, 3)"
        raise ValueError(f"expected pose3d of shape {both}; got {pose.shape}")
    pose = checks.floating("pose3d", pose, (length,))
    checks.human_scale("pose3d", pose)
    return pose


@functools.partial(jax.jit, static_argnames="clamp")
def _log_prob(
    params: Params,
    pose3d: jax.Array,
    pose2d: jax.Array,
    cond: jax.Array,
    observation_scale: jax.Array,
    *,
    clamp: SoftClamp,
) -> jax.Array:
    """`log_prob` of vectors, all of one batch shape."""
    z, predicted, log_det = forward(params, pose3d, cond, clamp=clamp)
    checks.same_batch(pose3d=z.shape[:-1], pose2d=pose2d.shape[:-1])
    scale = jnp.asarray(observation_scale, predicted.dtype)
    residual = (predicted - pose2d) / scale[..., None]
    normal = jax.scipy.stats.norm.logpdf
    log_likelihood = jnp.sum(normal(residual), -1) - pose2d.shape[-1] * jnp.log(scale)
    return jnp.sum(normal(z), axis=-1) + log_likelihood + log_det


def _columns(rows: jax.Array) -> jax.Array:
    """(..., D) -> (D, ...)."""
    return jnp.moveaxis(rows, -1, 0)


def _rows(columns: jax.Array) -> jax.Array:
    """(D, ...) -> (..., D)."""
    return jnp.moveaxis(columns, 0, -1)
