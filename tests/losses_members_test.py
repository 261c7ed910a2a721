"""Every loss over what all losses promise: a table of members and properties."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import critic, losses

M, B = 7, 5
RNG = np.random.default_rng(0)
POSE3D = RNG.normal(0, 0.3, (B, 48)).astype(np.float32)
HYPOTHESES = (POSE3D + RNG.normal(0, 0.05, (M, B, 48))).astype(np.float32)
# Wide Gaussians: every joint counts.
COND = np.tile(np.float32([0, 0, 0, 1.0, 0.1, 1.0]), (B, 13)).reshape(B, 78)
MIX = RNG.uniform(size=(B, 1)).astype(np.float32)


def in_dtype(tree, dtype):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), tree)


@functools.cache
def small_critic():
    with jax.ensure_compile_time_eval():  # losses ask for it while they are traced
        return jax.device_get(critic.init(jax.random.key(0)))


def penalty(poses, others):
    params = in_dtype(small_critic(), poses.dtype)
    mix = jnp.asarray(MIX, poses.dtype)
    return losses.gradient_penalty(params, others, poses, mix)


# Name -> loss, its first argument, its second, the axis of the batch in the first.
MEMBERS = {
    "mmd": (losses.mmd, HYPOTHESES[0], POSE3D, 0),
    "unbiased mmd": (
        lambda x, y: losses.mmd(x, y, unbiased=True),
        HYPOTHESES[0],
        POSE3D,
        0,
    ),
    "best of m": (lambda h, x: losses.best_of_m(h, x, 1), HYPOTHESES, POSE3D, 1),
    "best five": (losses.best_of_m, HYPOTHESES, POSE3D, 1),
    "covariance": (losses.heatmap_covariance, HYPOTHESES, COND, 1),
    "energy": (losses.energy_score, HYPOTHESES, POSE3D, 1),
    "pairwise energy": (
        lambda h, x: losses.energy_score(h, x, pairwise=True),
        HYPOTHESES,
        POSE3D,
        1,
    ),
    "gradient penalty": (penalty, HYPOTHESES[0], POSE3D, 0),
}
MEMBERS = {
    name: (jax.jit(loss), *rest) for name, (loss, *rest) in MEMBERS.items()
}  # op by op, the first call of each costs seconds
each = pytest.mark.parametrize("name", MEMBERS)
OF_HYPOTHESES = [name for name, row in MEMBERS.items() if row[3] == 1]


@each
def test_float64_agrees(name):
    loss, first, second, _ = MEMBERS[name]
    value = loss(jnp.asarray(first), jnp.asarray(second))
    assert value.shape == () and value.dtype == jnp.float32
    with jax.enable_x64(True):
        exact = loss(*in_dtype((first, second), jnp.float64))
        assert exact.dtype == jnp.float64
    np.testing.assert_allclose(value, exact, rtol=1e-4, atol=1e-6)
    assert abs(exact) > 1e-4


# The penalty's mix belongs to the rows.
@pytest.mark.parametrize("name", [n for n in MEMBERS if n != "gradient penalty"])
def test_the_order_of_the_batch_does_not_matter(name):
    loss, first, second, axis = MEMBERS[name]
    order = np.array([3, 0, 4, 1, 2])
    turned = loss(np.take(first, order, axis), second[order])
    np.testing.assert_allclose(turned, loss(first, second), rtol=1e-5)


@pytest.mark.parametrize("name", [n for n in OF_HYPOTHESES if n != "energy"])
def test_the_order_of_hypotheses_does_not_matter(name):
    """It does for the energy score of neighbours, which is so in expectation."""
    loss, first, second, _ = MEMBERS[name]
    np.testing.assert_allclose(
        loss(first[::-1], second), loss(first, second), rtol=1e-5
    )


@pytest.mark.parametrize(
    "name", ["mmd", "best of m", "best five", "energy", "pairwise energy"]
)
def test_zero_where_all_are_the_truth_and_more_elsewhere(name):
    loss, first, second, axis = MEMBERS[name]
    truth = np.broadcast_to(second, first.shape)
    np.testing.assert_allclose(loss(truth, second), 0, atol=1e-6)
    assert loss(first, second) > 1e-3
    gradient = jax.jit(jax.grad(loss))(jnp.asarray(truth), second)
    assert np.isfinite(gradient).all()


@each
def test_gradients_are_finite_at_a_pose_of_zeros(name):
    """No lengths, no spread, no distance: every root is at its edge."""
    loss, first, second, _ = MEMBERS[name]
    gradient = jax.jit(jax.grad(loss))(jnp.zeros(first.shape), jnp.zeros_like(second))
    assert np.isfinite(gradient).all()
