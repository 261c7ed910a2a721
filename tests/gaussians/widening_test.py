"""Maps of two peaks are as wide as they are, whoever made them; others stay."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow
from jaxflow.gaussians import ellipses, widening
from tests.detector.blazepose.uncertainty_test import bump

UNIT = 4.0 * np.eye(2)


@pytest.fixture(scope="module")
def maps():
    """(4, 64, 64): one bump, two, two of which one is faint, one on a little noise."""
    one, other = bump([20, 30], UNIT, 0.5), bump([44, 12], UNIT, 0.45)
    noise = np.abs(np.random.default_rng(0).normal(0, 0.01, one.shape))
    many = np.stack([one, one + other, one + 0.2 * other, one + noise])
    return jnp.asarray(many, jnp.float32)


@pytest.fixture(scope="module")
def both(maps):
    starts = jnp.asarray(np.tile([20.0, 30], (4, 1)), jnp.float32)
    fits = jaxflow.fit_gaussians(maps, starts)
    return fits, widening.widened(maps, fits)


def test_two_peaks_have_their_map_s_moments(maps, both):
    """By the definition: sums over pixels above a tenth of the peak."""
    before, after = both
    y, x = np.mgrid[:64, :64]
    weight = np.where(maps[1] > 0.1 * np.max(maps[1]), maps[1], 0).astype(np.float64)
    offset = np.stack([x, y], -1) - np.asarray(before.mean[1], np.float64)
    want = np.einsum("yx,yxi,yxj->ij", weight, offset, offset) / weight.sum()
    found = ellipses.covariance_image_frame(after.sigma[1], after.theta[1])
    np.testing.assert_allclose(found, want, rtol=2e-3, atol=0.05)
    volume = 2 * np.pi * float(after.amplitude[1] * jnp.prod(after.sigma[1]))
    assert volume == pytest.approx(weight.sum(), rel=1e-3)
    np.testing.assert_array_equal(after.mean[1], before.mean[1])
    assert float(jnp.max(before.sigma[1])) < 3 < 10 < float(jnp.max(after.sigma[1]))


@pytest.mark.parametrize("row", [0, 2, 3])
def test_what_one_gaussian_holds_stays(both, row):
    before, after = both
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one[row], other[row])


def test_bytes_and_what_has_no_fit(maps, both):
    pixels = np.rint(255 * np.asarray(maps)).astype(np.uint8)
    wide = widening.widened(jnp.asarray(pixels), both[0])
    np.testing.assert_allclose(wide.sigma[1], both[1].sigma[1], rtol=0.02)
    lost = both[0]._replace(converged=jnp.zeros(4, bool))
    spoiled = maps.at[1, 3, 3].set(jnp.nan)
    left = widening.widened(spoiled, lost)
    np.testing.assert_array_equal(left.sigma, lost.sigma)
