"""sample(): what it returns, what it depends on, and what it costs."""

import functools

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import jaxflow
from jaxflow import torch_weights
from jaxflow.config import EXACT_CLAMP, RELEASED_CLAMP, FlowConfig
from jaxflow.flow import sampling
from jaxflow.maths import batching
from tests.golden import make
from tests.oracles import flow as flow_oracle
from tests.oracles import preprocessing

KEY = jax.random.key(11)
STATE = make.flow_state(40, blocks=3)
_, POSE2D, COND = make.batch(41, 5)
M = 6


@pytest.fixture(scope="module")
def params():
    config = FlowConfig(blocks=3, **make.SIZES)
    return torch_weights.params_from_state(STATE, config)


@pytest.fixture(scope="module")
def poses(params):
    return jaxflow.sample(params, POSE2D, COND, KEY, num_hypotheses=M)


def oracle_poses(z, pose2d, cond, **options):
    """(M, 16) latents of one pose to (M, 17, 3)."""
    output = np.hstack([z, np.tile(pose2d, (len(z), 1))])
    vectors = flow_oracle.inverse(STATE, output, np.tile(cond, (len(z), 1)), **options)
    return np.array([preprocessing.camera_pose(vector) for vector in vectors])


def latents(key, temperature=1.0):
    return temperature * np.asarray(jax.random.normal(key, (M, 16)))


def test_shape_dtype_and_hip(poses):
    assert poses.shape == (5, M, 17, 3) and poses.dtype == jnp.float32
    assert np.all(np.asarray(poses[..., 0, :]) == 0)
    middle = (poses[..., 1, :] + poses[..., 4, :]) / 2
    np.testing.assert_allclose(middle, 0, atol=1e-6)


def test_poses_are_the_inverse_of_normal_latents(poses):
    for i in range(5):
        want = oracle_poses(latents(jax.random.fold_in(KEY, i)), POSE2D[i], COND[i])
        np.testing.assert_allclose(poses[i], want, atol=1e-4)


def test_the_defaults(params):
    got = jaxflow.sample(params, POSE2D[0], COND[0], KEY)
    assert got.shape == (200, 17, 3)


def test_hypotheses_project_onto_the_observation(params):
    """Sent forward, every hypothesis gives the 2D pose and the latent it came from."""
    z = np.random.RandomState(42).randn(M, 16).astype(np.float32)
    inputs = POSE2D[0], COND[0], RELEASED_CLAMP
    vectors = jax.jit(sampling.hypotheses, static_argnums=4)(params, z, *inputs)
    cond = jnp.tile(COND[0], (M, 1))
    latent, pose2d, _ = jax.jit(jaxflow.flow.forward)(params, vectors, cond)
    np.testing.assert_allclose(pose2d, np.tile(POSE2D[0], (M, 1)), atol=1e-4)
    np.testing.assert_allclose(latent, z, atol=1e-4)


def test_temperature_zero_is_the_z0_pose(params):
    got = jaxflow.sample(params, POSE2D, COND, KEY, num_hypotheses=M, temperature=0.0)
    for i in range(5):
        want = oracle_poses(np.zeros((1, 16)), POSE2D[i], COND[i])
        np.testing.assert_allclose(got[i], np.tile(want, (M, 1, 1)), atol=1e-5)


def test_temperature_scales_the_latents(params):
    got = jaxflow.sample(
        params, POSE2D[0], COND[0], KEY, num_hypotheses=M, temperature=0.3
    )
    want = oracle_poses(latents(KEY, 0.3), POSE2D[0], COND[0])
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_a_row_is_its_own_single_call(params, poses):
    for i in (0, 3):
        key = jax.random.fold_in(KEY, i)
        single = jaxflow.sample(params, POSE2D[i], COND[i], key, num_hypotheses=M)
        np.testing.assert_allclose(single, poses[i], atol=1e-5)


def test_one_key_an_example_and_split_batches(params, poses):
    keys = jax.vmap(lambda i: jax.random.fold_in(KEY, i))(jnp.arange(5))
    whole = jaxflow.sample(params, POSE2D, COND, keys, num_hypotheses=M)
    np.testing.assert_allclose(whole, poses, atol=1e-6)
    order = np.array([4, 1])
    part = jaxflow.sample(
        params, POSE2D[order], COND[order], keys[order], num_hypotheses=M
    )
    np.testing.assert_allclose(part, poses[order], atol=1e-5)


def test_several_batch_axes_count_row_by_row(params, poses):
    pose2d, cond = POSE2D[:4].reshape(2, 2, 32), COND[:4].reshape(2, 2, 78)
    got = jaxflow.sample(params, pose2d, cond, KEY, num_hypotheses=M)
    np.testing.assert_allclose(got.reshape(4, M, 17, 3), poses[:4], atol=1e-5)


def test_results_do_not_depend_on_the_tiles(params, poses, monkeypatch):
    """Five poses in tiles of two and two and one."""
    monkeypatch.setattr(batching, "poses_per_tile", lambda hypotheses: 2)
    untraced = functools.partial(
        sampling.draw.__wrapped__.__wrapped__,
        decode=sampling.poses,
        num_hypotheses=M,
        clamp=RELEASED_CLAMP,
    )
    keys = jax.vmap(lambda i: jax.random.fold_in(KEY, i))(jnp.arange(5))
    tiled = jax.jit(untraced)(POSE2D, COND, keys, jnp.float32(1), params=params)
    np.testing.assert_allclose(tiled, poses, atol=1e-5)


def test_another_key_gives_other_poses(params, poses):
    other = jaxflow.sample(params, POSE2D, COND, jax.random.key(12), num_hypotheses=M)
    assert float(jnp.abs(other - poses).max()) > 0.01
    flat = np.asarray(poses).reshape(5 * M, -1)
    assert len(np.unique(flat.round(5), axis=0)) == 5 * M


def test_under_jit_and_vmap(params, poses):
    def draw(pose2d, cond, key):
        return jaxflow.sample(params, pose2d, cond, key, num_hypotheses=M)

    keys = jax.vmap(lambda i: jax.random.fold_in(KEY, i))(jnp.arange(5))
    got = jax.jit(jax.vmap(draw))(POSE2D, COND, keys)
    np.testing.assert_allclose(got, poses, atol=1e-5)


def test_gradients_are_finite_differences(params):
    with jax.enable_x64(True):
        weights = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)

        def total(pose2d, cond, temperature):
            poses = jaxflow.sample(
                weights, pose2d, cond, KEY, num_hypotheses=2, temperature=temperature
            )
            return jnp.sum(jnp.sin(poses))

        inputs = [jnp.asarray(a[0], jnp.float64) for a in (POSE2D, COND)]
        check_grads(
            total, (*inputs, jnp.float64(0.7)), order=1, modes=["rev"], rtol=1e-5
        )


def test_the_exact_clamp_is_passed_on(params):
    got = jaxflow.sample(
        params, POSE2D[0], COND[0], KEY, num_hypotheses=M, clamp=EXACT_CLAMP
    )
    want = oracle_poses(latents(KEY), POSE2D[0], COND[0], factor=2 / np.pi)
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_same_shapes_compile_once(params, poses):
    del poses  # compiled by now
    before = sampling.draw.__wrapped__._cache_size()
    for seed, temperature in ((1, 0.0), (2, 0.5), (3, 1)):
        key = jax.random.key(seed)
        jaxflow.sample(
            params, POSE2D + seed, COND, key, num_hypotheses=M, temperature=temperature
        )
    assert sampling.draw.__wrapped__._cache_size() == before
    jaxflow.sample(params, POSE2D[:3], COND[:3], KEY, num_hypotheses=M)
    assert sampling.draw.__wrapped__._cache_size() == before + 1


def products(jaxpr):
    """(contracted size, output shape) of every matrix product, at any depth."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (axes, _), _ = equation.params["dimension_numbers"]
            contracted = np.prod([equation.invars[0].aval.shape[a] for a in axes])
            yield int(contracted), equation.outvars[0].aval.shape
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from products(inner)


def test_the_condition_is_multiplied_once_a_pose():
    """Its 9 encoded numbers meet the weights without the 13 hypotheses."""
    config = FlowConfig(blocks=2, hidden=7, encoder_hidden=11, encoded=9)
    params = jax.eval_shape(lambda: jaxflow.init(jax.random.key(0), config))
    draw = functools.partial(jaxflow.sample, num_hypotheses=13)
    jaxpr = jax.make_jaxpr(draw)(params, POSE2D, COND, KEY)
    found = list(products(jaxpr.jaxpr))
    shapes = {size: [shape for s, shape in found if s == size] for size, _ in found}
    assert set(shapes) == {78, 11, 9, 24, 7}
    for size in (78, 11, 9):
        assert shapes[size] and all(13 not in shape for shape in shapes[size])
    for size in (24, 7):
        assert shapes[size] and all(13 in shape for shape in shapes[size])


def test_an_empty_batch_gives_none(params):
    got = jaxflow.sample(params, POSE2D[:0], COND[:0], KEY, num_hypotheses=M)
    assert got.shape == (0, M, 17, 3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"pose2d": POSE2D[:, :31]}, ValueError, r"pose2d of shape \(\.\.\., 32\)"),
        (
            {"cond": COND[:, :65]},
            ValueError,
            r"cond of shape \(\.\.\., 78\); got \(5, 65\)",
        ),
        ({"cond": COND[:4]}, ValueError, r"pose2d \(5,\), cond \(4,\)"),
        ({"pose2d": POSE2D.astype(int)}, TypeError, "pose2d to be floating.*int"),
        ({"cond": COND > 0}, TypeError, "cond to be floating point; got bool"),
        ({"key": np.zeros(2, np.uint32)}, TypeError, "typed key.*uint32"),
        ({"key": jax.random.split(KEY, 4)}, ValueError, r"\(5,\); got keys.*\(4,\)"),
        ({"num_hypotheses": 0}, ValueError, "num_hypotheses must be at least 1, not 0"),
        ({"temperature": np.ones(M)}, ValueError, r"temperature .* got shape \(6,\)"),
        ({"temperature": np.nan}, ValueError, "temperature of at least 0.*; got nan"),
        ({"temperature": np.inf}, ValueError, "and finite; got inf"),
        ({"temperature": jnp.asarray(-0.5)}, ValueError, "temperature .*; got -0.5"),
        ({"temperature": None}, TypeError, "temperature to be numeric; got object"),
        ({"num_hypotheses": 2.5}, TypeError, "whole number .*; got 2.5"),
    ],
)
def test_bad_input(params, change, error, message):
    inputs = {"pose2d": POSE2D, "cond": COND, "key": KEY, "num_hypotheses": M, **change}
    with pytest.raises(error, match=message):
        jaxflow.sample(params, **inputs)


def test_what_is_no_clamp_is_told(params):
    with pytest.raises(TypeError, match="expected clamp, a SoftClamp; got a str"):
        jaxflow.sample(params, POSE2D, COND, KEY, num_hypotheses=M, clamp="x")
