"""Exact products of narrow matrices, on a matrix unit that multiplies bfloat16s.

    a = hi + mid + lo, three bfloat16s that hold a float32; so is b
    a b = hi hi + hi mid + mid hi + hi lo + lo hi + mid mid

These six are what "highest" precision computes on a TPU, one after the other, each
filled up with zeros to the 128 rows and columns of its matrix unit; "high" takes the
first three. A coupling net's 24 numbers so use a fifth of it. Side by side the parts of
what is summed over, or one above the other those of a narrow result, the same six
products take two passes or three, and the three one or two. Elsewhere, where the unit
is full, or with little to do, a product is XLA's. Numbers that a bfloat16 cannot hold,
infinite ones or above 3.39e38, give NaN.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.maths.batching import platform
from jaxflow.maths.layers import precision

_UNIT = 128
_SUMMED = 3 * _UNIT // 6  # numbers whose six copies take three passes
_ROWS = _UNIT // 3  # whose three parts fit the unit
# Multiplications, below which making the parts takes longer than is saved.
_LEAST = 1 << 26
# Parts that are multiplied, of a and of b, where there are three parts or two.
_PAIRS = {3: ((0, 0, 1, 0, 2, 1), (0, 1, 0, 2, 0, 1)), 2: ((0, 0, 1), (0, 1, 0))}

Axes = tuple[int, ...]


class _Form(NamedTuple):
    """How parts lie: beside each other along what is summed, else above; how many."""

    beside: bool
    parts: int


def product(a: jax.Array, b: jax.Array, left: Axes, right: Axes) -> jax.Array:
    """The nets' product of two arrays, in their precision: see `layers`.

    Args:
      a: a matrix (K, N) or (N, K), or (N, ...) where all but the first are summed over.
      b: (K, ...), or (M, ...) likewise.
      left: axes of a that are summed over: one, or all but the first.
      right: the same of b.

    Returns:
      (N, ...) or (N, M): a's other axis, then b's others. It differentiates in every
      mode.
    """
    form = _form(a, b, left)
    if form is None:
        return _plain(a, b, left, right)
    return _narrow(a, b, left, right, form)


def _form(a: jax.Array, b: jax.Array, left: Axes) -> _Form | None:
    """How the parts lie; None where XLA's product will do."""
    # An exported program of any size is for any platform.
    sized = all(isinstance(length, int) for length in (*a.shape, *b.shape))
    if platform() != "tpu" or not sized:
        return None
    summed = max(1, math.prod(a.shape[axis] for axis in left))
    rows, parts = a.size // summed, _asked()
    small = rows * b.size < _LEAST
    narrow = summed <= _SUMMED or rows <= _ROWS
    float32 = a.dtype == b.dtype == jnp.float32
    if small or not (narrow and float32 and parts):
        return None
    return _Form(summed <= _SUMMED, parts)


def _asked() -> int:
    """Parts that the precision asked for is of; 0 for one that is not of several."""
    setting = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    return {None: 3, "highest": 3, "float32": 3, "high": 2, "tensorfloat32": 2}.get(
        setting, 0
    )


def _plain(a: jax.Array, b: jax.Array, left: Axes, right: Axes) -> jax.Array:
    if len(left) > 1:  # as one, of which XLA:CPU makes a faster program
        a, b = (jax.lax.collapse(array, 1) for array in (a, b))
        left = right = (1,)
    axes = (left, right), ((), ())
    return jax.lax.dot_general(a, b, axes, precision=precision())


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def _narrow(
    a: jax.Array, b: jax.Array, left: Axes, right: Axes, form: _Form
) -> jax.Array:
    return (_beside if form.beside else _above)(a, b, left, right, form.parts)


@_narrow.defjvp
def _narrow_jvp(
    left: Axes, right: Axes, form: _Form, primals: Any, tangents: Any
) -> tuple[jax.Array, jax.Array]:
    # Rounding to bfloat16 has a derivative of its own, which is not the product's.
    (a, b), (by_a, by_b) = primals, tangents
    change = _plain(by_a, b, left, right) + _plain(a, by_b, left, right)
    return _narrow(a, b, left, right, form), change


def _beside(
    a: jax.Array, b: jax.Array, left: Axes, right: Axes, parts: int
) -> jax.Array:
    """Parts along a further axis that is summed over, too."""
    axes = tuple((0, *(axis + 1 for axis in side)) for side in (left, right))
    ours, theirs = _PAIRS[parts]
    return _multiplied(_copies(a, ours), _copies(b, theirs), axes)


def _above(
    a: jax.Array, b: jax.Array, left: Axes, right: Axes, parts: int
) -> jax.Array:
    """Parts of a along the axis that stays; their products are added up at last."""
    (axis,) = set(range(a.ndim)) - set(left)
    ours, theirs = _parts(a), _parts(b)[:parts]
    total: Any = 0
    for number, part in enumerate(theirs):
        several = [p.astype(jnp.bfloat16) for p in ours[: len(theirs) - number]]
        stack = jnp.concatenate(several, axis=axis)
        rows = _multiplied(stack, part.astype(jnp.bfloat16), (left, right))
        total += sum(jnp.split(rows, len(several)))
    return total


def _copies(x: jax.Array, which: tuple[int, ...]) -> jax.Array:
    """Parts of x (...), (len(which), ...) bfloat16."""
    hi, mid, lo = _parts(x[None])
    part = np.asarray(which).reshape(-1, *(1,) * x.ndim)
    # Chosen, not put together: the compiler makes it part of the product.
    return jnp.where(part == 0, hi, jnp.where(part == 1, mid, lo)).astype(jnp.bfloat16)


def _parts(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """hi, mid and lo: float32s that are bfloat16s."""

    def rounded(x: jax.Array) -> jax.Array:
        # A conversion there and back the compiler may leave out.
        return jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)

    hi = rounded(x)
    mid = rounded(x - hi)
    return hi, mid, rounded(x - hi - mid)


def _multiplied(a: jax.Array, b: jax.Array, axes: Any) -> jax.Array:
    # One pass, whatever precision was asked for: products of bfloat16s are exact.
    return jax.lax.dot_general(
        a,
        b,
        (axes, ((), ())),
        precision=jax.lax.Precision.DEFAULT,
        preferred_element_type=jnp.float32,
    )
