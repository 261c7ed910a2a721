"""Small algebra beside LAPACK's, and products that keep their precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.maths import linalg


def test_jacobi_equals_lapack():
    matrix = np.random.default_rng(8).normal(size=(50, 4, 4)).astype(np.float32)
    matrix = matrix + matrix.swapaxes(-1, -2)
    matrix[0] = np.diag([3, 3, 3, 1])
    matrix[1] = 0
    values, vectors = linalg.eigh_jacobi(matrix)
    np.testing.assert_allclose(
        np.sort(values, axis=-1), np.linalg.eigvalsh(matrix), atol=5e-6
    )
    rebuilt = np.einsum("nij,nj,nkj->nik", vectors, values, vectors)
    np.testing.assert_allclose(rebuilt, matrix, atol=5e-6)
    unit = np.einsum("nij,nik->njk", vectors, vectors)
    np.testing.assert_allclose(unit, np.broadcast_to(np.eye(4), unit.shape), atol=2e-6)


@pytest.mark.parametrize("size", [1, 3])
def test_any_scale(size):
    eigh = jax.jit(linalg.eigh_jacobi)
    matrix = np.random.default_rng(size).normal(size=(20, size, size))
    for scale in (1e-18, 1.0, 1e18):
        symmetric = np.float32((matrix + matrix.swapaxes(-1, -2)) * scale)
        values, vectors = eigh(symmetric)
        moved = np.einsum("nij,njk->nik", symmetric, vectors)
        wanted = vectors * values[:, None]
        largest = np.abs(symmetric).max()
        np.testing.assert_allclose(moved / largest, wanted / largest, atol=1e-5)


def test_roots_and_lengths_have_a_slope_of_zero_at_zero():
    vectors = jnp.asarray([[0.0, 0], [3, 4]])
    np.testing.assert_array_equal(linalg.length(vectors), [0, 5])
    slope = jax.grad(lambda v: linalg.length(v).sum())(vectors)
    np.testing.assert_allclose(slope, [[0, 0], [0.6, 0.8]], rtol=1e-6)


def test_products_ask_for_full_precision():
    x = jnp.ones((2, 2))
    with jax.default_matmul_precision("bfloat16"):
        text = jax.jit(lambda x: linalg.einsum("ij,jk->ik", x, x)).lower(x).as_text()
    assert "HIGHEST" in text


def test_tiny_positive_systems():
    rng = np.random.default_rng(3)
    roots = rng.normal(size=(5, 4, 3, 3))
    matrix = roots @ np.swapaxes(roots, -1, -2) + 0.1 * np.eye(3)
    vector = rng.normal(size=(5, 4, 3))
    with jax.enable_x64(True):
        solved, log_det = jax.jit(linalg.solve_positive)(matrix, vector)
    want = np.linalg.solve(matrix, vector[..., None])[..., 0]
    np.testing.assert_allclose(solved, want, rtol=1e-9)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(matrix)[1], rtol=1e-9)
