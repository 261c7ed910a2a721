"""Hypotheses of one skeleton: how long limbs are, what moves for it and what not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.common import made_up
from jaxflow.evaluation import limbs, sampling_cost
from jaxflow.maths import geometry
from jaxflow.skeleton import H36M_BONES, H36M_JOINTS, H36M_MIRRORED, H36M_PARENTS
from tests.helpers import methods as small
from tests.helpers import people

DATA = made_up(3)
OTHER = np.asarray(H36M_MIRRORED[1:]) - 1
KEYS = jax.random.split(jax.random.key(0), len(DATA.pose2d))
held = jax.jit(limbs.held)


@pytest.fixture(scope="module")
def hypotheses():
    """Of two frames, 40 each, most unsure in depth, hip at 0; metres."""
    poses = np.asarray(people.frames(2).pose3d) / 1000
    poses = poses - poses[:, :1]
    noise = np.random.default_rng(0).normal(size=(2, 40, 17, 3))
    noise = noise * np.float32([0.01, 0.01, 0.08])
    noise[..., 0, :] = 0
    return (poses[:, None] + noise).astype(np.float32)


def bones(poses):
    poses = np.asarray(poses, np.float64)
    return (poses - poses[..., np.asarray(H36M_PARENTS), :])[..., 1:, :]


def log_lengths(poses):
    return np.log(np.maximum(np.linalg.norm(bones(poses), axis=-1), 1e-6))


def draw(model, **how):
    return np.asarray(model.sample(DATA.pose2d, DATA.cond, KEYS, **how))


def test_bones_lead_from_the_hip_to_every_joint():
    assert [joint for _, joint in H36M_BONES] == list(range(1, 17))
    assert all(H36M_PARENTS[joint] == parent for parent, joint in H36M_BONES)


def test_all_kept_of_sides_alike_is_the_poses(hypotheses):
    """Nothing is held then but that left and right are of one length."""
    poses = np.zeros_like(hypotheses)
    poses[..., 1, :], poses[..., 4, :] = hypotheses[..., 1, :], hypotheses[..., 1, :]
    np.testing.assert_allclose(held(poses, 1.0), poses, atol=2e-6)


def test_the_surer_side_tells_the_other(hypotheses):
    """A right shin that is 20 % longer, all sure of it: the left one follows."""
    left, right = (H36M_JOINTS.index(name) for name in ("LFoot", "RFoot"))
    poses = hypotheses.copy()
    length = 1.2 * np.exp(log_lengths(hypotheses)[..., left - 1].mean(1))
    shin = np.stack([0 * length, length, 0 * length], axis=-1)[:, None]
    poses[..., right, :] = poses[..., right - 1, :] + shin
    found = np.exp(log_lengths(held(poses, 0.0)).mean(axis=1))
    np.testing.assert_allclose(found[..., right - 1] / length, 1, rtol=1e-5)
    before = np.exp(log_lengths(poses)[..., left - 1].mean(1))
    share = (found[..., left - 1] - before) / (length - before)
    assert (share > 0.5).all() and (share < 1).all()


def wanted_logs(before, kept):
    """What the logarithms of lengths (..., M, 16) should become."""
    mean, variance = (f(axis=-2, keepdims=True) for f in (before.mean, before.var))
    other, unsure = (each[..., OTHER] for each in (mean, variance + 0.02**2))
    length = (mean * unsure + other * variance) / (variance + unsure)
    weights = np.broadcast_to(1 / (variance + 0.02**2), before.shape)
    size = np.average(before - mean, weights=weights, axis=-1)[..., None]
    return length + size + kept * (before - mean - size)


@pytest.mark.parametrize("kept", [0.0, 0.4, 0.8])
def test_proportions_differ_by_the_share_that_is_kept(hypotheses, kept):
    """About the mean of both sides, the surer counting more, where that is reached."""
    found, before = (log_lengths(p) for p in (held(hypotheses, kept), hypotheses))
    wanted = wanted_logs(before, kept)
    reached = np.abs(found - wanted) < 1e-4
    assert reached.mean() > 0.9
    # Elsewhere a bone across the direction is longer already, and shrinks to that.
    assert (found[~reached] > wanted[~reached]).all()
    assert (found[~reached] < before[~reached] + 1e-6).all()


def test_a_hypothesis_keeps_its_size(hypotheses):
    """The same pose, larger and smaller: nothing is to be held."""
    poses = hypotheses[:, :1] * np.linspace(0.8, 1.25, 9)[:, None, None]
    sides = np.minimum(H36M_MIRRORED, range(17))  # left of the right's length
    poses = poses.astype(np.float32)
    same = log_lengths(poses)[..., sides[1:] - 1]
    alike = bones(poses) * np.exp(same - log_lengths(poses))[..., None]
    joints = np.zeros(poses.shape, np.float64)
    for parent, joint in H36M_BONES:
        joints[..., joint, :] = joints[..., parent, :] + alike[..., joint - 1, :]
    np.testing.assert_allclose(held(joints.astype(np.float32), 0.0), joints, atol=2e-6)


def test_what_is_sure_hardly_moves(hypotheses):
    moved = bones(held(hypotheses, 0.2)) - bones(hypotheses)
    x, y, z = np.sqrt(np.mean(moved**2, axis=(0, 1, 2)))
    assert max(x, y) < 0.2 * z and z > 0.01


def test_a_bone_by_hand():
    """Depth alone is unsure: x and y stay, z is what the length leaves."""
    depths = np.float32([0.05, 0.2, 0.35])
    poses = np.zeros((3, 17, 3), np.float32)
    poses[:, 1] = np.stack([0.1 * np.ones(3), 0.2 * np.ones(3), depths], axis=-1)
    found = np.asarray(held(poses, 0.0))[:, 1]
    # The other side has no length, and is sure of it; its hypotheses are all one.
    wanted = np.exp(wanted_logs(log_lengths(poses), 0.0))
    assert wanted[:, 0].max() < np.hypot(0.1, 0.2)
    np.testing.assert_allclose(found[:, 2], 0, atol=1e-3)
    poses[:, 4] = poses[:, 1]  # now the sides are alike
    found = np.asarray(held(poses, 0.0))[:, 1]
    wanted = np.exp(wanted_logs(log_lengths(poses), 0.0))
    left = wanted[:, :1] ** 2 - 0.1**2 - 0.2**2
    np.testing.assert_allclose(found[:, :2], poses[:, 1, :2], atol=1e-5)
    np.testing.assert_allclose(found[:, 2], np.sqrt(left[:, 0]), rtol=1e-4)


def test_a_mirror_changes_nothing_else(hypotheses):
    mirror = jax.vmap(jax.vmap(geometry.mirrored))
    one = held(mirror(jnp.asarray(hypotheses)), 0.4)
    other = mirror(held(hypotheses, 0.4))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_poses_that_are_one_stay(hypotheses):
    alike = np.repeat(hypotheses[:, :1], 5, axis=1)
    np.testing.assert_allclose(held(alike, 0.4), alike, atol=1e-6)


@pytest.mark.parametrize("method", ["mdn", "flow"])
def test_few_hypotheses_are_the_first_of_many(method):
    model = limbs.of(small.model(method), 0.4)
    few, many = draw(model, num_hypotheses=3), draw(model, num_hypotheses=64)
    np.testing.assert_allclose(few, many[:, :3], atol=1e-6)
    more = draw(model, num_hypotheses=70)
    assert more.shape == (3, 70, 17, 3)
    plain = draw(small.model(method), num_hypotheses=70)
    np.testing.assert_allclose(more, held(plain, 0.4), atol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, np.float32(0)])
def test_the_z0_pose_is_the_model_s(temperature):
    model = small.model("mdn")
    of_both = (
        draw(one, num_hypotheses=2, temperature=temperature)
        for one in (limbs.of(model, 0.0), model)
    )
    np.testing.assert_allclose(*of_both, atol=2e-6)


def test_slopes_are_finite(hypotheses):
    """Of bones that cannot be so short, poses that are one, bones of no length."""
    total = jax.jit(jax.grad(lambda poses: jnp.sum(limbs.held(poses, 0.2) ** 2)))
    for poses in (hypotheses, hypotheses[:, :1].repeat(3, 1), 0 * hypotheses):
        assert np.isfinite(held(poses, 0.2)).all()
        assert np.isfinite(total(poses)).all()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_numbers_stay_of_their_kind(hypotheses, dtype):
    poses = jnp.asarray(hypotheses, dtype)
    found = limbs.held(poses, jnp.float32(0.4))
    assert found.dtype == dtype
    exact = np.asarray(held(hypotheses, 0.4))
    assert np.abs(found.astype(jnp.float32) - exact).mean() < 0.01


def test_costs_are_told_of_many():
    """A hypothesis costs the same whether few or many are asked for."""
    model = small.model("mdn")
    plain, stiff = map(sampling_cost.of_model, (model, limbs.of(model, 0.3)))
    assert stiff.pose == plain.pose and stiff.hypothesis > plain.hypothesis


def test_a_frame_s_hypotheses_are_its_own_and_compile():
    model = limbs.of(small.model("mdn"), 0.4)
    together = draw(model, num_hypotheses=5)
    sample = jax.jit(lambda model, *rows: model.sample(*rows, num_hypotheses=5))
    for i, key in enumerate(KEYS):
        alone = sample(model, DATA.pose2d[i], DATA.cond[i], key)
        np.testing.assert_allclose(alone, together[i], atol=1e-5)


def test_densities_are_those_of_what_was_drawn():
    model = small.model("gaussian_nll")
    stiff = limbs.of(model, 0.4)
    rows = DATA.pose2d, DATA.cond
    drawn, given = (
        one.sample_with_log_density(*rows, KEYS, num_hypotheses=64)
        for one in (stiff, model)
    )
    np.testing.assert_allclose(drawn.log_density, given.log_density)
    np.testing.assert_allclose(drawn.poses, held(given.poses, 0.4), atol=1e-5)
    one, other = (
        each.log_prob(given.poses, *rows, observation_scale=0.1)
        for each in (stiff, model)
    )
    np.testing.assert_array_equal(one, other)
    assert not hasattr(limbs.of(small.model("generator"), 0.4), "log_prob")
