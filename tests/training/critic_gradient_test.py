"""The critic's gradient, by hand, is the one that JAX finds in its objective."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import critic, losses
from jaxflow.training import critic_gradient

WEIGHT = 10.0


def objective(params, real, fake, mix):
    """The words of the paper, differentiated as they stand."""
    distance = jnp.mean(critic.score(params, fake)) - jnp.mean(
        critic.score(params, real)
    )
    return distance + losses.gradient_penalty(params, real, fake, mix, weight=WEIGHT)


def by_hand(params, real, fake, mix):
    poses = critic_gradient.rows(real, fake, mix)
    return critic_gradient.gradient(params, poses, critic.kcs(poses), WEIGHT)


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(1)
    real, fake = rng.normal(scale=0.3, size=(2, 5, 48))
    params = critic.of_width(jax.random.key(0), 7)
    widened = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    return widened, real, fake, rng.uniform(size=(5, 1))


def test_loss_and_gradient_are_those_of_the_objective(case):
    with jax.enable_x64(True):
        value, want = jax.jit(jax.value_and_grad(objective))(*case)
        loss, gradient = jax.jit(by_hand)(*case)
    np.testing.assert_allclose(loss, value, rtol=1e-12)
    assert jax.tree.structure(gradient) == jax.tree.structure(want)
    for ours, theirs in zip(*map(jax.tree.leaves, (gradient, want)), strict=True):
        scale = max(np.abs(theirs).max(), 1e-3)  # nothing depends on the last bias
        np.testing.assert_allclose(ours, theirs, atol=1e-12 * scale)


def test_rows_lie_between_their_ends():
    real, fake = np.ones((2, 3, 48), np.float32), np.zeros((2, 3, 48), np.float32)
    mix = np.full((2, 3, 1), 0.25, np.float32)
    rows = critic_gradient.rows(jnp.asarray(real), jnp.asarray(fake), jnp.asarray(mix))
    np.testing.assert_array_equal(rows[:, ::3, 0], [[0.0, 1.0, 0.25]] * 2)
