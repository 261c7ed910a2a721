import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.gaussians import covariance_pose_frame, flip_y, unsure


def test_errors_have_the_covariance_that_is_reported():
    covariance = covariance_pose_frame(jnp.asarray([5.0, 2.0]), jnp.asarray(0.7))
    normal = jax.random.normal(jax.random.key(0), (200_000, 2))
    error = np.asarray(unsure.draw_error(covariance, normal))
    np.testing.assert_allclose(np.cov(error.T), flip_y(covariance), atol=0.15)
    # In a picture, y points down.
    assert np.cov(error.T)[0, 1] < 0 < covariance[0, 1]


@pytest.mark.parametrize("zero", [np.zeros((2, 2)), np.diag([0.0, 4.0])])
def test_no_uncertainty_no_error(zero):
    error = unsure.draw_error(jnp.asarray(zero, jnp.float32), jnp.ones(2))
    np.testing.assert_array_equal(error, np.sqrt(np.diag(zero)))


def test_what_is_reported_is_what_was_asked_for():
    fit = jnp.asarray([0.9, 30.0, 20.0, 2.5, 0.4, 1.8, 0.01])
    error = jnp.asarray([1.0, -2.0])
    covariance = unsure.covariance_of(fit) + jnp.asarray([[9.0, 2.0], [2.0, 4.0]])
    pose2d, changed = unsure.reported(
        jnp.asarray([120.0, 80.0]), fit, error, covariance
    )
    np.testing.assert_allclose(pose2d, [124, 72])
    np.testing.assert_allclose(changed[1:3], [31, 18])
    np.testing.assert_allclose(unsure.covariance_of(changed), covariance, rtol=1e-5)
    assert changed[6] == fit[6]
    area = np.sqrt(np.linalg.det(covariance)) / (2.5 * 1.8)
    np.testing.assert_allclose(changed[0], 0.9 * area**-0.6, rtol=1e-5)


def test_nothing_added_changes_nothing():
    fit = jnp.asarray([0.9, 30.0, 20.0, 2.5, 0.4, 1.8, 0.01])
    same = unsure.reported(jnp.zeros(2), fit, jnp.zeros(2), unsure.covariance_of(fit))
    np.testing.assert_allclose(same[1], fit, rtol=1e-5)


def test_a_fit_that_is_a_line_stays_finite():
    """Its covariance in float32 has a determinant below zero."""
    fit = jnp.asarray([0.9, 30.0, 20.0, -1e4, 0.473, 1.0, 0.01])
    covariance = unsure.covariance_of(fit)
    _, changed = unsure.reported(jnp.zeros(2), fit, jnp.zeros(2), covariance)
    assert jnp.isfinite(changed).all()
    np.testing.assert_allclose(changed[3], 1e4, rtol=1e-5)
    np.testing.assert_allclose(changed[4], 0.473, rtol=1e-5)
    wide = jnp.asarray(1e4 * np.eye(2, dtype=np.float32))
    _, changed = unsure.reported(jnp.zeros(2), fit, jnp.zeros(2), wide)
    np.testing.assert_allclose(changed[0], 0.9, rtol=1e-5)  # as large as it was
