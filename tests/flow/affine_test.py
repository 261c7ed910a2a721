import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import flow
from jaxflow.config import FlowConfig
from jaxflow.flow import affine, distribution, exported, onnx_graph, sampling
from jaxflow.gaussians.condition import condition
from jaxflow.maths import geometry

CONFIG = FlowConfig(hidden=16, blocks=3, encoder_hidden=8, encoded=6, affine_hidden=12)


@pytest.fixture(scope="module")
def params():
    """A flow whose blocks are not the identity."""
    fresh = flow.init(jax.random.key(0), CONFIG)
    keys = iter(jax.random.split(jax.random.key(1), 100))
    return jax.tree.map(
        lambda leaf: leaf + 0.05 * jax.random.normal(next(keys), leaf.shape), fresh
    )


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    pose3d, pose2d = 0.3 * rng.normal(size=(4, 48)), rng.normal(size=(4, 32))
    cond = np.abs(rng.normal(size=(4, 78))) * 0.3
    return [jnp.asarray(a, jnp.float32) for a in (pose3d, pose2d, cond)]


def test_the_flow_inverts_through_it(params, inputs):
    pose3d, _, cond = inputs
    z, pose2d, forward_det = flow.forward(params, pose3d, cond)
    back, inverse_det = flow.inverse(params, z, pose2d, cond)
    np.testing.assert_allclose(back, pose3d, atol=2e-5)
    np.testing.assert_allclose(inverse_det, -forward_det, rtol=1e-4, atol=1e-3)


def test_its_log_determinant_is_the_jacobians(params, inputs):
    pose3d, _, cond = inputs

    def both(pose):
        z, pose2d, _ = flow.forward(params, pose, cond[0])
        return jnp.concatenate([z, pose2d])

    _, _, log_det = flow.forward(params, pose3d[0], cond[0])
    jacobian = np.asarray(jax.jacfwd(both)(pose3d[0]), np.float64)
    assert float(log_det) == pytest.approx(np.linalg.slogdet(jacobian)[1], abs=1e-2)


def test_a_fresh_flow_is_the_conditional_gaussian(inputs):
    fresh = flow.init(jax.random.key(0), CONFIG)
    _, pose2d, cond = inputs
    base = affine.base(fresh["affine"], cond)
    z = jax.random.normal(jax.random.key(2), (4, 16))
    pose3d, _ = flow.inverse(fresh, z, pose2d, cond)
    r = jnp.concatenate([z, pose2d], axis=-1)
    gaussian = base.mean + jnp.einsum("bij,bj->bi", base.factor, r)
    # Depths come first there.
    np.testing.assert_allclose(jnp.roll(pose3d, 16, axis=-1), gaussian, atol=1e-5)


def test_hypotheses_and_the_distribution_go_through_it(params, inputs):
    _, pose2d, cond = inputs
    z = jax.random.normal(jax.random.key(3), (4, 5, 16))
    drawn = sampling.hypotheses(params, z, pose2d, cond, CONFIG.clamp)
    for i in range(5):
        one, _ = flow.inverse(params, z[:, i], pose2d, cond)
        np.testing.assert_allclose(drawn[:, i], one, atol=2e-5)
    posterior = distribution.posterior(params, pose2d, cond, observation_scale=0.1)
    poses = posterior.sample(seed=jax.random.key(4), sample_shape=(3,))
    density = flow.log_prob(
        params,
        poses,
        jnp.broadcast_to(pose2d, (3, 4, 32)),
        jnp.broadcast_to(cond, (3, 4, 78)),
        observation_scale=0.1,
    )
    np.testing.assert_allclose(posterior.log_prob(poses), density, rtol=1e-3, atol=0.05)


def test_without_it_parameters_are_what_they_were():
    plain = flow.init(jax.random.key(0), FlowConfig(hidden=16, blocks=3))
    assert set(plain) == {"encoder", "blocks"}
    assert np.any(plain["blocks"]["net1"]["output"]["kernel"])


def test_without_the_condition_it_is_a_constant(inputs):
    config = FlowConfig(hidden=16, blocks=2, affine_hidden=8, use_condition=False)
    fresh = flow.init(jax.random.key(0), config)
    base = affine.base(fresh["affine"], inputs[2])
    np.testing.assert_allclose(base.mean, np.broadcast_to(base.mean[:1], (4, 48)))
    np.testing.assert_allclose(base.factor[1:], base.factor[:-1])


def test_refuses_a_condition_that_is_not_of_joints():
    with pytest.raises(ValueError, match="affine"):
        FlowConfig(affine_hidden=8, condition=77)


@pytest.mark.parametrize("kind", ["stablehlo", "onnx"])
def test_exported_samplers_have_it(params, kind):
    for needed in ("flatbuffers", "onnx", "onnxruntime"):
        pytest.importorskip(needed, reason="files need the extras of exporting")
    writers = {"stablehlo": exported.to_stablehlo, "onnx": onnx_graph.to_onnx}
    readers = {"stablehlo": exported.open_stablehlo, "onnx": onnx_graph.open_onnx}
    fits, pose2d, z = exported.example_inputs(2, 3, seed=3)
    observed = np.repeat(np.asarray(geometry.normalize_pose2d(pose2d))[:, None], 3, 1)
    cond = np.repeat(np.asarray(condition(fits))[:, None], 3, 1)
    want, _ = flow.inverse(params, z, observed, cond)
    want = np.asarray(geometry.denormalize_pose3d(want))
    separate = flow.separate(params)  # a writer takes either form
    run = readers[kind](writers[kind](separate, CONFIG.clamp))
    got = np.asarray(run(fits, pose2d, z))
    np.testing.assert_allclose(got, want, atol=2e-5 * np.abs(want).max())
