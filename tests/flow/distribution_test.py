"""The posterior as a distribution: the same density, samples of it, and mass one."""

import functools
import math

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow
from jaxflow import torch_weights
from jaxflow.config import EXACT_CLAMP, RELEASED_CLAMP, FlowConfig
from jaxflow.flow import distribution
from tests.golden import make, store

ARRAYS = store.load("flow")
SCALE = 0.3
log_prob = jax.jit(jaxflow.log_prob, static_argnames="clamp")
SMALL = {
    "joints": 2,
    "condition": 5,
    "hidden": 12,
    "encoder_hidden": 6,
    "encoded": 4,
    "blocks": 4,
}


@pytest.fixture(scope="module")
def params():
    return torch_weights.params_from_state(make.flow_state(3), FlowConfig(**make.SIZES))


@pytest.fixture(scope="module")
def posterior(params):
    return jaxflow.posterior(
        params, ARRAYS["pose2d"], ARRAYS["condition"], observation_scale=SCALE
    )


def test_is_a_distrax_distribution(posterior):
    assert isinstance(posterior, distrax.Distribution)
    assert posterior.batch_shape == (8,) and posterior.event_shape == (48,)


def test_log_prob_is_jaxflow_log_prob(params, posterior):
    inputs = (ARRAYS[name] for name in ("pose3d", "pose2d", "condition"))
    want = log_prob(params, *inputs, observation_scale=SCALE)
    got = jax.jit(posterior.log_prob)(ARRAYS["pose3d"])
    np.testing.assert_allclose(got, want, rtol=1e-5)
    np.testing.assert_allclose(want, ARRAYS["log_prob"], rtol=1e-5)


def test_the_exact_clamp_is_passed_on(params):
    inputs = ARRAYS["pose2d"], ARRAYS["condition"]
    options = {"observation_scale": SCALE, "clamp": EXACT_CLAMP}
    exact = jaxflow.posterior(params, *inputs, **options)
    got = jax.jit(exact.log_prob)(ARRAYS["pose3d"])
    want = log_prob(params, ARRAYS["pose3d"], *inputs, **options)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    assert np.abs(got - ARRAYS["log_prob"]).max() > 10 * np.abs(got - want).max()


@pytest.fixture(scope="module")
def drawn(posterior):
    draw = jax.jit(
        lambda key: posterior.sample_and_log_prob(seed=key, sample_shape=300)
    )
    return draw(jax.random.key(0))


def test_samples_have_the_density_they_claim(params, posterior, drawn):
    poses, claimed = drawn
    assert poses.shape == (300, 8, 48) and claimed.shape == (300, 8)
    repeated = (np.tile(ARRAYS[name], (300, 1, 1)) for name in ("pose2d", "condition"))
    want = log_prob(params, poses, *repeated, observation_scale=SCALE)
    np.testing.assert_allclose(claimed, want, rtol=1e-4)
    np.testing.assert_allclose(jax.jit(posterior.log_prob)(poses), want, rtol=1e-4)


def test_samples_carry_the_noise_of_the_observation(params, drawn):
    poses, _ = drawn
    cond = np.tile(ARRAYS["condition"], (300, 1, 1))
    z, pose2d, _ = jax.jit(jaxflow.flow.forward)(params, poses, cond)
    error = 5 / np.sqrt(300 * 8 * 16)
    np.testing.assert_allclose(np.std(z), 1, atol=error)
    np.testing.assert_allclose(np.std(pose2d - ARRAYS["pose2d"]), SCALE, atol=error)


def test_an_unbatched_posterior(params):
    single = jaxflow.posterior(
        params, ARRAYS["pose2d"][2], ARRAYS["condition"][2], observation_scale=SCALE
    )
    assert single.batch_shape == ()
    np.testing.assert_allclose(
        jax.jit(single.log_prob)(ARRAYS["pose3d"][2]), ARRAYS["log_prob"][2], rtol=1e-5
    )


def test_bijector_is_its_own_inverse(params):
    bijector = distribution.InverseFlow(params, ARRAYS["condition"], RELEASED_CLAMP)
    output = np.concatenate([ARRAYS["z"], ARRAYS["pose2d"]], axis=-1)
    pose3d, log_det = jax.jit(bijector.forward_and_log_det)(output)
    np.testing.assert_allclose(pose3d, ARRAYS["inverse"], atol=1e-4)
    back, inverse_log_det = jax.jit(bijector.inverse_and_log_det)(pose3d)
    np.testing.assert_allclose(back, output, atol=1e-4)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-4)
    assert bijector.same_as(bijector)


@functools.partial(jax.jit, static_argnames=("freedom", "count"))
def student_t(key, mean, root, freedom, count):
    """Samples of a multivariate Student t, and their log-density."""
    size = len(mean)
    drawn = jax.random.normal(key, (count, size + freedom))
    normal, chi = drawn[:, :size], jnp.sum(drawn[:, size:] ** 2, axis=1)
    standard = normal * jnp.sqrt(freedom / chi)[:, None]
    constant = math.lgamma((freedom + size) / 2) - math.lgamma(freedom / 2)
    constant -= size / 2 * math.log(freedom * math.pi)
    kernel = jnp.log1p(jnp.sum(standard**2, axis=-1) / freedom)
    log_density = constant - (freedom + size) / 2 * kernel
    log_density -= jnp.sum(jnp.log(jnp.diagonal(root)))  # root is triangular
    return mean + standard @ root.T, log_density


def test_it_may_leave_a_jitted_function(params, posterior):
    inputs = ARRAYS["pose2d"], ARRAYS["condition"]
    made = jax.jit(lambda *i: jaxflow.posterior(params, *i, observation_scale=SCALE))
    passed = jax.jit(lambda posterior, pose: posterior.log_prob(pose))
    want = posterior.log_prob(ARRAYS["pose3d"])
    for one in (made(*inputs), jax.tree.map(jnp.asarray, posterior)):
        assert one.batch_shape == (8,) and one.event_shape == (48,)
        np.testing.assert_allclose(one.log_prob(ARRAYS["pose3d"]), want, rtol=1e-5)
        np.testing.assert_allclose(passed(one, ARRAYS["pose3d"]), want, rtol=1e-5)
        assert one.sample(seed=jax.random.key(0), sample_shape=2).shape == (2, 8, 48)


def test_poses_as_sample_gives_them(params):
    inputs = ARRAYS["pose2d"], ARRAYS["condition"]
    poses = jaxflow.sample(params, *inputs, jax.random.key(0), num_hypotheses=3)
    vectors = jax.jit(jaxflow.normalize_pose3d)(poses)
    poses = np.asarray(poses)
    tiled = [np.repeat(array[:, None], 3, axis=1) for array in inputs]
    scales = np.full(8, SCALE, np.float32)
    for pose3d in (poses, vectors):
        want = log_prob(params, pose3d, *tiled, observation_scale=SCALE)
        for scale in (SCALE, scales):
            got = log_prob(params, pose3d, *inputs, observation_scale=scale)
            np.testing.assert_allclose(got, want, rtol=1e-5)
        one = jaxflow.posterior(
            params, *(array[2] for array in inputs), observation_scale=SCALE
        )
        np.testing.assert_allclose(one.log_prob(pose3d[2]), want[2], rtol=1e-5)
    millimetres = 900 * poses / np.abs(poses).max((-3, -2, -1), keepdims=True)
    with pytest.raises(ValueError, match="in metres; .*divide millimetres by 1000"):
        jaxflow.log_prob(params, millimetres, *inputs, observation_scale=SCALE)
    with pytest.raises(ValueError, match="divide millimetres by 1000"):
        one.log_prob(millimetres[2])


@pytest.mark.slow
def test_settings_of_the_user_s_own_code(params):
    inputs = ARRAYS["pose2d"], ARRAYS["condition"]
    maps = np.eye(16 * 64, 64, dtype=np.float32).reshape(1, 16, 64, 64) + 0.1
    with jax.numpy_rank_promotion("raise"), jax.debug_infs(True):
        fits = jaxflow.fit_gaussians(maps)
        jaxflow.condition(fits)
        jaxflow.normalize_pose2d(fits.mean + jnp.arange(32.0).reshape(1, 16, 2))
        poses = jaxflow.sample(params, *inputs, jax.random.key(0), num_hypotheses=3)
        jaxflow.log_prob(params, poses, *inputs, observation_scale=SCALE)
        posterior = jaxflow.posterior(params, *inputs, observation_scale=SCALE)
        drawn, density = posterior.sample_and_log_prob(seed=jax.random.key(0))
        detected = jaxflow.detections.from_sigma(fits.mean, jnp.ones((1, 16)))
        again = jaxflow.detections.to_fits(detected)
    assert poses.shape[-3:] == (3, 17, 3) and drawn.shape[:-1] == density.shape
    assert np.isfinite(density).all()
    assert again.mean.shape == (1, 16, 2) and np.isfinite(again.mean).all()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "encoder and blocks, .*; got None"),
        ("runs/x", "got the path 'runs/x': jaxflow.load_params reads"),
        ({"blocks": 1}, "got a dict of blocks"),
        ({"encoder": 1, "blocks": [1]}, "blocks are stacked, or a tuple; got a list"),
    ],
)
def test_what_are_no_parameters(given, told):
    inputs = ARRAYS["pose2d"], ARRAYS["condition"]
    with pytest.raises(TypeError, match=told):
        jaxflow.sample(given, *inputs, jax.random.key(0))
    with pytest.raises(TypeError, match=told):
        jaxflow.log_prob(given, ARRAYS["pose3d"], *inputs, observation_scale=SCALE)
    with pytest.raises(TypeError, match=told):
        jaxflow.posterior(given, *inputs, observation_scale=SCALE)


@pytest.mark.parametrize(
    ("count", "error", "told"),
    [
        (2.5, TypeError, "expected a whole number as num_hypotheses; got 2.5"),
        ("8", TypeError, "got '8'"),
        (99999999999, ValueError, "must be at most"),
    ],
)
def test_numbers_of_hypotheses(params, count, error, told):
    inputs = ARRAYS["pose2d"], ARRAYS["condition"]
    with pytest.raises(error, match=told):
        jaxflow.sample(params, *inputs, jax.random.key(0), num_hypotheses=count)


def test_mass_is_one_by_importance_sampling():
    """A six-dimensional posterior under a broad Student t, which is no part of it."""
    state = make.flow_state(
        8, joints=2, condition=5, blocks=4, hidden=12, encoder_hidden=6, encoded=4
    )
    params = torch_weights.params_from_state(state, FlowConfig(**SMALL))
    rng = np.random.RandomState(5)
    pose2d, cond = rng.randn(4).astype(np.float32), rng.randn(5).astype(np.float32)
    posterior = jaxflow.posterior(params, pose2d, cond, observation_scale=0.5)
    density = jax.jit(posterior.log_prob)
    draw = jax.jit(lambda key: posterior.sample(seed=key, sample_shape=4000))
    drawn = np.asarray(draw(jax.random.key(0)))
    root = np.linalg.cholesky(1.5 * np.cov(drawn.T)).astype(np.float32)
    points, log_proposal = student_t(
        jax.random.key(1), drawn.mean(axis=0), root, freedom=5, count=50_000
    )
    weights = np.exp(np.asarray(density(points) - log_proposal, np.float64))
    error = weights.std() / np.sqrt(len(weights))
    assert error < 0.01
    assert abs(weights.mean() - 1) < 4 * error
    # The density is no Gaussian: a Gaussian of the same moments misses it by far.
    gaussian = -0.5 * np.sum(
        np.linalg.solve(root / np.sqrt(1.5), (drawn - drawn.mean(axis=0)).T) ** 2,
        axis=0,
    )
    assert np.std(density(drawn) - gaussian) > 0.3


@pytest.mark.parametrize(
    ("pose2d", "cond", "error", "message"),
    [
        ((3, 32), (2, 78), ValueError, r"pose2d \(3,\), cond \(2,\)"),
        ((2, 32), (2, 77), ValueError, r"cond of shape \(\.\.\., 78\)"),
        ((2, 31), (2, 78), ValueError, r"pose2d of shape \(\.\.\., 32\)"),
        (int, (2, 78), TypeError, "pose2d to be floating"),
    ],
)
def test_bad_input(params, pose2d, cond, error, message):
    observed = np.zeros((2, 32), int) if pose2d is int else np.zeros(pose2d, np.float32)
    with pytest.raises(error, match=message):
        jaxflow.posterior(
            params, observed, np.zeros(cond, np.float32), observation_scale=0.1
        )
