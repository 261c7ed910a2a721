"""The random numbers of an iteration: their laws, and that rows stand alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.config import TrainConfig
from jaxflow.training import noise as noise_lib

CONFIG = TrainConfig(batch_size=4, hypotheses=8)


def test_noise_shapes_and_distributions():
    config = TrainConfig(batch_size=32, hypotheses=20)
    noise = noise_lib.draw_noise(jax.random.key(0), config)
    shapes = [leaf.shape for leaf in noise]
    assert shapes == [(5, 32, 16), (5, 32, 1), (32, 16), (32, 16), (20, 32, 16)]
    for name in ("critic_z", "mmd_z", "generator_z", "hypothesis_z"):
        leaf = np.asarray(getattr(noise, name))
        assert abs(leaf.mean()) < 5 / np.sqrt(leaf.size)
        assert abs(leaf.std() - 1) < 5 / np.sqrt(2 * leaf.size)
    assert 0 <= noise.mix.min() < 0.1 and 0.9 < noise.mix.max() < 1
    columns = [
        np.asarray(leaf).reshape(-1, 32, leaf.shape[-1])[0, :, 0] for leaf in noise
    ]
    apart = np.corrcoef(columns) - np.eye(5)
    assert np.abs(apart).max() < 0.65  # no two draws share their numbers


def test_noise_of_a_row_is_its_own():
    key = jax.random.key(1)
    whole = noise_lib.draw_noise(key, CONFIG)
    some = noise_lib.draw_noise(key, CONFIG, jnp.array([3, 1]))
    for name, axis in zip(noise_lib.Noise._fields, (1, 1, 0, 0, 1), strict=True):
        want = jnp.take(getattr(whole, name), jnp.array([3, 1]), axis=axis)
        np.testing.assert_array_equal(getattr(some, name), want)
    with pytest.raises(TypeError, match="typed key"):
        noise_lib.draw_noise(np.zeros(2, np.uint32), CONFIG)


def test_noise_is_float32_whatever_the_default():
    with jax.enable_x64(True):
        noise = noise_lib.draw_noise(jax.random.key(0), CONFIG)
    assert {array.dtype for array in noise} == {np.dtype("float32")}
