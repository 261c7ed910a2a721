"""The normal equations from moments, against Jacobians and Hessians by autodiff."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.gaussians import heatmaps, moments
from tests.oracles import gaussian_fit as oracle

QUADRATIC = np.array(
    [[0.7, 10.3, 8.8, 0.12, 0.02, 0.15], [0.4, 3.1, 14.9, 0.05, 0, 0.2]]
)


@pytest.fixture(scope="module")
def case():
    """Two maps (2, 18, 20), two bumps, and the change of parameters by a step."""
    maps = oracle.random_maps(2, seed=4)[0][:, 20:38, 20:40].astype(np.float64)
    with jax.enable_x64(True):
        change = jax.jit(jax.vmap(jax.jacobian(moments.apply_step, argnums=1)))(
            QUADRATIC, np.zeros((2, 6))
        )
    return maps, np.asarray(change)


def cost(quadratic, heatmap):
    residual = heatmaps.render_quadratic(quadratic, *heatmap.shape) - heatmap
    return jnp.sum(residual**2) / 2


def test_matrix_and_vector_are_those_of_the_jacobian(case):
    maps, change = case
    with jax.enable_x64(True):
        found = jax.device_get(jax.jit(moments.of_bumps)(maps, QUADRATIC))
        render = lambda q: heatmaps.render_quadratic(q, 18, 20).ravel()  # noqa: E731
        jacobians = np.asarray(jax.jit(jax.vmap(jax.jacobian(render)))(QUADRATIC))
        rendered = np.asarray(jax.jit(jax.vmap(render))(QUADRATIC))
        for i in range(2):
            jacobian = jacobians[i] @ change[i]
            residual = maps[i].ravel() - rendered[i]
            np.testing.assert_allclose(
                found.matrix[i], jacobian.T @ jacobian, rtol=1e-9, atol=1e-12
            )
            np.testing.assert_allclose(
                found.vector[i], jacobian.T @ residual, rtol=1e-9, atol=1e-12
            )
            np.testing.assert_allclose(found.cost[i], residual @ residual, rtol=1e-12)


def test_a_step_is_a_first_order_change_of_the_logarithm(case):
    """log g changes by step . P, up to second order."""
    step = 1e-6 * np.array([0.3, -0.2, 0.5, 0.01, -0.02, 0.03])
    with jax.enable_x64(True):
        render = jax.jit(lambda q: heatmaps.render_quadratic(q, 18, 20))
        moved = QUADRATIC[0] + jax.jit(moments.apply_step)(QUADRATIC[0], step)
        before, after = (np.log(render(q)) for q in (QUADRATIC[0], np.asarray(moved)))
    dx, dy = np.meshgrid(np.arange(20) - 10.3, np.arange(18) - 8.8)
    monomials = np.stack([np.ones_like(dx), dx, dy, dx * dx, dx * dy, dy * dy])
    expected = np.tensordot(step, monomials, 1)
    np.testing.assert_allclose(after - before, expected, atol=1e-9)
