"""Whitened residuals: exact coordinates, out of group, of unit covariance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.common import made_up
from jaxflow.methods import ridge, whitening
from jaxflow.methods.ridge import Ridge

N, GROUPS, FEATURES = 240, 3, 8


@pytest.fixture(scope="module")
def fitted():
    group = np.arange(N) % GROUPS
    params = whitening.init(jax.random.key(0), FEATURES)
    frames = made_up(N)
    centred = frames.pose3d.reshape(N, 3, 16)
    centred = (centred - centred.mean(-1, keepdims=True)).reshape(N, 48)
    frames = frames._replace(pose3d=centred)
    return frames, group, whitening.fit(params, frames, group, GROUPS)


def test_a_basis_of_centred_poses():
    basis = whitening.basis()
    np.testing.assert_allclose(basis.T @ basis, np.eye(45), atol=1e-12)
    np.testing.assert_allclose(basis.T.reshape(45, 3, 16).sum(-1), 0, atol=1e-12)


def test_there_and_back(fitted):
    frames, _, known = fitted
    seen = whitening.seen(known.params, frames.pose2d, frames.cond)
    r = whitening.residual(known.params, frames.pose3d, seen.centre)
    poses = whitening.pose(known.params, r, seen.centre)
    np.testing.assert_allclose(poses, frames.pose3d, atol=1e-5)


def test_the_log_determinant_is_the_map_s(fitted):
    factor = np.asarray(fitted[2].params["factor"], np.float64)
    _, expected = np.linalg.slogdet(whitening.basis().T @ factor)
    np.testing.assert_allclose(whitening.log_det(fitted[2].params), expected, rtol=1e-4)


def test_residuals_are_those_of_others_and_white(fitted):
    """What training computes on the device is what was whitened: covariance 1."""
    frames, group, known = fitted
    seen = whitening.seen(known.params, frames.pose2d, frames.cond)
    seen = whitening.out_of_group(seen, jnp.asarray(known.means), jnp.asarray(group))
    r = np.asarray(whitening.residual(known.params, frames.pose3d, seen.centre))
    np.testing.assert_allclose(r, known.residuals, atol=2e-3)
    np.testing.assert_allclose(r.T @ r / N, np.eye(45), atol=0.02)


def test_a_group_s_weights_do_not_see_it(monkeypatch):
    monkeypatch.setattr(ridge, "STRENGTHS", (1e-4,))  # which all groups choose
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 5)).astype(np.float32)
    features[:, -1] = 1
    targets = (features @ rng.normal(size=(5, 2))).astype(np.float32)
    group = np.arange(60) % 3
    wrong = targets.copy()
    wrong[group == 1] += 100
    right, other = (
        Ridge(lambda rows: features[rows], group, 3).fit(t) for t in (targets, wrong)
    )
    np.testing.assert_allclose(other.others[1], right.others[1], atol=0.05)
    assert np.abs(other.others[0] - right.others[0]).max() > 1
    np.testing.assert_allclose(features @ right.all, targets, atol=0.05)


def test_nobody_else_is_there():
    """One group alone is regressed on itself, groups without frames on all."""
    features = np.ones((10, 1), np.float32)
    ridge = Ridge(lambda rows: features[rows], np.zeros(10, int), 2)
    weights = ridge.fit(np.full((10, 1), 3, np.float32))
    np.testing.assert_allclose(weights.others, 3, rtol=1e-3)
