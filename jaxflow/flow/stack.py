"""The flow's blocks one after the other, each followed by its permutation, on columns.

    forward:  pose3d (D, ...), h or its shares -> [z, pose2d] (D, ...), log_det (...)
    inverse:  [z, pose2d] (D, ...), h or its shares -> pose3d (D, ...), log_det (...)

Output i of a permutation is its input perm[i]; perm k is what NumPy's legacy generator
seeded with k gives: a constant, not a parameter.

Parameters are stacked over the blocks and the stack is a `lax.scan`: one block is
compiled, not eight. Separate blocks (`separate`) are compiled one by one, and a fifth
faster on a CPU, which in a loop fetches a block's biases for each number anew.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.config import SoftClamp
from jaxflow.flow import coupling
from jaxflow.types import Params

# The encoded condition h (56, ...), or what it contributes to each net, in a form with
# the blocks in front: two of (blocks, hidden, ...).
Condition = jax.Array | coupling.Projected

# A vector on its way through the stack, and the log-determinant so far.
_Carry = tuple[jax.Array, jax.Array]


@functools.lru_cache
def permutations(blocks: int, size: int) -> np.ndarray:
    """(blocks, size) int32: perm k is ``RandomState(k).permutation(size)``."""
    return np.stack(
        [np.random.RandomState(k).permutation(size) for k in range(blocks)]
    ).astype(np.int32)


def separate(params: Params) -> Params:
    """Stacked parameters with ``blocks`` as a tuple: the parameters of each block."""
    if isinstance(params["blocks"], tuple):
        return params
    blocks = tuple(
        jax.tree.map(lambda leaf, k=k: leaf[k], params["blocks"])
        for k in range(_blocks(params))
    )
    return {**params, "blocks": blocks}


def project(params: Params, encoded: jax.Array) -> coupling.Projected:
    """What h (56, ...) contributes to each net: two of (blocks, hidden, ...)."""
    return jax.vmap(coupling.project, in_axes=(0, None))(params["blocks"], encoded)


def forward(
    params: Params, pose3d: jax.Array, condition: Condition, clamp: SoftClamp
) -> tuple[jax.Array, jax.Array]:
    """pose3d (D, ...) -> [z, pose2d] (D, ...) and the map's log|det J| (...)."""
    perms = permutations(_blocks(params), pose3d.shape[0])
    encoded, shares = _either(condition)

    def step(carry: _Carry, block: Any) -> tuple[_Carry, None]:
        u, total = carry
        weights, perm, share = block
        share = coupling.project(weights, encoded) if share is None else share
        v, log_det = coupling.forward(weights, u, share, clamp)
        return (_permuted(v, perm), total + log_det), None

    start = pose3d, jnp.zeros(pose3d.shape[1:], pose3d.dtype)
    inputs = params["blocks"], perms, shares
    (output, log_det), _ = jax.lax.scan(step, start, inputs)
    return output, log_det


def inverse(
    params: Params,
    output: jax.Array,
    condition: Condition,
    clamp: SoftClamp,
    *,
    net: coupling.Net = coupling.plain_net,
) -> tuple[jax.Array, jax.Array]:
    """[z, pose2d] (D, ...) -> pose3d (D, ...) and the map's log|det J| (...).

    Separate blocks take h as the condition: they project it themselves.
    """
    perms = permutations(_blocks(params), output.shape[0])
    undo = np.argsort(perms, axis=-1).astype(np.int32)
    encoded, shares = _either(condition)

    def step(carry: _Carry, block: Any) -> tuple[_Carry, None]:
        v, total = carry
        weights, perm, share = block
        share = coupling.project(weights, encoded) if share is None else share
        u, log_det = coupling.inverse(weights, _permuted(v, perm), share, clamp, net)
        return (u, total + log_det), None

    carry = output, jnp.zeros(output.shape[1:], output.dtype)
    blocks = params["blocks"]
    if isinstance(blocks, tuple):
        for weights, perm in zip(reversed(blocks), undo[::-1], strict=True):
            carry, _ = step(carry, (weights, perm, None))
    else:
        carry, _ = jax.lax.scan(step, carry, (blocks, undo, shares), reverse=True)
    return carry


def _either(condition: Condition) -> tuple[Any, coupling.Projected | None]:
    """(h, None) or (None, its shares)."""
    if isinstance(condition, coupling.Projected):
        return None, condition
    return condition, None


def _permuted(vector: jax.Array, perm: jax.Array) -> jax.Array:
    """Number i is number perm[i] of the columns (D, ...)."""
    return vector.at[perm].get(mode="promise_in_bounds", unique_indices=True)


def _blocks(params: Params) -> int:
    blocks = params["blocks"]
    if isinstance(blocks, tuple):
        return len(blocks)
    return blocks["net1"]["output"]["bias"].shape[0]
