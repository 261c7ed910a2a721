"""MMD: references, the properties of a distance between samples, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxflow.losses import mmd
from tests.golden import store
from tests.golden.store import assert_close
from tests.oracles import losses as oracle

FEW = settings(max_examples=15, deadline=None, derandomize=True)
compiled = jax.jit(mmd, static_argnames="unbiased")
gradient = jax.jit(jax.grad(mmd))
seeds = st.integers(0, 10_000)


@pytest.fixture(params=["released code", "golden"])
def case(request, reference):
    if request.param == "golden":
        return store.load("losses")
    return reference("losses")


def samples(seed, rows=6):
    rng = np.random.RandomState(seed)
    return tuple(0.4 * rng.randn(rows, 48).astype(np.float32) for _ in range(2))


def test_value(case):
    got = compiled(case["mmd_x"], case["mmd_y"])
    np.testing.assert_allclose(got, case["mmd"], rtol=1e-5)


def test_gradient_is_the_exact_one(case):
    got = gradient(case["mmd_x"], case["mmd_y"])
    assert_close(got, oracle.mmd_gradient(case["mmd_x"], case["mmd_y"]))


def test_gradient_of_the_released_code(reference):
    """The file's gradient, once what float32 did to its diagonal is taken out.

    The released code takes distances as x.x + y.y - 2 x.y. On the diagonal, where the
    gradient is zero, autodiff then adds 2x + 2x - 4x times a kernel slope of up to
    1/0.0025; in float32 the three do not cancel to the last bit. What remains in row i
    is x_i times some 4/B^2/0.0025 float32 epsilons: 3.7 % of the largest entry, since
    the true gradient is small. Measured: every row of the difference is parallel to its
    x_i (correlation above 0.99999), and 3e-7 of the largest entry is left without it.
    """
    arrays = reference("losses")
    x, want = (arrays[name].astype(np.float64) for name in ("mmd_x", "mmd_grad"))
    difference = (
        np.asarray(gradient(arrays["mmd_x"], arrays["mmd_y"]), np.float64) - want
    )
    along = np.sum(difference * x, axis=1) / np.sum(x**2, axis=1)
    rest = difference - along[:, None] * x
    assert np.abs(rest).max() <= 1e-5 * np.abs(want).max()
    epsilons = 4 / len(x) ** 2 / min(oracle.BANDWIDTHS) * np.finfo(np.float32).eps
    assert np.abs(along).max() < 4 * epsilons


def test_unbiased_variant():
    arrays = store.load("losses")
    x, y = arrays["mmd_x"], arrays["mmd_y"]
    got = compiled(x, y, unbiased=True)
    np.testing.assert_allclose(got, arrays["mmd_unbiased"], rtol=1e-5)
    assert abs(float(got) - float(compiled(x, y))) > 0.01


@FEW
@given(seed=seeds)
def test_symmetric_and_blind_to_order(seed):
    x, y = samples(seed)
    value = compiled(x, y)
    np.testing.assert_allclose(compiled(y, x), value, rtol=1e-5)
    order = np.random.RandomState(seed).permutation(len(x))
    np.testing.assert_allclose(compiled(x[order], y), value, rtol=1e-5)


@FEW
@given(seed=seeds)
def test_no_distance_between_equal_samples(seed):
    x, y = samples(seed)
    order = np.random.RandomState(seed).permutation(len(x))
    assert abs(float(compiled(x, x[order]))) < 1e-6
    assert float(compiled(x, y)) > 0.01


@FEW
@given(seed=seeds, shift=st.floats(-4, 4, width=16))
def test_moving_both_samples_changes_nothing(seed, shift):
    x, y = samples(seed)
    np.testing.assert_allclose(
        compiled(x + np.float32(shift), y + np.float32(shift)),
        compiled(x, y),
        rtol=1e-4,
    )


def test_unbiased_estimate_is_centred_at_zero():
    """Of 400 pairs of samples from one distribution; the biased one is always above."""
    draws = 0.2 * np.random.RandomState(0).randn(400, 2, 6, 3).astype(np.float32)
    both = [
        jax.vmap(lambda d, u=unbiased: mmd(d[0], d[1], unbiased=u))(draws)
        for unbiased in (False, True)
    ]
    biased, unbiased = map(np.asarray, both)
    error = unbiased.std() / np.sqrt(len(unbiased))
    assert abs(unbiased.mean()) < 4 * error < 0.05
    assert biased.min() > 0


def test_gradient_is_finite_where_rows_coincide():
    x, _ = samples(1)
    assert np.all(np.isfinite(gradient(x, x)))


@pytest.mark.parametrize(
    ("x", "y", "unbiased", "message"),
    [
        ((4, 3), (5, 3), False, r"one shape; got \(4, 3\) and \(5, 3\)"),
        ((2, 4, 3), (2, 4, 3), False, r"\(B, D\) samples"),
        ((3,), (3,), False, "expected x of shape"),
        ((1, 3), (1, 3), True, "at least 2 rows; got 1"),
        ((0, 3), (0, 3), False, "at least 1 rows; got 0"),
    ],
)
def test_bad_samples(x, y, unbiased, message):
    with pytest.raises(ValueError, match=message):
        mmd(jnp.zeros(x), jnp.zeros(y), unbiased=unbiased)
    with pytest.raises(TypeError, match="expected x to be floating"):
        mmd(jnp.zeros((4, 3), int), jnp.zeros((4, 3)))
