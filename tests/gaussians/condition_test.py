"""Fits to the condition: references, and that equal Gaussians give equal numbers."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxflow.gaussians.condition import condition
from jaxflow.types import GaussianFit
from tests.golden import make, store
from tests.golden.store import assert_close
from tests.oracles import preprocessing as oracle

FEW = settings(max_examples=20, deadline=None, derandomize=True)
compiled = jax.jit(condition)
FITS = make.raw(21, 3)[2]
sigmas = st.floats(0.25, 9.5, width=32)


@pytest.fixture(params=["released code", "golden"])
def case(request, reference):
    if request.param == "golden":
        arrays = store.load("preprocessing")
        return arrays["fits"], arrays["condition"]
    arrays = reference("preprocessing")
    return arrays["raw_gaussfit"].reshape(-1, 16, 7), arrays["condition"]


def test_condition(case):
    fits, want = case
    assert_close(compiled(fits), want)


def test_hard_cases_against_the_oracle():
    assert (FITS[..., 3] < 0).any() and (FITS[..., [3, 5]] > 10).any()
    assert (FITS[..., 0] > 1.2).any() and (FITS[..., 0] < 0).any()
    for got, fits in zip(compiled(FITS), FITS, strict=True):
        assert_close(got, oracle.condition(fits))


def one_joint(sx, theta, sy):
    """The three covariance numbers of joint 0 with these parameters."""
    fits = FITS[0].copy()
    fits[0, 3:6] = sx, theta, sy
    return np.asarray(compiled(fits))[3:6]


@FEW
@given(sx=sigmas, sy=sigmas, theta=st.floats(-3, 3, width=32))
def test_equal_gaussians_give_equal_covariances(sx, sy, theta):
    want = one_joint(sx, theta, sy)
    np.testing.assert_allclose(one_joint(sy, theta + np.pi / 2, sx), want, atol=2e-6)
    np.testing.assert_allclose(one_joint(sx, theta + np.pi, sy), want, atol=2e-6)
    np.testing.assert_allclose(one_joint(-sx, theta, -sy), want, atol=1e-7)


def test_the_clockwise_exponent_is_the_y_up_covariance():
    # Long axis from lower left to upper right in the image: positive with y up.
    sx, sy, theta = 2.0, 0.5, np.pi / 4
    a = np.cos(theta) ** 2 / (2 * sx**2) + np.sin(theta) ** 2 / (2 * sy**2)
    b = -np.sin(2 * theta) / (4 * sx**2) + np.sin(2 * theta) / (4 * sy**2)
    c = np.sin(theta) ** 2 / (2 * sx**2) + np.cos(theta) ** 2 / (2 * sy**2)
    image = np.linalg.inv(2 * np.array([[a, b], [b, c]]))  # y down
    c00, c01, c11 = 20**2 * one_joint(sx, theta, sy)
    np.testing.assert_allclose([c00, -c01, c11], image[[0, 0, 1], [0, 1, 1]], rtol=1e-5)


def test_uncertain_sigmas_are_doubled():
    certain, uncertain = one_joint(2.1, 0.0, 2.1), one_joint(2.2, 0.0, 2.1)
    np.testing.assert_allclose(
        certain, [(2.1 / 20) ** 2, 0, (2.1 / 20) ** 2], atol=1e-7
    )
    np.testing.assert_allclose(uncertain[0], (4.4 / 20) ** 2, rtol=1e-5)


def test_a_gaussian_fit_is_its_array():
    fits = GaussianFit.from_array(FITS)
    np.testing.assert_array_equal(fits.as_array(), FITS)
    np.testing.assert_array_equal(compiled(fits), compiled(FITS))


@pytest.mark.parametrize("shape", [(16, 6), (15, 7), (112,)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected fits of shape \(\.\.\., 16, 7\)"):
        condition(np.zeros(shape, np.float32))


def test_integers_are_refused():
    with pytest.raises(TypeError, match="expected fits to be floating point"):
        condition(np.zeros((16, 7), int))


def test_no_fits_have_no_condition():
    assert condition(np.zeros((0, 16, 7), np.float32)).shape == (0, 78)
