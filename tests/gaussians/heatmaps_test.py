"""What a heatmap is, where a fit starts, and how a Gaussian is drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.gaussians import heatmaps
from jaxflow.types import GaussianFit
from tests.oracles import gaussian_fit as oracle


def test_render_is_the_papers_formula():
    numbers = np.float32(
        [[0.9, 20.5, 11.0, 4.0, 0.7, 2.0, 0], [0.2, 5, 30, 2, 2.9, 3, 0]]
    )
    drawn = heatmaps.render(GaussianFit.from_array(numbers), height=32, width=48)
    expected = [oracle.bump(row[:6], 32, 48) for row in numbers.astype(np.float64)]
    np.testing.assert_allclose(drawn, expected, atol=2e-6)


class TestStartValues:
    @pytest.fixture(scope="class")
    @classmethod
    def start_values(cls):
        return jax.jit(heatmaps.start_values)

    @pytest.mark.parametrize("count", [1, 64, 150])
    def test_first_maximum_in_row_major_order(self, start_values, count):
        rng = np.random.default_rng(count)
        maps = rng.integers(0, 40, (count, 7, 9)).astype(np.float32)  # many ties
        starts = start_values(maps, None)
        rows, columns = np.unravel_index(maps.reshape(count, -1).argmax(1), (7, 9))
        np.testing.assert_array_equal(starts.mean, np.stack([columns, rows], 1))
        np.testing.assert_array_equal(starts.peak, maps.max((1, 2)))
        assert starts.valid.all()

    def test_what_is_no_heatmap(self, start_values):
        good = np.full((9, 5, 5), 0.2, np.float32)
        good[:, 2, 3] = 0.8
        spoil = [0.8, -0.05, -0.099, -0.2, np.nan, np.inf, -np.inf, -50.0, 0.0]
        good[:, 0, 0] = spoil
        good[8] = 0
        starts = start_values(good, None)
        expected = [True, True, True, False, False, False, False, False, False]
        assert starts.valid.tolist() == expected
        np.testing.assert_array_equal(starts.peak[:8], np.float32(0.8))

    def test_a_tenth_of_a_high_peak_may_be_below_zero(self, start_values):
        maps = np.zeros((2, 5, 5), np.float32)
        maps[:, 2, 2], maps[:, 1, 1] = 200, [-19, -21]
        assert start_values(maps, None).valid.tolist() == [True, False]

    def test_given_means_unless_not_finite(self, start_values):
        maps = np.eye(5, dtype=np.float32)[None].repeat(3, 0)
        given = np.float32([[1.5, 2.5], [np.nan, 2], [9, -3]])
        starts = start_values(maps, given)
        np.testing.assert_array_equal(starts.mean, [[1.5, 2.5], [0, 0], [9, -3]])


def test_every_uint8_is_divided_as_numpy_does():
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    found = jax.jit(heatmaps.to_float)(values)
    np.testing.assert_array_equal(found, values.astype(np.float32) / np.float32(255))


def test_clean():
    maps = jnp.asarray([[-1.0, jnp.nan, jnp.inf], [0.5, 2.0, -jnp.inf]], jnp.bfloat16)
    cleaned = heatmaps.clean(maps)
    assert cleaned.dtype == jnp.float32
    np.testing.assert_array_equal(cleaned, [[0, 0, 0], [0.5, 2, 0]])
