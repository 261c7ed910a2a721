"""The shuffle is one, for every number of frames, and looks like chance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.training.shuffling import rows_at

# Compiled whole: op by op, the first call of each costs seconds.
rows_of = jax.jit(rows_at, static_argnums=2)


def order(seed, frames):
    return np.asarray(rows_of(jax.random.key(seed), np.arange(frames), frames))


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 64, 65, 1000, 4097])
def test_every_row_comes_once(frames):
    np.testing.assert_array_equal(np.sort(order(0, frames)), np.arange(frames))


def test_parts_are_those_of_the_whole():
    whole = order(3, 1000)
    positions = np.array([[999, 0], [17, 500]])
    part = rows_of(jax.random.key(3), positions, 1000)
    np.testing.assert_array_equal(part, whole[positions])


@pytest.mark.parametrize("frames", [6, 37])
def test_every_row_is_as_likely_everywhere(frames):
    """Chi-square over positions and rows: its mean is its degrees of freedom."""
    keys = jax.random.split(jax.random.key(1), 4000)
    shuffle = jax.jit(jax.vmap(lambda key: rows_at(key, jnp.arange(frames), frames)))
    orders = np.asarray(shuffle(keys))
    counts = np.zeros((frames, frames))
    np.add.at(counts, (np.broadcast_to(np.arange(frames), orders.shape), orders), 1)
    expected = len(keys) / frames
    chi_square = np.sum((counts - expected) ** 2) / expected
    degrees = (frames - 1) ** 2
    assert abs(chi_square - degrees) < 4 * np.sqrt(2 * degrees)


def test_neighbours_and_epochs_have_nothing_to_do_with_each_other():
    first, second = order(0, 5000), order(1, 5000)
    bound = 4 / np.sqrt(5000)
    for a, b in ((first[:-1], first[1:]), (first, second), (first, np.arange(5000))):
        assert abs(np.corrcoef(a, b)[0, 1]) < bound
    assert np.mean(np.abs(np.diff(first))) == pytest.approx(5000 / 3, rel=0.05)
