"""Few steps in metres are a hidden temperature, and whitened coordinates cure it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.methods import flow_matching


def exact(deviation):
    """The velocity that takes N(0, 1) along straight lines to N(0, deviation^2)."""

    def velocity(x, t):
        return (deviation**2 * t - (1 - t)) / ((1 - t) ** 2 + (deviation * t) ** 2) * x

    return velocity


@pytest.mark.parametrize(
    ("deviation", "steps", "kept"),
    [
        # Metres, from noise of a metre: what is left of a posterior of 5 and 10 cm.
        (0.05, 3, 0.38),
        (0.05, 10, 0.89),
        (0.05, 25, 0.99),
        (0.1, 3, 0.67),
        # Whitened: as wide as the noise.
        (1.0, 2, 0.98),
        (1.0, 10, 1.0),
    ],
)
def test_share_of_the_spread_that_steps_keep(deviation, steps, kept):
    """Of the linear flow between two Gaussians, worked out by hand."""
    one = flow_matching.midpoint(exact(deviation), jnp.ones(()), steps)
    np.testing.assert_allclose(one / deviation, kept, atol=0.006)


@pytest.mark.parametrize("deviation", [0.4, 1.0, 2.0])
def test_the_density_is_the_flow_s(deviation):
    r = deviation * np.random.default_rng(0).normal(size=45).astype(np.float32)
    expected = jax.scipy.stats.norm.logpdf(r, scale=deviation).sum()
    found = flow_matching.log_density(exact(deviation), jnp.asarray(r))
    assert abs(float(found - expected)) < 0.02 * 45


def test_an_untrained_net_is_the_regression_s_gaussian():
    """Its noise comes out as it went in but for the two steps, and by the density."""
    x = np.random.default_rng(0).normal(size=(3, 45)).astype(np.float32)
    np.testing.assert_allclose(
        flow_matching.midpoint(flow_matching.of_gaussian, x, 2), 0.984 * x, atol=0.02
    )
    expected = jax.scipy.stats.norm.logpdf(x[0]).sum()
    found = flow_matching.log_density(flow_matching.of_gaussian, jnp.asarray(x[0]))
    assert abs(float(found - expected)) < 0.01 * 45
