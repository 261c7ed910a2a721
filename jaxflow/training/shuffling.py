"""The order in which an epoch shows its frames: a shuffle that is never written down.

    key, position in the epoch -> row of the data set

Sorting random numbers would cost every dispatch a sort of the whole data set. A keyed
bijection gives the row at any position by itself: a Feistel network shuffles the
numbers below the next power of two, and what lies beyond the data set is shuffled on
until it lies within (cycle walking). Source: Black and Rogaway 2002, "Ciphers with
arbitrary finite domains".
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

# Even with few bits, where rounds are weak, every row is as likely at every position.
_ROUNDS = 8


def rows_at(key: jax.Array, positions: jax.Array, frames: int) -> jax.Array:
    """The rows at some positions of the shuffled order.

    Over all positions below ``frames`` each row comes once.

    Args:
      key: of the epoch.
      positions: any shape, int32, from 0 and below ``frames``.
      frames: of the data set, at least 1.

    Returns:
      int32 rows, of the shape of ``positions``.
    """
    bits = max(2, (frames - 1).bit_length())
    round_keys = jax.random.bits(key, (_ROUNDS,), jnp.uint32)

    def outside(rows: jax.Array) -> jax.Array:
        return jnp.any(rows >= frames)

    def walk(rows: jax.Array) -> jax.Array:
        return jnp.where(rows < frames, rows, _network(rows, round_keys, bits))

    start = _network(positions.astype(jnp.uint32), round_keys, bits)
    return jax.lax.while_loop(outside, walk, start).astype(jnp.int32)


def _network(numbers: jax.Array, round_keys: jax.Array, bits: int) -> jax.Array:
    """A bijection of the uint32 numbers of so many bits: halves change in turn."""
    low_bits = bits // 2
    high_mask = jnp.uint32(2 ** (bits - low_bits) - 1)
    low_mask = jnp.uint32(2**low_bits - 1)
    high, low = numbers >> low_bits, numbers & low_mask
    for number in range(_ROUNDS):
        if number % 2:
            low = low ^ (_mixed(high ^ round_keys[number]) & low_mask)
        else:
            high = high ^ (_mixed(low ^ round_keys[number]) & high_mask)
    return (high << low_bits) | low


def _mixed(numbers: jax.Array) -> jax.Array:
    """Every bit of the result depends on all: the finaliser of MurmurHash3."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        numbers = (numbers ^ (numbers >> shift)) * jnp.uint32(factor)
    return numbers ^ (numbers >> 16)
