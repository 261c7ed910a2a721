"""Hypotheses that are spread wider: where, by how much, and with which density."""

import functools

import jax
import numpy as np
import pytest

from jaxflow import data
from jaxflow.evaluation import widened
from jaxflow.maths import geometry
from jaxflow.metrics import response
from jaxflow.skeleton import H36M_JOINTS, MPII_JOINTS
from tests.helpers import methods as small
from tests.helpers import people

KEYS = jax.random.split(jax.random.key(0), 4)
FACTORS = np.ones((13, 5), np.float32)
FACTORS[12] = (1, 1.2, 1.4, 1.6, 2.0)  # the left wrist's, the last one
WRIST = H36M_JOINTS.index("LWrist")

# Compiled whole: op by op, the first call of each costs seconds.
network_inputs = jax.jit(data.network_inputs)
deviations = jax.jit(widened.deviations)


def seen(sigma, aspect=1.0, joint="LWrist"):
    """Four frames with one joint's detection so unsure."""
    frames = people.frames(4, error=0.0)
    pose2d, gaussfit = response.make_unsure(
        frames.pose2d,
        frames.gaussfit,
        MPII_JOINTS.index(joint),
        response.covariance(sigma, aspect, 0.4),
        np.zeros((4, 2), np.float32),
    )
    frames = frames._replace(pose2d=pose2d, gaussfit=gaussfit)
    return network_inputs(frames)


def draw(model, inputs, **how):
    drawn = model.sample(inputs.pose2d, inputs.cond, KEYS, num_hypotheses=9, **how)
    return np.asarray(drawn)


@pytest.mark.parametrize("sigma, aspect", [(3.0, 1.0), (6.0, 1.0), (8.0, 3.0)])
def test_the_deviations_that_a_condition_tells(sigma, aspect):
    told = deviations(seen(sigma, aspect).cond)
    told = np.asarray(told)
    np.testing.assert_allclose(told[:, 12], sigma, rtol=1e-4)
    assert (told[:, :12] < widened.KNOTS[0]).all()  # sure joints


def test_shares_are_linear_between_knots():
    sigma = np.float32([0.1, 2.6, np.sqrt(12.0), 6.0, 30.0])
    np.testing.assert_allclose(
        jax.jit(widened.shares)(sigma),
        [[1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0.5, 0.5, 0, 0], [0, 0, 0, 1, 0],
         [0, 0, 0, 0, 1]],
        atol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize("method", ["mdn", "generator"])
def test_only_the_unsure_joint_is_spread_wider(method):
    model = small.model(method)
    wide, inputs = widened.of(model, FACTORS), seen(6.0)
    plain, wider = draw(model, inputs), draw(wide, inputs)
    mode = draw(model, inputs, temperature=0.0)[:, :1]
    np.testing.assert_allclose(draw(wide, inputs, temperature=0.0)[:, :1], mode)
    offset, grown = plain - mode, wider - mode
    np.testing.assert_allclose(
        grown[:, :, WRIST], 1.6 * offset[:, :, WRIST], rtol=1e-4, atol=1e-6
    )
    others = np.arange(17) != WRIST
    np.testing.assert_allclose(grown[:, :, others], offset[:, :, others], atol=1e-6)
    sure = seen(2.1)
    np.testing.assert_allclose(draw(wide, sure), draw(model, sure), atol=1e-6)


def test_densities_are_those_of_the_wider_spread():
    model, inputs = small.model("gaussian_nll"), seen(6.0)
    wide = widened.of(model, FACTORS)
    drawn, given = (
        jax.device_get(
            one.sample_with_log_density(
                inputs.pose2d, inputs.cond, KEYS, num_hypotheses=3
            )
        )
        for one in (wide, model)
    )
    np.testing.assert_allclose(
        drawn.log_density, given.log_density - 3 * np.log(1.6), rtol=1e-5
    )

    def density(model, poses):
        poses = geometry.normalize_pose3d(poses[:, 0])
        return np.asarray(
            model.log_prob(poses, inputs.pose2d, inputs.cond, observation_scale=0.1)
        )

    np.testing.assert_allclose(
        density(wide, drawn.poses),
        density(model, given.poses) - 3 * np.log(1.6),
        rtol=1e-4,
        atol=1e-3,
    )


@pytest.mark.parametrize("method", ["flow", "gaussian_nll"])
def test_the_density_of_many_hypotheses_is_each_ones(method):
    """As many as there are frames, so that no axis tells which is which."""
    model, inputs = small.model(method), seen(6.0)
    wide = widened.of(model, FACTORS)
    poses = np.asarray(draw(model, inputs))[:, :4]
    log_prob = functools.partial(wide.log_prob, observation_scale=0.1)
    many = log_prob(geometry.normalize_pose3d(poses), inputs.pose2d, inputs.cond)
    assert many.shape == (4, 4)
    for i in range(4):
        one = log_prob(
            geometry.normalize_pose3d(poses[:, i]), inputs.pose2d, inputs.cond
        )
        np.testing.assert_allclose(many[:, i], one, rtol=1e-4, atol=1e-2)
    as_joints = log_prob(poses, inputs.pose2d, inputs.cond)
    np.testing.assert_allclose(as_joints, many, rtol=1e-4, atol=1e-2)


def test_a_model_without_densities_stays_one():
    assert not hasattr(widened.of(small.model("generator"), FACTORS), "log_prob")


def test_no_conditions_tell_no_deviations():
    assert widened.deviations(np.zeros((0, 78), np.float32)).shape == (0, 13)


def test_no_setting_of_the_user_s_forbids_it():
    model, inputs = small.model("gaussian_nll"), seen(6.0)
    wide = widened.of(model, FACTORS)
    with jax.numpy_rank_promotion("raise"):
        poses, _ = wide.sample_with_log_density(
            inputs.pose2d, inputs.cond, KEYS, num_hypotheses=3
        )
        density = wide.log_prob(
            poses, inputs.pose2d, inputs.cond, observation_scale=0.1
        )
        drawn = draw(wide, inputs)
    assert density.shape == poses.shape[:-2] and np.isfinite(density).all()
    np.testing.assert_array_equal(drawn, draw(wide, inputs))  # the same, of course
