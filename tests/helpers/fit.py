"""What the tests of the heatmap fits share."""

import jax
import numpy as np


def rows(fit, index):
    return jax.tree.map(lambda x: np.asarray(x)[index], fit)


def assert_same_bits(one, other):
    for name, a, b in zip(one._fields, one, other, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=name)


def assert_alike(one, other):
    """But for the last bits, in which programs that are compiled quickly differ."""
    for name, a, b in zip(one._fields, one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6, err_msg=name)
