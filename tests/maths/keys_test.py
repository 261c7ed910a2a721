"""Keys by example: independent of the batch they are drawn in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.maths import keys

KEY = jax.random.key(3)


def data(key):
    return np.asarray(jax.random.key_data(key))


@pytest.mark.parametrize(
    "bad", [np.zeros(2, np.uint32), jnp.zeros(2, jnp.uint32), 0, None, jnp.float32(1)]
)
def test_anything_but_a_typed_key_is_refused(bad):
    with pytest.raises(
        TypeError, match=r"expected seed to be a typed key.*wrap_key_data"
    ):
        keys.check_key(bad, "seed")


def test_per_example_is_fold_in():
    got = keys.per_example(KEY, jnp.array([[4, 0], [7, 4]]))
    assert got.shape == (2, 2)
    np.testing.assert_array_equal(data(got[1, 0]), data(jax.random.fold_in(KEY, 7)))
    np.testing.assert_array_equal(data(got[0, 0]), data(got[1, 1]))


def test_for_batch_counts_examples_through_all_axes():
    got = keys.for_batch(KEY, (2, 3))
    want = keys.for_batch(KEY, (6,))
    np.testing.assert_array_equal(data(got).reshape(6, -1), data(want))
    assert len({tuple(row) for row in data(want)}) == 6


def test_for_batch_keeps_given_keys():
    given = jax.random.split(KEY, 4)
    np.testing.assert_array_equal(data(keys.for_batch(given, (4,))), data(given))
    np.testing.assert_array_equal(data(keys.for_batch(KEY, ())), data(KEY))


@pytest.mark.parametrize("count", [1, 3])
def test_for_batch_refuses_another_number_of_keys(count):
    with pytest.raises(ValueError, match=rf"shape \(\) or \(4,\).*\({count},\)"):
        keys.for_batch(jax.random.split(KEY, count), (4,))


def test_normal_rows_depend_on_their_example_alone():
    every = keys.normal_rows(KEY, jnp.arange(6), (5, 2))
    some = keys.normal_rows(KEY, jnp.array([4, 1]), (5, 2))
    np.testing.assert_array_equal(some, every[jnp.array([4, 1])])
    assert abs(float(keys.normal_rows(KEY, jnp.arange(50), (80,)).std()) - 1) < 0.05
