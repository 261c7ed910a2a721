"""sample_with_log_density(): the same poses, and the density they are drawn with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow
from jaxflow import torch_weights
from jaxflow.config import EXACT_CLAMP, RELEASED_CLAMP, FlowConfig
from jaxflow.flow import sampling
from tests.golden import make
from tests.helpers.compiled import optimised

KEY = jax.random.key(21)
_, POSE2D, COND = make.batch(22, 4)
M = 6
hypotheses = jax.jit(sampling.hypotheses, static_argnums=4)


@pytest.fixture(scope="module")
def params():
    config = FlowConfig(blocks=3, **make.SIZES)
    return torch_weights.params_from_state(make.flow_state(23, blocks=3), config)


@pytest.fixture(scope="module")
def drawn(params):
    return sampling.sample_with_log_density(params, POSE2D, COND, KEY, num_hypotheses=M)


def latents(i):
    return jax.random.normal(jax.random.fold_in(KEY, i), (M, 16), jnp.float32)


def test_shapes_and_dtype(drawn):
    assert drawn.poses.shape == (4, M, 17, 3) and drawn.log_density.shape == (4, M)
    assert drawn.poses.dtype == drawn.log_density.dtype == jnp.float32


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_poses_are_those_of_sample_bit_for_bit(params, temperature):
    options = {"num_hypotheses": M, "temperature": temperature}
    inputs = params, POSE2D, COND, KEY
    want = jaxflow.sample(*inputs, **options)
    got = sampling.sample_with_log_density(*inputs, **options)
    np.testing.assert_array_equal(got.poses, want)


@optimised()
def test_poses_are_those_of_sample_inside_a_program_too(params):
    """Whether the program keeps the density or throws it away."""
    count = M - 1  # of which no program was compiled yet that is not optimised

    def both(*inputs):
        return sampling.sample_with_log_density(*inputs, num_hypotheses=count)

    inputs = params, POSE2D, COND, KEY
    want = jaxflow.sample(*inputs, num_hypotheses=count)
    np.testing.assert_array_equal(jax.jit(both)(*inputs).poses, want)
    np.testing.assert_array_equal(jax.jit(lambda *a: both(*a).poses)(*inputs), want)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_density_is_log_prob_without_the_observation(params, drawn, scale):
    """The observation is met exactly: its term is that of a zero residual."""
    for i in range(4):
        inputs = latents(i), POSE2D[i], COND[i]
        poses = hypotheses(params, *inputs, RELEASED_CLAMP)
        tiled = np.tile(POSE2D[i], (M, 1)), np.tile(COND[i], (M, 1))
        whole = jaxflow.log_prob(params, poses, *tiled, observation_scale=scale)
        constant = -16 * np.log(2 * np.pi) - 32 * np.log(scale)
        np.testing.assert_allclose(
            drawn.log_density[i], whole - constant, rtol=1e-5, atol=1e-4
        )


def test_density_by_autodiff(params, drawn):
    """log N(z; 0, I) minus log|det| of the inverse map's own Jacobian, in float64."""
    with jax.enable_x64(True):
        weights = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)

        def pose(output, cond):
            return jaxflow.flow.inverse(weights, output[:16], output[16:], cond)[0]

        jacobian = jax.jit(jax.vmap(jax.jacobian(pose), in_axes=(0, None)))
        for i in (0, 3):
            z = np.asarray(latents(i), np.float64)
            output = np.hstack([z, np.tile(POSE2D[i].astype(np.float64), (M, 1))])
            log_det = np.linalg.slogdet(jacobian(output, COND[i].astype(np.float64)))[1]
            normal = -0.5 * (z**2).sum(-1) - 8 * np.log(2 * np.pi)
            np.testing.assert_allclose(
                drawn.log_density[i], normal - log_det, rtol=1e-5, atol=1e-4
            )
            assert np.ptp(log_det) > 0.01  # else its sign would not show


def test_temperature_zero_has_the_density_of_the_mode(params):
    got = sampling.sample_with_log_density(
        params, POSE2D, COND, KEY, num_hypotheses=M, temperature=0.0
    )
    latent = jnp.zeros((4, 16), jnp.float32)
    _, log_det = jaxflow.flow.inverse(params, latent, POSE2D, COND)
    want = -8 * np.log(2 * np.pi) - log_det
    np.testing.assert_allclose(got.log_density, np.tile(want, (M, 1)).T, rtol=1e-5)


def test_the_clamp_is_passed_on(params, drawn):
    got = sampling.sample_with_log_density(
        params, POSE2D, COND, KEY, num_hypotheses=M, clamp=EXACT_CLAMP
    )
    assert np.abs(got.log_density - drawn.log_density).max() > 1e-5


def test_bad_input_is_refused_as_by_sample(params):
    with pytest.raises(ValueError, match=r"pose2d \(4,\), cond \(3,\)"):
        sampling.sample_with_log_density(params, POSE2D, COND[:3], KEY)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        sampling.sample_with_log_density(params, POSE2D, COND, KEY, num_hypotheses=0)
