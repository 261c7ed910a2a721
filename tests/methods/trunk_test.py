"""The residual trunk, against the same written out in NumPy."""

import jax
import numpy as np
import pytest

from jaxflow.config import NetConfig
from jaxflow.methods import trunk

B, INPUTS, WIDTH = 6, 5, 4


@pytest.fixture(scope="module")
def net():
    return trunk.init(jax.random.key(0), INPUTS, NetConfig(width=WIDTH, depth=1))


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal(size=(B, INPUTS)).astype(np.float32)


def learn(net, rows, dropout=0.0):
    keys = jax.random.split(jax.random.key(1), len(rows))
    norm = trunk.InTraining(*net, keys, dropout, axis_name=None)
    return trunk.run(norm, rows), norm.after


def test_blocks_are_added_to_what_they_get(net, rows):
    layers = jax.tree.map(np.asarray, net[0])

    def layer(name, h):
        h = h @ layers[name]["kernel"]
        h = (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-5)
        return np.maximum(h * layers[name]["scale"] + layers[name]["bias"], 0)

    first = layer("layer0", rows)
    expected = first + layer("layer2", layer("layer1", first))
    got, _ = learn(net, rows)
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_rows_are_judged_by_what_batches_had(net, rows):
    """After many of one batch the running statistics are its own."""
    layers, statistics = net
    for _ in range(150):
        got, statistics = learn((layers, statistics), rows)
    alone = trunk.run(trunk.Trained(layers, statistics), rows[0])
    np.testing.assert_allclose(alone, got[0], atol=1e-3)


def test_what_is_left_out_is_the_example_s_own():
    h, keys = np.ones((B, 1000), np.float32), jax.random.split(jax.random.key(1), B)
    whole = np.asarray(trunk.dropped(h, keys, 0, 0.25))
    part = np.asarray(trunk.dropped(h[2:4], keys[2:4], 0, 0.25))
    np.testing.assert_array_equal(part, whole[2:4])
    assert abs((whole == 0).mean() - 0.25) < 0.03 and abs(whole.mean() - 1) < 0.04
    assert (whole != np.asarray(trunk.dropped(h, keys, 1, 0.25))).any()
