"""Without pairs: two sets are told apart, and a projection answers its 2D pose."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.common import made_up
from jaxflow.maths import geometry
from jaxflow.methods import mmd_gan
from jaxflow.skeleton import MPII_TO_H36M
from jaxflow.types import Batch, Grouped
from tests.helpers.methods import TINY


def test_mmd_is_a_sum_over_pairs():
    rng = np.random.default_rng(0)
    fake, real = rng.normal(size=(6, 3)), 1 + rng.normal(size=(4, 3))

    def kernel(a, b):
        square = np.sum((a - b) ** 2)
        return sum((1 + square / 2 / s) ** -s for s in (0.1, 1, 10)) + 10 * a @ b

    def within(rows):
        pairs = [(a, b) for a in range(len(rows)) for b in range(len(rows)) if a != b]
        return np.mean([kernel(rows[a], rows[b]) for a, b in pairs])

    across = np.mean([kernel(a, b) for a in fake for b in real])
    found = mmd_gan.mmd(*(jnp.asarray(a, jnp.float32) for a in (fake, real)))
    np.testing.assert_allclose(found, within(fake) + within(real) - 2 * across, 1e-4)


def test_a_pose_s_own_projection_is_no_error_at_any_scale():
    pose = np.asarray(geometry.denormalize_pose3d(made_up(3).pose3d))
    pixels = 70 * pose[:, MPII_TO_H36M, :2] + 128
    pose2d = geometry.normalize_pose2d(pixels.astype(np.float32))
    vectors = geometry.normalize_pose3d(pose)
    np.testing.assert_allclose(mmd_gan.reprojection(vectors, pose2d), 0, atol=1e-4)
    turned = mmd_gan.reprojection(vectors, pose2d[::-1])
    assert float(jnp.mean(turned)) > 0.1


@pytest.mark.slow
def test_the_poses_of_the_2d_poses_have_no_influence():
    """Real poses are the other batch's: with its own a 2D pose would have a pair."""
    method, config = mmd_gan.METHOD, dataclasses.replace(TINY, method="mmd_gan")
    state = method.init(jax.random.key(0), config)
    frames = made_up(2 * config.batch_size)
    count = method.batches(config), config.batch_size
    assert count[0] == 2
    frames = jax.tree.map(lambda a: a.reshape(*count, *a.shape[1:]), frames)
    noise = method.draw_noise(jax.random.key(1), config)
    group = jnp.zeros(count, jnp.int32)
    iteration = jax.jit(method.iteration, static_argnames="config")

    def learned(pose3d):
        batch = Batch(pose3d, frames.pose2d, frames.cond)
        return iteration(state, Grouped(batch, group), noise, config=config)[1]

    pose3d = jnp.asarray(frames.pose3d)
    as_it_is = learned(pose3d)
    assert learned(pose3d.at[0].multiply(1.2)) == as_it_is
    other = learned(pose3d.at[1].multiply(1.2))
    assert other.mmd != as_it_is.mmd
    assert other.reprojection == as_it_is.reprojection
