"""Every method over what all methods promise: a table of members and properties.

A new method is here as soon as it is in `jaxflow.methods.METHODS`.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from benchmarks.common import made_up
from jaxflow import methods
from jaxflow.maths import geometry
from jaxflow.methods import whitening
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


def test_a_temperature_without_a_meaning_is_refused(draw):
    for temperature in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="temperature of at least 0, and finite"):
            draw(DATA.pose2d, DATA.cond, KEY, temperature=temperature)


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
    if model.method != "flow":
        # The flow's density is that of a pose and where it stands in the network's
        # frame, which poses with the hip at 0 do not say.
        again = model.log_prob(poses, DATA.pose2d, DATA.cond, observation_scale=0.1)
        np.testing.assert_allclose(drawn.log_density, again, atol=1e-3)
    none = jax.tree.map(lambda array: array[:0], DATA)
    empty = model.log_prob(none.pose3d, none.pose2d, none.cond, observation_scale=0.1)
    assert empty.shape == (0,)


@pytest.mark.parametrize("name", ["gaussian", "gaussian_nll", "mdn"])
def test_a_gaussian_s_density_is_that_of_its_covariance(name):
    """The mean log-density of what is drawn is minus the entropy, ln det(2 pi e S) / 2.

    S is the drawn poses' covariance; of 45 numbers, since they are centred.
    """
    net = dataclasses.replace(small.NET, components=1)
    model = small.model(name, dataclasses.replace(small.TINY, net=net))
    count, size = 4000, whitening.SIZE
    drawn = model.sample_with_log_density(
        DATA.pose2d[0], DATA.cond[0], KEY, num_hypotheses=count
    )
    numbers = np.asarray(geometry.normalize_pose3d(drawn.poses)) @ whitening.basis()
    _, log_det = np.linalg.slogdet(np.cov(numbers, rowvar=False))
    # So much smaller is the determinant of a sample's, on average (Wishart).
    freedom = count - 1
    degrees = (freedom - np.arange(size)) / 2
    log_det -= np.sum(scipy.special.digamma(degrees) - np.log(freedom / 2))
    entropy = (size * np.log(2 * np.pi * np.e) + log_det) / 2
    assert abs(float(np.mean(drawn.log_density)) + entropy) < 0.5
