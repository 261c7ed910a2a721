"""What the tests of the heatmap fits share."""

import jax
import numpy as np


def rows(fit, index):
    return jax.tree.map(lambda x: np.asarray(x)[index], fit)


def assert_same_bits(one, other):
    for name, a, b in zip(one._fields, one, other, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=name)
