"""The flow: references, exact inverse, exact log-determinant, initialisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import flow, torch_weights
from jaxflow.config import EXACT_CLAMP, RELEASED_CLAMP, FlowConfig
from tests.golden import make, store
from tests.golden.store import assert_close
from tests.oracles import flow as oracle

SMALL = FlowConfig(**make.SIZES)
STATE = make.flow_state(3)
forward = jax.jit(flow.forward, static_argnames="clamp")
inverse = jax.jit(flow.inverse, static_argnames="clamp")


@pytest.fixture(scope="module")
def params():
    return torch_weights.params_from_state(STATE, SMALL)


@pytest.fixture(params=["released code", "golden"])
def case(request, reference, params):
    if request.param == "golden":
        return params, store.load("flow")
    weights = torch_weights.params_from_state(reference("flow_params"))
    return weights, reference("flow")


def test_forward_and_log_det(case):
    weights, arrays = case
    z, pose2d, log_det = forward(weights, arrays["pose3d"], arrays["condition"])
    assert_close(np.concatenate([z, pose2d], axis=-1), arrays["forward"])
    assert_close(log_det, arrays["forward_log_det"])


def test_inverse(case):
    weights, arrays = case
    pose3d, _ = inverse(weights, arrays["z"], arrays["pose2d"], arrays["condition"])
    assert_close(pose3d, arrays["inverse"])


def test_encoded_condition(case):
    weights, arrays = case
    got = jax.jit(flow.encode)(weights, arrays["condition"])
    assert_close(got, arrays["encoded_condition"])


def test_permutations(case):
    got = flow.permutations(8, 48)
    np.testing.assert_array_equal(got, case[1]["permutations"])


def test_forward_then_inverse_in_float32(case):
    weights, arrays = case
    z, pose2d, log_det = forward(weights, arrays["pose3d"], arrays["condition"])
    back, inverse_log_det = inverse(weights, z, pose2d, arrays["condition"])
    np.testing.assert_allclose(back, arrays["pose3d"], atol=1e-4)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-3)


def test_forward_then_inverse_in_float64(case):
    weights, arrays = case
    with jax.enable_x64(True):
        weights = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), weights)
        pose3d, cond = (arrays[k].astype(np.float64) for k in ("pose3d", "condition"))
        z, pose2d, log_det = forward(weights, pose3d, cond)
        back, inverse_log_det = inverse(weights, z, pose2d, cond)
        assert back.dtype == jnp.float64
    np.testing.assert_allclose(back, pose3d, atol=1e-10)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-10)


def test_inverse_then_forward_recovers_the_latents(params):
    arrays = store.load("flow")
    pose3d, _ = inverse(params, arrays["z"], arrays["pose2d"], arrays["condition"])
    z, pose2d, _ = forward(params, pose3d, arrays["condition"])
    np.testing.assert_allclose(z, arrays["z"], atol=1e-4)
    np.testing.assert_allclose(pose2d, arrays["pose2d"], atol=1e-4)


def test_log_det_is_the_autodiff_jacobian(params):
    params, pose3d, cond = store.doubled("flow", params, "pose3d", "condition")

    def joined(pose, condition):
        z, pose2d, _ = flow.forward(params, pose, condition)
        return jnp.concatenate([z, pose2d])

    with jax.enable_x64(True):
        jacobians = jax.jit(jax.vmap(jax.jacfwd(joined)))(pose3d, cond)
        _, _, log_det = forward(params, pose3d, cond)
    np.testing.assert_allclose(np.linalg.slogdet(jacobians)[1], log_det, atol=1e-8)
    assert np.asarray(log_det).std() > 0.05  # it depends on the pose


def test_the_exact_clamp_is_another_flow(params):
    arrays = store.load("flow")
    inputs = arrays["pose3d"], arrays["condition"]
    z, pose2d, log_det = forward(params, *inputs, clamp=EXACT_CLAMP)
    want, total = oracle.forward(STATE, *inputs, factor=2 / np.pi)
    assert_close(np.concatenate([z, pose2d], axis=-1), want)
    assert_close(log_det, total)
    assert not np.allclose(log_det, arrays["forward_log_det"], rtol=1e-5)
    back, _ = inverse(params, z, pose2d, arrays["condition"], clamp=EXACT_CLAMP)
    np.testing.assert_allclose(back, arrays["pose3d"], atol=1e-4)


def test_leading_axes_are_free(params):
    arrays = store.load("flow")
    pose3d, cond = arrays["pose3d"], arrays["condition"]
    batch = forward(params, pose3d, cond)
    folded = flow.forward(params, pose3d.reshape(2, 4, 48), cond.reshape(2, 4, 78))
    single = flow.forward(params, pose3d[3], cond[3])
    for whole, fold, one in zip(batch, folded, single, strict=True):
        np.testing.assert_allclose(fold.reshape(whole.shape), whole, atol=1e-5)
        np.testing.assert_allclose(one, whole[3], atol=1e-5)
    assert single[2].shape == ()


@pytest.mark.parametrize("joints", [2, 6])
def test_other_skeletons_and_depths(joints):
    config = FlowConfig(
        blocks=3, hidden=7, encoder_hidden=5, encoded=4, joints=joints, condition=9
    )
    state = make.flow_state(
        1, blocks=3, joints=joints, condition=9, hidden=7, encoder_hidden=5, encoded=4
    )
    params = torch_weights.params_from_state(state, config)
    rng = np.random.RandomState(0)
    pose, cond = rng.randn(3, 3 * joints), rng.randn(3, 9)
    pose, cond = pose.astype(np.float32), cond.astype(np.float32)
    z, pose2d, log_det = flow.forward(params, pose, cond)
    want, total = oracle.forward(state, pose, cond)
    assert z.shape == (3, joints) and pose2d.shape == (3, 2 * joints)
    assert_close(np.concatenate([z, pose2d], axis=-1), want)
    assert_close(log_det, total)
    np.testing.assert_allclose(
        flow.inverse(params, z, pose2d, cond)[0], pose, atol=1e-5
    )


@pytest.fixture(scope="module")
def released_init():
    return jax.jit(flow.init)(jax.random.key(0))


def test_init_has_the_released_number_of_floats(released_init):
    params = released_init
    leaves = jax.tree.leaves(params)
    assert sum(leaf.size for leaf in leaves) == 2_157_176
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.float32)}
    assert all(type(node) is dict for node in (params, params["blocks"]))
    # The paper's width: 4 numbers less per net for every input, bias and output.
    paper = jax.eval_shape(
        lambda: flow.init(jax.random.key(0), FlowConfig(hidden=1024))
    )
    fewer = 4 * 16 * (80 + 1 + 48)
    assert sum(leaf.size for leaf in jax.tree.leaves(paper)) == 2_157_176 - fewer


def test_init_distributions(released_init):
    params = jax.device_get(released_init)
    for layer, fan_in in (("Dense_0", 78), ("Dense_1", 256)):
        for leaf in params["encoder"][layer].values():
            bound = 1 / np.sqrt(fan_in)
            assert np.abs(leaf).max() <= bound
            sure = 1 - 10 / leaf.size  # so far at least the largest of them goes
            assert np.abs(leaf).max() > sure * bound
            # A uniform's fourth moment is 9/5 of its variance squared; a normal's 3.
            fourth = np.mean(leaf**4) / np.mean(leaf**2) ** 2
            assert abs(fourth - 1.8) < 4 / np.sqrt(leaf.size)
    kernels = params["blocks"]["net1"]["output"]["kernel"]
    np.testing.assert_allclose(np.std(kernels, axis=(1, 2)), 0.05, rtol=0.02)
    assert abs(np.corrcoef(kernels.reshape(8, -1))[0, 1]) < 0.03


def test_init_depends_on_the_key_alone():
    init = jax.jit(flow.init, static_argnums=1)
    first, again, other = (init(jax.random.key(k), SMALL) for k in (5, 5, 6))
    for a, b, c in zip(*map(jax.tree.leaves, (first, again, other)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"pose3d": (2, 47)}, ValueError, r"shape \(\.\.\., 48\); got \(2, 47\)"),
        ({"cond": (2, 77)}, ValueError, r"cond of shape \(\.\.\., 78\); got \(2, 77\)"),
        ({"cond": (3, 78)}, ValueError, r"pose3d \(2,\), cond \(3,\)"),
        ({"cond": (78,)}, ValueError, r"pose3d \(2,\), cond \(\)"),
        ({"pose3d": int}, TypeError, "pose3d to be floating point; got int"),
        ({"cond": int}, TypeError, "cond to be floating point; got int"),
    ],
)
def test_bad_input_to_forward(params, change, error, message):
    shapes = {"pose3d": (2, 48), "cond": (2, 78)}
    inputs = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    for name, to in change.items():
        inputs[name] = (
            inputs[name].astype(int) if to is int else np.zeros(to, np.float32)
        )
    with pytest.raises(error, match=message):
        flow.forward(params, **inputs)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 15), (2, 32), (2, 78)), r"z of shape \(\.\.\., 16\)"),
        (((2, 16), (2, 31), (2, 78)), r"pose2d of shape \(\.\.\., 32\)"),
        (((2, 16), (3, 32), (2, 78)), r"z \(2,\), pose2d \(3,\), cond \(2,\)"),
    ],
)
def test_bad_input_to_inverse(params, shapes, message):
    with pytest.raises(ValueError, match=message):
        flow.inverse(params, *(np.zeros(shape, np.float32) for shape in shapes))


def test_a_legacy_key_is_refused():
    with pytest.raises(TypeError, match="typed key"):
        flow.init(np.zeros(2, np.uint32))


def test_clamps_are_told_apart():
    assert RELEASED_CLAMP != EXACT_CLAMP and hash(RELEASED_CLAMP) != hash(EXACT_CLAMP)
