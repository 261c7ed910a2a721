"""Every method over what all methods promise: a table of members and properties.

A new method is here as soon as it is in `jaxflow.methods.METHODS`.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.common import made_up
from jaxflow import methods
from jaxflow.types import DensityModel
from tests.helpers import methods as small

M, B = 4, 3
DATA = made_up(B)
KEY = jax.random.key(1)


@pytest.fixture(scope="module", params=methods.METHODS)
def model(request):
    return small.model(request.param)


@pytest.fixture(scope="module")
def draw(model):
    return functools.partial(model.sample, num_hypotheses=M)


@pytest.fixture(scope="module")
def poses(draw):
    return draw(DATA.pose2d, DATA.cond, KEY)


def test_it_is_a_model_of_its_name(model):
    assert model.method in methods.METHODS
    assert dataclasses.is_dataclass(model.config)
    leaves = jax.tree.leaves(model.parameters())
    assert leaves and all(jnp.issubdtype(a.dtype, jnp.floating) for a in leaves)


@pytest.mark.parametrize("batch", [(), (2, 1)])
def test_any_batch_shape(draw, batch):
    rows = np.zeros(batch, int)
    poses = draw(DATA.pose2d[rows], DATA.cond[rows], KEY)
    assert poses.shape == (*batch, M, 17, 3) and poses.dtype == jnp.float32
    assert np.isfinite(poses).all()
    np.testing.assert_array_equal(poses[..., 0, :], 0)  # the hip


def test_a_key_gives_the_same_poses_and_another_others(draw, poses):
    np.testing.assert_array_equal(draw(DATA.pose2d, DATA.cond, KEY), poses)
    others = draw(DATA.pose2d, DATA.cond, jax.random.key(2))
    assert np.abs(others - poses).max() > 1e-3
    assert np.std(poses, axis=1).max() > 1e-3


def test_an_example_s_poses_are_its_own(draw, poses):
    """Not those of its neighbours: alone with its key it has the same."""
    for i in range(B):
        alone = draw(DATA.pose2d[i], DATA.cond[i], jax.random.fold_in(KEY, i))
        np.testing.assert_allclose(alone, poses[i], atol=1e-5)


def test_temperature_zero_is_one_pose_whatever_the_key(draw):
    cold = draw(DATA.pose2d, DATA.cond, KEY, temperature=0.0)
    np.testing.assert_allclose(
        cold, np.broadcast_to(cold[:, :1], cold.shape), atol=1e-6
    )
    again = draw(DATA.pose2d, DATA.cond, jax.random.key(9), temperature=0.0)
    np.testing.assert_allclose(again, cold, atol=1e-6)


def test_a_lower_temperature_spreads_less(draw, poses):
    cooler = draw(DATA.pose2d, DATA.cond, KEY, temperature=0.3)
    assert np.std(cooler, axis=1).mean() < np.std(poses, axis=1).mean()


def test_input_and_condition_matter(draw, poses):
    assert np.abs(draw(DATA.pose2d[::-1], DATA.cond, KEY) - poses).max() > 1e-3
    assert np.abs(draw(DATA.pose2d, DATA.cond[::-1], KEY) - poses).max() > 1e-4


def test_it_passes_through_jit(model, poses):
    @jax.jit
    def traced(model, pose2d, cond, key, temperature):
        return model.sample(
            pose2d, cond, key, num_hypotheses=M, temperature=temperature
        )

    inside = traced(model, DATA.pose2d, DATA.cond, KEY, 1.0)
    np.testing.assert_allclose(inside, poses, atol=1e-5)


def test_densities_are_those_of_what_was_drawn(model):
    if not isinstance(model, DensityModel):
        pytest.skip(f"{model.method} has no density")
    drawn = model.sample_with_log_density(DATA.pose2d, DATA.cond, KEY, num_hypotheses=M)
    assert drawn.log_density.shape == (B, M) and np.isfinite(drawn.log_density).all()
    poses = model.sample(DATA.pose2d, DATA.cond, KEY, num_hypotheses=M)
    np.testing.assert_allclose(drawn.poses, poses, atol=1e-5)
    log_prob = model.log_prob(
        DATA.pose3d, DATA.pose2d, DATA.cond, observation_scale=0.1
    )
    assert log_prob.shape == (B,) and np.isfinite(log_prob).all()
    none = jax.tree.map(lambda array: array[:0], DATA)
    empty = model.log_prob(none.pose3d, none.pose2d, none.cond, observation_scale=0.1)
    assert empty.shape == (0,)
