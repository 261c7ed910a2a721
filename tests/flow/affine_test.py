import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import flow
from jaxflow.config import FlowConfig
from jaxflow.flow import (
    affine,
    distribution,
    exported,
    mirror,
    onnx_graph,
    sampling,
    stack,
)
from jaxflow.gaussians.condition import condition
from jaxflow.maths import geometry
from jaxflow.methods.flow import FlowModel
from jaxflow.skeleton import H36M_MIRRORED

CONFIG = FlowConfig(hidden=16, blocks=3, encoder_hidden=8, encoded=6, affine_hidden=12)
SYMMETRIC = dataclasses.replace(CONFIG, affine_depth=2, affine_symmetric=True)

# Compiled whole: op by op, the first call of each costs seconds.
forward, inverse = jax.jit(flow.forward), jax.jit(flow.inverse)
log_prob = jax.jit(flow.log_prob)
base_of = jax.jit(affine.base)


@pytest.fixture(scope="module", params=[CONFIG, SYMMETRIC], ids=["plain", "symmetric"])
def params(request):
    """A flow whose blocks are not the identity."""
    rng = np.random.default_rng(1)
    return jax.tree.map(
        lambda leaf: leaf + 0.05 * rng.normal(size=leaf.shape).astype(np.float32),
        jax.device_get(flow.init(jax.random.key(0), request.param)),
    )


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    pose3d, pose2d = 0.3 * rng.normal(size=(4, 48)), rng.normal(size=(4, 32))
    cond = np.abs(rng.normal(size=(4, 78))) * 0.3
    return [jnp.asarray(a, jnp.float32) for a in (pose3d, pose2d, cond)]


def test_the_flow_inverts_through_it(params, inputs):
    pose3d, _, cond = inputs
    z, pose2d, forward_det = forward(params, pose3d, cond)
    back, inverse_det = inverse(params, z, pose2d, cond)
    np.testing.assert_allclose(back, pose3d, atol=2e-5)
    np.testing.assert_allclose(inverse_det, -forward_det, rtol=1e-4, atol=1e-3)


def test_its_log_determinant_is_the_jacobians(params, inputs):
    pose3d, _, cond = inputs

    def both(pose):
        z, pose2d, _ = flow.forward(params, pose, cond[0])
        return jnp.concatenate([z, pose2d])

    _, _, log_det = forward(params, pose3d[0], cond[0])
    jacobian = np.asarray(jax.jit(jax.jacfwd(both))(pose3d[0]), np.float64)
    assert float(log_det) == pytest.approx(np.linalg.slogdet(jacobian)[1], abs=1e-2)


@pytest.mark.parametrize("config", [CONFIG, SYMMETRIC])
def test_a_fresh_flow_is_the_conditional_gaussian(inputs, config):
    fresh = flow.init(jax.random.key(0), config)
    _, pose2d, cond = inputs
    base = base_of(fresh["affine"], cond)
    z = jax.random.normal(jax.random.key(2), (4, 16))
    pose3d, _ = inverse(fresh, z, pose2d, cond)
    r = np.concatenate([z, pose2d], axis=-1)
    factor = jax.jit(affine.factor)(fresh["affine"], base)
    gaussian = base.mean + np.einsum("bij,bj->bi", factor, r)
    # Depths come first there.
    np.testing.assert_allclose(np.roll(pose3d, 16, axis=-1), gaussian, atol=1e-5)


def test_hypotheses_and_the_distribution_go_through_it(params, inputs):
    _, pose2d, cond = inputs
    z = jax.random.normal(jax.random.key(3), (4, 5, 16))
    draw = jax.jit(sampling.hypotheses, static_argnums=4)
    drawn = draw(params, z, pose2d, cond, CONFIG.clamp)
    for i in range(5):
        one, _ = inverse(params, np.asarray(z)[:, i], pose2d, cond)
        np.testing.assert_allclose(drawn[:, i], one, atol=2e-5)
    posterior = distribution.posterior(params, pose2d, cond, observation_scale=0.1)
    sample = jax.jit(lambda key: posterior.sample(seed=key, sample_shape=(3,)))
    poses = sample(jax.random.key(4))
    density = log_prob(
        params,
        poses,
        np.broadcast_to(pose2d, (3, 4, 32)),
        np.broadcast_to(cond, (3, 4, 78)),
        observation_scale=0.1,
    )
    claimed = jax.jit(posterior.log_prob)(poses)
    np.testing.assert_allclose(claimed, density, rtol=1e-3, atol=0.05)


def test_without_it_parameters_are_what_they_were():
    plain = flow.init(jax.random.key(0), FlowConfig(hidden=16, blocks=3))
    assert set(plain) == {"encoder", "blocks"}
    assert np.any(plain["blocks"]["net1"]["output"]["kernel"])


@pytest.mark.parametrize("symmetric", [False, True])
def test_without_the_condition_it_is_a_constant(inputs, symmetric):
    config = dataclasses.replace(
        CONFIG, use_condition=False, affine_symmetric=symmetric
    )
    fresh = flow.init(jax.random.key(0), config)
    base = base_of(fresh["affine"], inputs[2])
    np.testing.assert_allclose(base.mean, np.broadcast_to(base.mean[:1], (4, 48)))
    np.testing.assert_allclose(base.triangle[1:], base.triangle[:-1])


@pytest.mark.parametrize("size", [6, 72, 77, 84])
def test_refuses_a_condition_of_another_size(params, inputs, size):
    """Before the layer's nets meet it."""
    pose3d, pose2d, _ = inputs
    message = rf"cond of shape \(\.\.\., 78\); got \(4, {size}\)"
    with pytest.raises(ValueError, match=message):
        forward(params, pose3d, np.zeros((4, size), np.float32))
    with pytest.raises(ValueError, match=message):
        inverse(params, pose3d[:, :16], pose2d, np.zeros((4, size), np.float32))


def test_refuses_a_condition_that_is_not_of_joints():
    with pytest.raises(ValueError, match="affine"):
        FlowConfig(affine_hidden=8, condition=77)
    with pytest.raises(ValueError, match="affine_symmetric is of 16 joints"):
        FlowConfig(affine_hidden=8, joints=2, condition=12, affine_symmetric=True)
    with pytest.raises(ValueError, match="affine_depth"):
        FlowConfig(affine_hidden=8, affine_depth=-1)


@pytest.mark.parametrize("config", [CONFIG, SYMMETRIC])
def test_a_symmetric_layer_mirrors_as_its_input_does(inputs, config):
    """The mirror image's Gaussian is the mirrored Gaussian, and no other layer's is."""
    fresh = flow.init(jax.random.key(0), config)["affine"]
    rng = np.random.default_rng(5)
    layer = jax.tree.map(
        lambda leaf: leaf + 0.05 * rng.normal(size=leaf.shape).astype(np.float32), fresh
    )
    pose3d, pose2d, cond = inputs
    z = jax.random.normal(jax.random.key(6), (4, 3, 16))
    other = mirror.pose2d(pose2d), mirror.cond(cond)
    # Latents are depths, which only change sides.
    swapped = z[..., np.asarray(H36M_MIRRORED[1:]) - 1]

    @jax.jit
    def draw(params, z, pose2d, cond):
        return affine.hypotheses(params, affine.base(params, cond), z, pose2d, cond)

    @jax.jit
    def density(params, pose3d, pose2d, cond):
        return affine.log_prob(params, affine.base(params, cond), pose3d, pose2d, cond)

    ours, theirs = (
        np.asarray(jax.vmap(jax.vmap(geometry.denormalize_pose3d))(poses))
        for poses in (draw(layer, z, pose2d, cond), draw(layer, swapped, *other))
    )
    apart = np.abs(geometry.mirrored(ours) - theirs).max()
    mirrored = geometry.normalize_pose3d(
        geometry.mirrored(jax.vmap(geometry.denormalize_pose3d)(pose3d))
    )
    centred = geometry.normalize_pose3d(jax.vmap(geometry.denormalize_pose3d)(pose3d))
    nats = density(layer, centred, pose2d, cond), density(layer, mirrored, *other)
    if config.affine_symmetric:
        assert apart < 1e-5
        np.testing.assert_allclose(*nats, rtol=1e-4)
    else:
        assert apart > 1e-2 and not np.allclose(*nats, rtol=1e-4)


@pytest.fixture(scope="module")
def idle(params):
    """The same, whose blocks are."""
    nets = params["blocks"].items()
    outputs = {name: jax.tree.map(np.zeros_like, net["output"]) for name, net in nets}
    return {
        **params,
        "blocks": {name: {**net, "output": outputs[name]} for name, net in nets},
    }


@pytest.mark.parametrize("kind", ["stablehlo", "onnx"])
@pytest.mark.parametrize("without", [False, True])
def test_exported_samplers_have_it(params, idle, kind, without):
    params = idle if without else params
    for needed in ("flatbuffers", "onnx", "onnxruntime"):
        pytest.importorskip(needed, reason="files need the extras of exporting")
    writers = {"stablehlo": exported.to_stablehlo, "onnx": onnx_graph.to_onnx}
    readers = {"stablehlo": exported.open_stablehlo, "onnx": onnx_graph.open_onnx}
    fits, pose2d, z = exported.example_inputs(2, 3, seed=3)
    observed = np.repeat(np.asarray(geometry.normalize_pose2d(pose2d))[:, None], 3, 1)
    cond = np.repeat(np.asarray(jax.jit(condition)(fits))[:, None], 3, 1)
    want, _ = inverse(params, z, observed, cond)
    want = np.asarray(geometry.denormalize_pose3d(want))
    # A writer takes either form.
    form = stack.without_blocks(params) if without else flow.separate(params)
    run = readers[kind](writers[kind](form, CONFIG.clamp))
    got = np.asarray(run(fits, pose2d, z))
    np.testing.assert_allclose(got, want, atol=2e-5 * np.abs(want).max())


def test_blocks_that_do_nothing_are_not_computed(params, idle, inputs):
    """The model draws the same without them, and knows when it may leave them out."""
    pose3d, pose2d, cond = inputs
    model = FlowModel.of(idle, CONFIG)
    assert model.idle and not FlowModel.of(params, CONFIG).idle
    jax.tree.map(np.testing.assert_array_equal, model.parameters(), idle)
    whole = dataclasses.replace(model, idle=False)
    drawn, expected = (
        each.sample_with_log_density(pose2d, cond, jax.random.key(1), num_hypotheses=9)
        for each in (model, whole)
    )
    np.testing.assert_array_equal(drawn.poses, expected.poses)
    np.testing.assert_allclose(drawn.log_density, expected.log_density, rtol=1e-6)
    densities = [
        each.log_prob(pose3d, pose2d, cond, observation_scale=0.1)
        for each in (model, whole)
    ]
    np.testing.assert_allclose(*densities, rtol=1e-6)


def test_whether_blocks_do_nothing_is_told_of_known_numbers_alone(params, idle):
    assert stack.idle(idle) and stack.idle(stack.separate(idle))
    assert not stack.idle(params)
    assert not stack.idle({key: idle[key] for key in ("encoder", "blocks")})

    def traced(tree):
        assert not stack.idle(tree)
        return tree

    jax.eval_shape(traced, idle)


def test_weights_that_are_asked_twice_are_written_once():
    pytest.importorskip("onnx", reason="files need the extra onnx-export")
    config = dataclasses.replace(SYMMETRIC, affine_hidden=64)
    fresh = flow.init(jax.random.key(0), config)
    content = onnx_graph.to_onnx(fresh, config.clamp)
    numbers = sum(leaf.size for leaf in jax.tree.leaves(fresh))
    assert 4 * numbers < len(content) < 1.5 * 4 * numbers


def test_one_process_computes_in_either_precision(params):
    """What was drawn with 64-bit numbers off is drawn again with them on."""
    key = jax.random.key(0)
    pose2d, cond = np.ones((2, 32), np.float32), np.full((2, 78), 0.5, np.float32)

    def draw():
        poses = sampling.sample(params, pose2d, cond, key, num_hypotheses=3)
        told = params, pose2d, cond
        posterior = distribution.posterior(*told, observation_scale=0.1)
        vectors = posterior.sample(seed=key)
        return poses, posterior.log_prob(vectors), posterior.log_prob(poses[:, 0])

    narrow = draw()
    with jax.enable_x64(True):
        wide = draw()
    for one, other in zip(narrow, wide, strict=True):
        assert one.shape == other.shape
    np.testing.assert_allclose(narrow[0], wide[0], atol=1e-4)


def test_no_frames_have_no_hypotheses(params):
    none = np.zeros((0, 32), np.float32), np.zeros((0, 78), np.float32)
    key = jax.random.key(0)
    drawn = sampling.sample(params, *none, key, num_hypotheses=3)
    assert drawn.shape == (0, 3, 17, 3)
    pose3d, _ = inverse(params, np.zeros((0, 16), np.float32), *none)
    assert pose3d.shape == (0, 48)
    posterior = distribution.posterior(params, *none, observation_scale=0.1)
    assert posterior.sample(seed=key, sample_shape=(2,)).shape == (2, 0, 48)
    poses = np.zeros((0, 17, 3), np.float32)
    assert log_prob(params, poses, *none, observation_scale=0.1).shape == (0,)
