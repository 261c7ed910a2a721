"""The best similarity between point sets: an SVD's, proper, and finite everywhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.maths import procrustes
from tests.oracles import metrics as oracle

align = jax.jit(procrustes.align)


def points(seed, *shape):
    return np.random.default_rng(seed).normal(size=(*shape, 17, 3)).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_svd_s_and_moves_with_the_target(seed):
    source, target = points(seed), points(seed + 10)
    want = oracle.aligned(source.astype(float), target.astype(float))
    np.testing.assert_allclose(align(source, target), want, atol=1e-5)
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))

    def moved(x):
        return (1.7 * x @ rotation + [1, -2, 3]).astype(np.float32)

    # However the source lies, the answer is the same; where the target goes, it goes.
    np.testing.assert_allclose(align(moved(source), target), want, atol=1e-5)
    np.testing.assert_allclose(align(source, moved(target)), moved(want), atol=3e-5)


def test_a_rotation_is_proper_even_where_a_mirror_would_fit():
    source = points(5)
    mirrored = source * np.float32([-1, 1, 1])
    rotation, gain = procrustes.best_rotation(source.T @ mirrored)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)
    assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-5)
    trace = np.trace(np.asarray(rotation) @ (source.T @ mirrored))
    assert gain == pytest.approx(trace, rel=1e-5) and gain >= 0


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_flat_and_collapsed_poses_align(rank):
    """Points on a plane, a line, one spot: finite, and as close as the SVD gets."""
    target = points(6, 4)
    flat = target.copy()
    flat[..., rank:] = 0
    got = align(flat, target)
    assert np.isfinite(got).all()
    for i in range(4):
        want = oracle.aligned(flat[i].astype(float), target[i].astype(float))
        residual = ((want - target[i]) ** 2).sum()
        np.testing.assert_allclose(
            ((got[i] - target[i]) ** 2).sum(), residual, rtol=1e-4
        )


def test_a_pose_that_is_one_point_has_a_gradient():
    target = np.random.default_rng(0).normal(size=(17, 3)).astype(np.float32)
    slope = jax.grad(lambda pose: align(pose, target).sum())
    assert np.isfinite(slope(jnp.zeros((17, 3)))).all()
