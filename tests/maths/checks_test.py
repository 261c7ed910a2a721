"""Shape and dtype checks: what passes, and what the refusals say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.maths import checks
from jaxflow.types import GaussianFit


@pytest.mark.parametrize("shape", [(3, 2), (5, 3, 2), (0, 3, 2)])
def test_batch_axes_and_free_sizes_pass(shape):
    assert checks.floating("x", np.zeros(shape, np.float32), (None, 2)).shape == shape


def test_lists_and_low_precision_pass():
    assert checks.floating("x", [1.0, 2.0], (2,)).dtype == jnp.float32
    assert checks.floating("x", jnp.ones(2, jnp.bfloat16), (2,)).dtype == jnp.bfloat16


@pytest.mark.parametrize("dtype", [int, bool, complex])
def test_other_dtypes_are_named(dtype):
    with pytest.raises(TypeError, match=r"expected pose to be floating point; got \w+"):
        checks.floating("pose", np.zeros(2, dtype), (2,))


@pytest.mark.parametrize("shape", [(), (2,), (2, 3), (3, 2, 1)])
def test_other_shapes_are_named(shape):
    with pytest.raises(ValueError) as caught:
        checks.floating("pose", np.zeros(shape, np.float32), (None, 3, 2))
    want = f"expected pose of shape (..., any, 3, 2); got {shape}"
    assert str(caught.value) == want


def test_what_is_no_array_is_named():
    fits = GaussianFit(*np.zeros((len(GaussianFit._fields), 2)))
    with pytest.raises(
        TypeError, match="cond, an array; got a GaussianFit: .*condition"
    ):
        checks.floating("cond", fits, (78,))


@pytest.mark.parametrize("value", [0.0, -1.0, [1.0, np.nan]])
def test_numbers_that_are_not_above_zero_are_refused(value):
    with pytest.raises(ValueError, match="expected scale above 0; got"):
        checks.positive("scale", jnp.asarray(value))
    checks.positive("scale", jnp.asarray([0.5, 2.0]))
    jax.jit(lambda value: checks.positive("scale", value))(jnp.asarray(value))


@pytest.mark.parametrize("value", [-1.0, [1.0, np.nan], np.inf])
def test_numbers_that_are_negative_or_not_finite_are_refused(value):
    with pytest.raises(ValueError, match="expected scale of at least 0, and finite"):
        checks.not_negative("scale", np.asarray(value))
    checks.not_negative("scale", jnp.asarray([0.0, 2.0]))
    jax.jit(lambda value: checks.not_negative("scale", value))(jnp.asarray(value))


def test_checks_hold_while_tracing():
    with pytest.raises(ValueError, match="expected x of shape"):
        jax.jit(lambda x: checks.floating("x", x, (3,)))(jnp.zeros(4))


def test_same_batch():
    assert checks.same_batch(a=(2, 3), b=(2, 3)) == (2, 3)
    with pytest.raises(ValueError, match=r"got a \(2,\), b \(1, 2\)"):
        checks.same_batch(a=(2,), b=(1, 2))
