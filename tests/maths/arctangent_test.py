"""The arctangent of polynomials is NumPy's, with its slope and its edges."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.maths import arctangent


def test_the_arctangent_is_one():
    x = np.concatenate([np.linspace(-3, 3, 20001), np.geomspace(1e-30, 1e30, 20001)])
    x = x.astype(np.float32)
    got = np.asarray(jax.jit(arctangent.arctan)(x), np.float64)
    want = np.arctan(x.astype(np.float64))
    np.testing.assert_allclose(got, want, rtol=2.5e-7, atol=1e-44)
    odd = np.asarray(arctangent.arctan(jnp.asarray([0.0, -0.0, np.inf, -np.inf])))
    np.testing.assert_allclose(odd, [0, 0, np.pi / 2, -np.pi / 2], rtol=1e-7)
    assert np.isnan(arctangent.arctan(jnp.float32(np.nan)))


def test_the_arctangent_s_slope_and_other_dtypes():
    x = jnp.linspace(-4, 4, 41, dtype=jnp.float32)
    slope = jax.vmap(jax.grad(arctangent.arctan))(x)
    np.testing.assert_allclose(slope, 1 / (1 + np.square(x)), rtol=1e-6)
    with jax.enable_x64(True):
        double = jnp.linspace(-4, 4, 41, dtype=jnp.float64)
        np.testing.assert_array_equal(arctangent.arctan(double), jnp.arctan(double))
