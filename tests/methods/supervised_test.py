"""Every method in training: what all of them promise, and that they learn."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxflow import methods
from jaxflow.flow import checkpoint as flow_checkpoint
from jaxflow.runs import checkpoint
from jaxflow.training.method import shown_params
from tests.helpers import methods as small
from tests.helpers.methods import TINY

KEY = jax.random.key(3)


@pytest.fixture(scope="module", params=small.OTHERS)
def method(request):
    return methods.METHODS[request.param]


@pytest.fixture(scope="module")
def config(method):
    return dataclasses.replace(TINY, method=method.name)


def same(one, other, **tolerance):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


def test_the_same_key_begins_alike(method, config):
    same(method.init(KEY, config), method.init(KEY, config))


def test_an_iteration_learns_the_same_on_any_number_of_devices(method, config):
    """Losses are finite, the step counts, and two devices do what one does."""
    state, batches = method.init(KEY, config), small.batches(method, config)
    noise = method.draw_noise(KEY, config)
    one, losses = jax.jit(method.iteration, static_argnums=3)(
        state, batches, noise, config
    )
    assert int(one.step) == 1
    assert all(np.isfinite(value) for value in losses)
    halves = jax.tree.map(
        lambda a: a.reshape(a.shape[0], 2, -1, *a.shape[2:]).swapaxes(0, 1), batches
    )
    parts = jax.vmap(lambda rows: method.draw_noise(KEY, config, rows))(
        np.arange(config.batch_size).reshape(2, -1)
    )
    shared = jax.jit(
        jax.vmap(
            lambda batches, noise: method.iteration(
                state, batches, noise, config, axis_name="devices"
            ),
            axis_name="devices",
        )
    )
    both, shared_losses = shared(halves, parts)
    first = jax.tree.map(lambda a: a[0], (both.params, shared_losses))
    same((one.params, losses), first, atol=2e-4, rtol=2e-3)


def test_a_checkpoint_is_the_model_again(method, config, tmp_path):
    state = method.init(KEY, config)
    params = shown_params(method, state)
    about = flow_checkpoint.about_run(config)
    checkpoint.save_items(tmp_path, {"params": params}, about, step=1)
    loaded = methods.load(tmp_path)
    assert loaded.method == method.name and loaded.config == config.net
    same(loaded.parameters(), params)
