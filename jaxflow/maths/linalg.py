"""Exact small algebra: products at full precision, eigenvectors of tiny matrices.

Also roots and lengths that are differentiable at zero.

In: arrays with any leading batch shape. Out: the same batch shape. Accelerators lower
the precision of float32 products by default; what must be exact goes through here.
"""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp

# Cyclic Jacobi converges quadratically: a 4x4 matrix is diagonal to float64 after six.
_SWEEPS = 7


EXACT = jax.lax.Precision.HIGHEST


def einsum(subscripts: str, *operands: jax.Array) -> jax.Array:
    """``jnp.einsum`` whose products keep the full precision of their dtype."""
    return jnp.einsum(subscripts, *operands, precision=EXACT)


def matmul(a: jax.Array, b: jax.Array) -> jax.Array:
    """``jnp.matmul``, likewise."""
    return jnp.matmul(a, b, precision=EXACT)


def root(squared: jax.Array) -> jax.Array:
    """The square root, with a slope of zero at zero, where it has none."""
    flat = squared == 0
    return jnp.where(flat, 0, jnp.sqrt(jnp.where(flat, 1, squared)))


def length(vectors: jax.Array) -> jax.Array:
    """Of vectors (..., n), with the slope of `root` where they are zero: (...)."""
    return root(jnp.sum(vectors**2, axis=-1))


def solve_positive(matrix: jax.Array, vector: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Solutions x of A x = b for many tiny A, and the logarithms of their determinants.

    Elimination without pivoting, written out element by element: no call of LAPACK,
    which takes the matrices one by one.

    Args:
      matrix: (..., n, n) symmetric, positive definite.
      vector: (..., n).

    Returns:
      x (..., n) and log det A (...).
    """
    size = range(vector.shape[-1])
    rows = [[*(matrix[..., i, j] for j in size), vector[..., i]] for i in size]
    for k in size:
        for i in size[k + 1 :]:
            share = rows[i][k] / rows[k][k]
            rows[i] = [a - share * b for a, b in zip(rows[i], rows[k], strict=True)]
    log_det = sum(jnp.log(rows[k][k]) for k in size)
    solved: dict[int, jax.Array] = {}
    for k in reversed(size):
        known = sum(rows[k][j] * solved[j] for j in size[k + 1 :])
        solved[k] = (rows[k][-1] - known) / rows[k][k]
    return jnp.stack([solved[k] for k in size], axis=-1), jnp.asarray(log_det)


def eigh_jacobi(matrix: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Eigenvalues and eigenvectors of many tiny symmetric matrices.

    Cyclic Jacobi rotations written out element by element: no pivoting, no branches, so
    a batch runs as plain vector arithmetic on every backend, where a library call would
    take the matrices one at a time. Repeated and vanishing eigenvalues do no harm.

    Args:
      matrix: (..., n, n) symmetric, floating; n of about 6 at most. Only the upper
        triangle is read.

    Returns:
      values (..., n), in no particular order, and vectors (..., n, n): column k belongs
      to value k.
    """
    size = matrix.shape[-1]
    # Entries near one, so that squares neither overflow nor vanish.
    largest = jnp.max(jnp.abs(matrix), axis=(-2, -1))
    scale = jnp.where(largest > 0, largest, 1)
    scaled = matrix / scale[..., None, None]
    entries = {(i, j): scaled[..., i, j] for i in range(size) for j in range(i, size)}
    zero, unit = jnp.zeros_like(scale), jnp.ones_like(scale)
    vectors = [[unit if i == j else zero for j in range(size)] for i in range(size)]
    entries, vectors = jax.lax.fori_loop(
        0, _SWEEPS, lambda _, state: _sweep(*state), (entries, vectors)
    )
    values = jnp.stack([entries[i, i] for i in range(size)], axis=-1)
    columns = jnp.stack([jnp.stack(row, axis=-1) for row in vectors], axis=-2)
    return values * scale[..., None], columns


_Entries = dict[tuple[int, int], jax.Array]
_Rows = list[list[jax.Array]]


def _sweep(entries: _Entries, vectors: _Rows) -> tuple[_Entries, _Rows]:
    """One rotation for every off-diagonal entry, each making that entry zero."""
    for p, q in itertools.combinations(range(len(vectors)), 2):
        entries, vectors = _rotate(entries, vectors, p, q)
    return entries, vectors


def _rotate(
    entries: _Entries, vectors: _Rows, p: int, q: int
) -> tuple[_Entries, _Rows]:
    """The Jacobi rotation of rows and columns p < q."""
    app, aqq, apq = entries[p, p], entries[q, q], entries[p, q]
    difference = aqq - app
    # The smaller root of t^2 + t (aqq - app) / apq - 1, without dividing by apq.
    reach = jnp.abs(difference) + root(difference**2 + 4 * apq**2)
    sign = jnp.where(difference < 0, -1.0, 1.0).astype(apq.dtype)
    tangent = jnp.where(reach > 0, 2 * sign * apq / jnp.where(reach > 0, reach, 1), 0)
    cosine = jax.lax.rsqrt(1 + tangent**2)
    sine = tangent * cosine

    turned = dict(entries)
    turned[p, p] = app - tangent * apq
    turned[q, q] = aqq + tangent * apq
    turned[p, q] = jnp.zeros_like(apq)
    for k in range(len(vectors)):
        if k not in (p, q):
            kp, kq = (min(k, p), max(k, p)), (min(k, q), max(k, q))
            turned[kp] = cosine * entries[kp] - sine * entries[kq]
            turned[kq] = sine * entries[kp] + cosine * entries[kq]
    rows = [list(row) for row in vectors]
    for row in rows:
        row[p], row[q] = (
            cosine * row[p] - sine * row[q],
            sine * row[p] + cosine * row[q],
        )
    return turned, rows
