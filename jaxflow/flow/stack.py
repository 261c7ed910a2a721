"""The flow's blocks one after the other, each followed by its permutation, on columns.

    forward:  pose3d (D, ...), h (56, ...) -> [z, pose2d] (D, ...), log_det (...)
    inverse:  [z, pose2d] (D, ...), h (56, ...) -> pose3d (D, ...), log_det (...)

Output i of a permutation is its input perm[i]; perm k is what NumPy's legacy generator
seeded with k gives: a constant, not a parameter.

Parameters are stacked over the blocks and the stack is a `lax.scan`: one block is
compiled, not eight. Separate blocks (`separate`) are compiled one by one, and a fifth
faster on a CPU: in a scan XLA:CPU reloads the biases for every element.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.config import SoftClamp
from jaxflow.flow import coupling
from jaxflow.maths import batching, checks
from jaxflow.types import Params

# Stacked over the blocks, or a tuple of each one's.
Blocks = Any

# A vector on its way through the stack, and the log-determinant so far.
_Carry = tuple[jax.Array, jax.Array]


@functools.lru_cache
def permutations(blocks: int, size: int) -> np.ndarray:
    """(blocks, size) int32: perm k is ``RandomState(k).permutation(size)``."""
    each = [np.random.RandomState(k).permutation(size) for k in range(blocks)]
    return _read_only(np.asarray(each, np.int32).reshape(blocks, size))


@functools.lru_cache
def order(blocks: int, size: int) -> np.ndarray:
    """(size,) int32: which input each output is where all blocks are the identity."""
    numbers = np.arange(size, dtype=np.int32)
    for perm in permutations(blocks, size):
        numbers = numbers[perm]
    return _read_only(numbers)


def _read_only(array: np.ndarray) -> np.ndarray:
    """The array: all callers share one that is cached."""
    array.setflags(write=False)
    return array


def separate(params: Params) -> Params:
    """Stacked parameters with ``blocks`` as a tuple: the parameters of each block.

    Whatever computes or writes takes either. A program that gets the blocks stacked
    copies each one's weights first, which for one pose is a tenth of its time: who
    draws often separates them once.
    """
    if isinstance(params["blocks"], tuple):
        return params
    return {**params, "blocks": _apart(params["blocks"])}


def idle(params: Params) -> bool:
    """Whether the blocks are the identity, as they begin under an affine layer.

    Without such a layer, and of numbers that are not at hand (traced, or of other
    processes), no.
    """
    blocks = params["blocks"]
    each = blocks if isinstance(blocks, tuple) else (blocks,)
    outputs = [net["output"] for block in each for net in block.values()]
    leaves = jax.tree.leaves(outputs)
    if "affine" not in params or not all(map(_at_hand, leaves)):
        return False
    return not any(np.any(leaf) for leaf in leaves)


def _at_hand(leaf: Any) -> bool:
    if isinstance(leaf, jax.core.Tracer):
        return False
    return not isinstance(leaf, jax.Array) or leaf.is_fully_addressable


def without_blocks(params: Params) -> Params:
    """The same map where they are `idle`, in whatever computes with parameters."""
    return {**params, "blocks": ()}


def stacked(params: Params) -> Params:
    """Parameters with their blocks stacked, as `jaxflow.init` gives them."""
    blocks = params.get("blocks")
    if not (isinstance(blocks, tuple) and blocks):
        return params
    return {**params, "blocks": jax.tree.map(lambda *one: jnp.stack(one), *blocks)}


@functools.partial(jax.jit, inline=True)
def _apart(blocks: Blocks) -> Blocks:
    return tuple(
        jax.tree.map(lambda leaf, k=k: leaf[k], blocks) for k in range(count(blocks))
    )


def forward(
    blocks: Blocks,
    pose3d: jax.Array,
    encoded: jax.Array,
    clamp: SoftClamp,
    *,
    for_training: bool = False,
) -> _Carry:
    """pose3d (D, ...) -> [z, pose2d] (D, ...) and the map's log|det J| (...).

    What is computed ``for_training`` differentiates in reverse mode alone, where it
    scatters nothing.
    """

    def step(carry: _Carry, block: Any) -> tuple[_Carry, None]:
        u, total = carry
        weights, perm, undo, share = block
        v, log_det = coupling.forward(weights, u, share, clamp)
        v = _unpermuted(v, undo, perm) if for_training else _permuted(v, perm)
        return (v, total + log_det), None

    perms, undo = _both(count(blocks), pose3d.shape[0])
    nets, shares = _hoisted(blocks, encoded)
    return _through(step, _start(pose3d), (nets, perms, undo, shares))


def inverse(
    blocks: Blocks,
    output: jax.Array,
    encoded: jax.Array,
    clamp: SoftClamp,
    *,
    for_training: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """[z, pose2d] (D, ...) -> pose3d (D, ...) and the map's log|det J| (...).

    Where h has axes of length one, hypotheses share what it contributes. What is
    computed ``for_training`` differentiates in reverse mode alone, where it keeps no
    hidden layer and scatters nothing.
    """
    net = coupling.recomputing_net if for_training else coupling.plain_net

    def step(carry: _Carry, block: Any) -> tuple[_Carry, None]:
        v, total = carry
        weights, perm, undo, share = block
        v = _unpermuted(v, perm, undo) if for_training else _permuted(v, undo)
        u, log_det = coupling.inverse(weights, v, share, clamp, net)
        return (u, total + log_det), None

    perms, undo = _both(count(blocks), output.shape[0])
    nets, shares = _hoisted(blocks, encoded)
    inputs = nets, perms, undo, shares
    return _through(step, _start(output), inputs, reverse=True)


def _start(vector: jax.Array) -> _Carry:
    return vector, jnp.zeros(vector.shape[1:], vector.dtype)


def _both(blocks: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The permutations and their inverses, (blocks, size) each."""
    perms = permutations(blocks, size)
    return perms, np.argsort(perms, axis=-1).astype(np.int32)


def _hoisted(blocks: Blocks, encoded: jax.Array) -> tuple[Blocks, Any]:
    """Each block's nets, and their shares: if stacked, by one product."""
    if isinstance(blocks, tuple):
        return blocks, tuple(coupling.project(block, encoded) for block in blocks)
    nets = {
        name: {k: {"kernel": net[k]["kernel"]} for k in ("features", "output")}
        for name, net in blocks.items()
    }
    return nets, coupling.project(blocks, encoded)


def _through(
    step: Callable[[_Carry, Any], tuple[_Carry, None]],
    carry: _Carry,
    inputs: tuple[Any, ...],
    reverse: bool = False,
) -> _Carry:
    """The carry after one block after the other."""
    if not isinstance(inputs[0], tuple):
        # Written out, a block's weights need no copy, nor its gradient a place in a
        # stack: half of all the kernels that a GPU would have to start.
        unroll = batching.platform() == "gpu"
        return jax.lax.scan(step, carry, inputs, reverse=reverse, unroll=unroll)[0]
    blocks = list(zip(*inputs, strict=True))
    for block in reversed(blocks) if reverse else blocks:
        carry, _ = step(carry, block)
    return carry


def _permuted(vector: jax.Array, perm: jax.Array) -> jax.Array:
    """Number i is number perm[i] of the columns (D, ...)."""
    return vector.at[perm].get(mode="promise_in_bounds", unique_indices=True)


@jax.custom_vjp
def _unpermuted(vector: jax.Array, perm: jax.Array, undo: jax.Array) -> jax.Array:
    """`_permuted` by ``undo``, whose gradient is `_permuted` by its inverse ``perm``.

    JAX makes a scatter of it, which an accelerator does number by number.
    """
    return _permuted(vector, undo)


def _unpermuted_forward(
    vector: jax.Array, perm: jax.Array, undo: jax.Array
) -> tuple[jax.Array, jax.Array]:
    return _permuted(vector, undo), perm


def _unpermuted_backward(
    perm: jax.Array, cotangent: jax.Array
) -> tuple[jax.Array, None, None]:
    return _permuted(cotangent, perm), None, None


_unpermuted.defvjp(_unpermuted_forward, _unpermuted_backward)


def count(blocks: Blocks) -> int:
    """How many blocks there are."""
    if isinstance(blocks, tuple):
        return len(blocks)
    return blocks["net1"]["output"]["bias"].shape[0]


def size(params: Params) -> int:
    """D, the length of a pose: 48; refuses what are no parameters."""
    checks.params(params)
    blocks = params["blocks"]
    if blocks == ():
        layer = params["affine"]
        mean = layer.get("symmetric", layer)["mean"]
        return mean[f"Dense_{len(mean) - 1}"]["bias"].shape[-1]
    block = blocks[0] if isinstance(blocks, tuple) else blocks
    return block["net1"]["output"]["bias"].shape[-1]
