"""The covariance conventions, the sign trap above all, and the released layout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import gaussians
from jaxflow.gaussians import heatmaps
from jaxflow.gaussians.condition import condition
from jaxflow.types import GaussianFit

# Compiled whole: op by op, the first call of each costs seconds.
is_ambiguous = jax.jit(gaussians.is_ambiguous)


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class TestCovarianceConventions:
    """The sign trap, against points drawn from the bump itself."""

    @pytest.fixture(scope="class")
    @classmethod
    def tilted(cls):
        return GaussianFit(
            amplitude=np.float32(1),
            mean=np.float32([31, 33]),
            sigma=np.float32([5, 2]),
            theta=np.float32(0.6),
            rmse=np.float32(0),
            converged=np.bool_(True),
        )

    @staticmethod
    def sampled(fit):
        """Covariance of pixels drawn with the bump as their density: y points down."""
        density = np.asarray(jax.jit(heatmaps.render)(fit), np.float64).ravel()
        rng = np.random.default_rng(0)
        chosen = rng.choice(density.size, 200_000, p=density / density.sum())
        rows, columns = np.unravel_index(chosen, (64, 64))
        return np.cov(np.stack([columns, rows]))

    def test_image_frame_is_the_spread_of_the_pixels(self, tilted):
        covariance = gaussians.covariance_image_frame(tilted.sigma, tilted.theta)
        np.testing.assert_allclose(covariance, self.sampled(tilted), atol=0.25)
        assert covariance[0, 1] < -5  # towards the upper right is up in y, down in rows

    def test_pose_frame_is_that_with_y_up(self, tilted):
        covariance = gaussians.covariance_pose_frame(tilted.sigma, tilted.theta)
        flip = np.diag([1, -1])
        expected = flip @ self.sampled(tilted) @ flip
        np.testing.assert_allclose(covariance, expected, atol=0.25)

    def test_condition_uses_the_pose_frame(self, tilted):
        fits = jax.tree.map(lambda x: np.broadcast_to(x, (16, *x.shape)), tilted)
        apart = np.arange(32, dtype=np.float32).reshape(16, 2)
        fits = fits._replace(mean=fits.mean + apart)
        # Both sigmas are doubled where they exceed 2.1; 2.0 is not.
        sigma = np.float32([10, 2]) / 20
        expected = gaussians.covariance_pose_frame(sigma, tilted.theta)
        found = np.asarray(jax.jit(condition)(fits)).reshape(13, 6)[0, 3:]
        np.testing.assert_allclose(
            found, [expected[0, 0], expected[0, 1], expected[1, 1]], atol=1e-6
        )

    def test_sigma_theta_inverts(self):
        sigma = np.exp(0.5 * numbers(1, 50, 2))
        theta = 3 * numbers(2, 50)
        covariance = gaussians.covariance_pose_frame(sigma, theta)
        back = gaussians.sigma_theta(covariance)
        np.testing.assert_allclose(back[0], -np.sort(-sigma, axis=1), rtol=1e-4)
        assert (back[1] >= 0).all() and (back[1] < np.pi).all()
        np.testing.assert_allclose(
            gaussians.covariance_pose_frame(*back), covariance, atol=1e-4
        )

    def test_quadratic_inverts(self):
        sigma, theta = np.exp(0.5 * numbers(1, 50, 2)), 3 * numbers(2, 50)
        quadratic = jax.jit(gaussians.to_quadratic)(sigma, theta)
        back = jax.jit(gaussians.from_quadratic)(quadratic)
        np.testing.assert_allclose(
            gaussians.covariance_pose_frame(*back),
            gaussians.covariance_pose_frame(sigma, theta),
            rtol=1e-3,
            atol=1e-3,
        )

    def test_derivatives_of_a_circle_are_finite(self):
        circle = 4 * np.eye(2, dtype=np.float32)
        jacobian = jax.jit(jax.jacobian(gaussians.sigma_theta))(circle)
        assert all(np.isfinite(part).all() for part in jacobian)

    def test_forward_and_reverse_derivatives_agree_when_compiled(self):
        quadratic = jnp.asarray([[0.12, 0.02, 0.15], [0.1, -0.01, 0.2]])
        forward = jax.jit(jax.jacfwd(gaussians.from_quadratic))(quadratic)
        backward = jax.jit(jax.jacrev(gaussians.from_quadratic))(quadratic)
        for one, other in zip(forward, backward, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


class TestLayouts:
    def test_released_layout_and_back(self):
        flat = numbers(0, 5, 112)
        fits = gaussians.from_released_layout(flat)
        assert fits.mean.shape == (5, 16, 2)
        np.testing.assert_array_equal(fits.sigma[2, 3], flat[2, [24, 26]])
        np.testing.assert_array_equal(gaussians.to_released_layout(fits), flat)

    def test_wrong_lengths_are_named(self):
        with pytest.raises(ValueError, match="112"):
            gaussians.from_released_layout(np.zeros((2, 111), np.float32))
        fits = GaussianFit.from_array(jnp.zeros((15, 7)))
        with pytest.raises(ValueError, match="16, 7"):
            gaussians.to_released_layout(fits)

    def test_ambiguous_is_any_sigma_above_five(self):
        fits = np.full((4, 16, 7), 2.0, np.float32)
        fits[1, 3, 3] = 5.001
        fits[2, 9, 5] = -6.0  # the sign of a sigma means nothing
        fits[3, 0, 4] = 9.0  # an angle
        expected = [False, True, True, False]
        np.testing.assert_array_equal(is_ambiguous(fits), expected)
        assert is_ambiguous(GaussianFit.from_array(fits)).tolist() == expected
        with pytest.raises(ValueError, match="fits"):
            gaussians.is_ambiguous(GaussianFit.from_array(fits[0, 0]))
