"""The posterior's density: the change of variables, and of poses that stand nowhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow
from jaxflow import flow, torch_weights
from jaxflow.config import FlowConfig
from jaxflow.flow import density, sampling
from tests.golden import make, store
from tests.golden.store import assert_close
from tests.oracles import flow as oracle

STATE = make.flow_state(3)
log_prob = jax.jit(flow.log_prob, static_argnames="clamp")


@pytest.fixture(scope="module")
def params():
    return torch_weights.params_from_state(STATE, FlowConfig(**make.SIZES))


def test_log_prob_is_the_change_of_variables(params):
    """Against normal densities and the Jacobian of the inverse, by autodiff."""
    names = "pose3d", "pose2d", "condition"
    params, pose3d, pose2d, cond = store.doubled("flow", params, *names)
    scale = 0.3

    def density(pose, observed, condition):
        z, predicted, _ = flow.forward(params, pose, condition)

        def pose_of(output):
            return flow.inverse(params, output[:16], output[16:], condition)[0]

        jacobian = jax.jacfwd(pose_of)(jnp.concatenate([z, predicted]))
        log_normal = -0.5 * jnp.sum(z**2) - 8 * jnp.log(2 * jnp.pi)
        residual = (predicted - observed) / scale
        log_normal += -0.5 * jnp.sum(residual**2)
        log_normal -= 16 * jnp.log(2 * jnp.pi * scale**2)
        return log_normal - jnp.linalg.slogdet(jacobian)[1]

    with jax.enable_x64(True):
        want = jax.jit(jax.vmap(density))(pose3d, pose2d, cond)
        got = log_prob(params, pose3d, pose2d, cond, observation_scale=scale)
    np.testing.assert_allclose(got, want, atol=1e-8)


def test_log_prob_of_the_oracle(params):
    arrays = store.load("flow")
    inputs = (arrays[name] for name in ("pose3d", "pose2d", "condition"))
    got = log_prob(params, *inputs, observation_scale=0.3)
    assert_close(got, arrays["log_prob"])


def test_log_prob_takes_a_scale_per_pose(params):
    arrays = store.load("flow")
    inputs = [arrays[name] for name in ("pose3d", "pose2d", "condition")]
    scales = np.linspace(0.1, 0.5, 8, dtype=np.float32)
    got = log_prob(params, *inputs, observation_scale=scales)
    want = [
        oracle.log_prob(STATE, *(array[i : i + 1] for array in inputs), scales[i])[0]
        for i in range(8)
    ]
    assert_close(got, want)


def test_a_scale_of_another_shape_is_refused(params):
    """Else it would make densities of every pose with every scale."""
    arrays = store.load("flow")
    inputs = [arrays[name] for name in ("pose3d", "pose2d", "condition")]
    for shape in ((8, 1), (2,)):
        with pytest.raises(ValueError, match=r"or one for each of \(8,\); got shape"):
            log_prob(params, *inputs, observation_scale=np.ones(shape, np.float32))


def test_poses_of_other_joints_are_refused_with_both_forms(params):
    pose2d, cond = (np.zeros((2, size), np.float32) for size in (32, 78))
    both = r"pose3d of shape \(\.\.\., 48\) or \(\.\.\., 17, 3\); got \(2, 16, 3\)"
    with pytest.raises(ValueError, match=both):
        flow.log_prob(params, np.zeros((2, 16, 3)), pose2d, cond, observation_scale=0.1)


def test_bad_input_to_log_prob(params):
    arrays = (np.zeros(shape, np.float32) for shape in ((2, 48), (32,), (2, 78)))
    with pytest.raises(ValueError, match=r"pose3d \(2,\), pose2d \(\)"):
        flow.log_prob(params, *arrays, observation_scale=0.1)


SCALE = 0.08
PERSON = np.array(
    [
        *[(27, 58), (27, 46), (28, 34), (36, 34), (37, 46), (37, 58)],  # legs
        *[(32, 34), (32, 26), (32, 17), (32, 8)],  # pelvis, spine, thorax, head
        *[(19, 34), (21, 26), (25, 18), (39, 18), (43, 26), (45, 34)],  # arms
    ],
    np.float32,
)


@pytest.fixture(scope="module")
def seen():
    """Somebody who stands and looks at us, as the model that is included sees them."""
    found = jaxflow.detections.from_sigma(4 * PERSON, np.full(16, 3.5, np.float32))
    cond = jaxflow.condition(jaxflow.detections.to_fits(found))
    inputs = jaxflow.load_params("cmu"), jaxflow.normalize_pose2d(found.mean), cond
    return inputs, sampling.sample_with_log_density(*inputs, jax.random.key(0))


def by_quadrature(inputs, pose, scale):
    """The integral over where a pose stands, on a grid about as fine as it is wide."""
    params, pose2d, cond = inputs
    steps = np.linspace(-1, 1, 31)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1)
    reach = np.array([0.03, 0.03, 0.08])  # metres; deviations are 2, 3 and 8 mm
    vector = np.asarray(jaxflow.normalize_pose3d(pose))
    places = np.repeat(grid.reshape(-1, 3) * reach, 16, axis=-1)
    moved = (vector + places).astype(np.float32)
    batch = (np.broadcast_to(a, (len(moved), a.shape[-1])) for a in (pose2d, cond))
    nats = np.asarray(log_prob(params, moved, *batch, observation_scale=scale), float)
    # A step of c moves 16 joints: 4 of it along the direction of unit length.
    volume = np.prod(4 * reach * (steps[1] - steps[0]))
    return np.logaddexp.reduce(nats) + np.log(volume)


def test_a_pose_may_stand_anywhere(seen):
    inputs, drawn = seen
    got = log_prob(inputs[0], drawn.poses[:2], *inputs[1:], observation_scale=SCALE)
    want = [by_quadrature(inputs, pose, SCALE) for pose in drawn.poses[:2]]
    np.testing.assert_allclose(got, want, atol=0.1)


def test_hypotheses_are_ranked_as_they_were_drawn(seen):
    """The density of what was drawn, of which no pose tells where it stood."""
    inputs, drawn = seen
    got = log_prob(inputs[0], drawn.poses, *inputs[1:], observation_scale=SCALE)
    assert np.std(drawn.log_density) > 1
    assert np.std(got - drawn.log_density) < 0.1 * np.std(drawn.log_density)
    # While the blocks are the identity it is a Gaussian, densest at its mean.
    mean = jnp.mean(drawn.poses, axis=0)
    assert log_prob(inputs[0], mean, *inputs[1:], observation_scale=SCALE) > got.max()


def test_poses_of_a_flow_without_a_layer_have_finite_densities(params):
    arrays = store.load("flow")
    poses = jaxflow.denormalize_pose3d(arrays["pose3d"])
    inputs = arrays["pose2d"], arrays["condition"]
    got = log_prob(params, poses, *inputs, observation_scale=0.3)
    assert np.isfinite(got).all()
    vector, stands = density.as_vector(params, poses)
    assert not stands and vector.shape == (8, 48)
    at_zero = log_prob(params, vector, *inputs, observation_scale=0.3)
    assert not np.allclose(got, at_zero, atol=0.1)
