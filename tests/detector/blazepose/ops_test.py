"""Each operation against another way to the same: lax, loops, or numbers by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxflow.detector.blazepose import ops

PLAIN = {"activation": ""}


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def conv_options(padding, stride, activation=""):
    return {
        "Padding": padding,
        "StrideH": stride,
        "StrideW": stride,
        "activation": activation,
    }


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
def test_depthwise_is_a_grouped_convolution(padding, stride, kernel):
    pictures, weights = draw(2, 9, 8, 4), draw(1, kernel, kernel, 4, seed=1)
    expected = lax.conv_general_dilated(
        pictures,
        weights.transpose(1, 2, 0, 3),
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=4,
        precision="highest",
    )
    bias = draw(4, seed=2)
    got = ops.depthwise([pictures, weights, bias], conv_options(padding, stride))
    np.testing.assert_allclose(got, expected + bias, rtol=1e-4, atol=1e-5)


def test_convolution_by_loops():
    """One output place after the other; what SAME adds stands behind, if it is odd."""
    pictures, weights, bias = draw(1, 6, 6, 3), draw(5, 3, 3, 3, seed=1), draw(5)
    got = ops.convolution([pictures, weights, bias], conv_options("SAME", 2, "relu6"))
    padded = np.pad(pictures, ((0, 0), (0, 1), (0, 1), (0, 0)))
    for y in range(3):
        for x in range(3):
            part = padded[0, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3]
            expected = np.clip((weights * part).sum((1, 2, 3)) + bias, 0, 6)
            np.testing.assert_allclose(got[0, y, x], expected, rtol=1e-4, atol=1e-5)


def test_resize_of_half_pixels():
    got = ops.resize(
        [np.array([0.0, 4.0], np.float32).reshape(1, 1, 2, 1), np.array([1, 4])], PLAIN
    )
    np.testing.assert_allclose(got.ravel(), [0, 1, 3, 4], atol=1e-6)
    pictures = draw(2, 5, 6, 3)
    got = ops.resize([pictures, np.array([10, 12])], PLAIN)
    expected = jax.image.resize(pictures, (2, 10, 12, 3), "linear")
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_max_pool_counts_nothing_beyond_the_border():
    pictures = -np.arange(1.0, 10, dtype=np.float32).reshape(1, 3, 3, 1)
    options = {**conv_options("SAME", 2), "FilterHeight": 2, "FilterWidth": 2}
    got = ops.max_pool([pictures], options)
    assert got[0, ..., 0].tolist() == [[-1, -3], [-7, -9]]


def test_depth_to_space():
    """Channels count rows of the block first."""
    got = ops.depth_to_space([np.arange(8.0).reshape(1, 1, 1, 8)], {"BlockSize": 2})
    assert got[0, ..., 0].tolist() == [[0, 2], [4, 6]]
    assert got[0, ..., 1].tolist() == [[1, 3], [5, 7]]


def test_the_small_ones():
    a, b = draw(2, 3, 3, 2), draw(2, 3, 3, 2, seed=1)
    np.testing.assert_array_equal(
        ops.add([a, b], {"activation": "relu"}), np.maximum(a + b, 0)
    )
    np.testing.assert_array_equal(
        ops.concatenation([a, b], {"Axis": 3, **PLAIN}), np.concatenate([a, b], 3)
    )
    padded = ops.pad([a, np.array([[0, 0], [1, 2], [0, 0], [0, 1]])], {})
    assert padded.shape == (2, 6, 3, 3) and not padded[:, 0].any()
    # The file's shape is for one example.
    assert ops.reshape([a, np.array([1, 18])], {}).shape == (2, 18)
    np.testing.assert_allclose(
        ops.logistic([np.array([0.0, -800, 800])], {}), [0.5, 0, 1], atol=1e-7
    )


def test_everything_is_batched_and_jitted():
    """A batch is what its members are."""
    pictures, weights = draw(3, 8, 8, 4), draw(1, 3, 3, 4, seed=1)
    options = conv_options("SAME", 2)
    whole = jax.jit(lambda x: ops.depthwise([x, weights], options))(pictures)
    single = [ops.depthwise([one[None], weights], options)[0] for one in pictures]
    np.testing.assert_allclose(whole, jnp.stack(single), rtol=1e-5, atol=1e-6)
