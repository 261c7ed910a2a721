"""Without pairs: two sets are told apart, and a projection answers its 2D pose."""

import jax.numpy as jnp
import numpy as np

from benchmarks.common import made_up
from jaxflow.maths import geometry
from jaxflow.methods import mmd_gan
from jaxflow.skeleton import MPII_TO_H36M


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
