"""Every method in training: what all of them promise, and that they learn."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxflow import methods
from jaxflow.flow import checkpoint as flow_checkpoint
from jaxflow.methods import mdn
from jaxflow.runs import checkpoint
from jaxflow.training import loop
from jaxflow.training.method import shown_params
from tests.helpers import methods as small
from tests.helpers import training
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
    with pytest.raises(AssertionError):
        same(method.init(KEY, config), method.init(jax.random.key(8), config))


def test_a_checkpoint_is_the_model_again(method, config, tmp_path):
    state = method.init(KEY, config)
    params = shown_params(method, state)
    about = flow_checkpoint.about_run(config)
    checkpoint.save_items(tmp_path, {"params": params}, about, step=1)
    loaded = methods.load(tmp_path)
    assert loaded.method == method.name and loaded.config == config.net
    same(loaded.parameters(), params)
    fresh = loaded.fresh(KEY)
    assert jax.tree.map(jnp.shape, fresh.parameters()) == jax.tree.map(
        jnp.shape, params
    )


def test_a_mixture_s_density_is_the_weighted_sum_of_its_gaussians():
    rng = np.random.default_rng(0)
    weights, mu = np.float32([0.5, 0.3, 0.2]), rng.normal(size=(3, 45)) / 5
    sigma = np.float32([0.5, 0.8, 1.1])
    mixture = mdn.Mixture(np.log(weights), np.float32(mu), sigma)
    r = np.float32(rng.normal(size=(4, 45)) / 2)
    each = [
        weight * scipy.stats.multivariate_normal(mean, deviation**2).pdf(r)
        for weight, mean, deviation in zip(weights, mu, sigma, strict=True)
    ]
    got = mdn.log_density(mixture, r)
    np.testing.assert_allclose(got, np.log(np.sum(each, axis=0)), rtol=1e-5)


def test_two_devices_learn_what_one_does():
    """Also the statistics of batch normalisation, and what dropout leaves out."""
    method = methods.METHODS["regression"]
    config = dataclasses.replace(TINY, method=method.name)
    state, batches = method.init(KEY, config), small.batches(method, config)
    update = functools.partial(method.iteration, state, config=config)
    one, losses = jax.jit(update)(batches, method.draw_noise(KEY, config))
    assert int(one.step) == 1 and all(np.isfinite(value) for value in losses)
    halves = jax.tree.map(
        lambda a: a.reshape(a.shape[0], 2, -1, *a.shape[2:]).swapaxes(0, 1), batches
    )
    rows = np.arange(config.batch_size).reshape(2, -1)
    parts = jax.vmap(lambda rows: method.draw_noise(KEY, config, rows))(rows)
    shared = functools.partial(update, axis_name="devices")
    both, their_losses = jax.jit(jax.vmap(shared, axis_name="devices"))(halves, parts)
    first = jax.tree.map(lambda a: a[0], (both.params, their_losses))
    same((one.params, losses), first, atol=2e-4, rtol=2e-3)


@pytest.mark.slow
def test_a_run_in_two_stretches_is_the_same_run(tmp_path):
    """From data to a model, by the loop: the regression of the frames is made once."""
    config = dataclasses.replace(TINY, method="mdn")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train = functools.partial(loop.train_and_evaluate, method=methods.METHODS["mdn"])
    train(training.run_config(tmp_path, config), whole)
    half = dataclasses.replace(config, iterations=5)
    train(training.run_config(tmp_path, half), parts)
    train(training.run_config(tmp_path, config), parts)
    one, other = (methods.load(folder).parameters() for folder in (whole, parts))
    same(one, other, rtol=0, atol=0)
    assert np.abs(one["whitening"]["mean"]).max() > 1e-3  # frames were looked at
