"""Hypotheses with temperatures of their own: how far they lie, and how densely."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.common import made_up
from jaxflow.evaluation import tempered, widened
from jaxflow.maths import geometry
from jaxflow.methods import whitening
from tests.helpers import methods as small

DATA = made_up(3)
KEYS = jax.random.split(jax.random.key(0), len(DATA.pose2d))


def draw(model, **how):
    return np.asarray(model.sample(DATA.pose2d, DATA.cond, KEYS, **how))


def test_sixteen_temperatures_about_one():
    scales = np.asarray(tempered.of(small.model("mdn"), 0.35).scales())
    assert scales.shape == (16,) and (np.diff(scales) > 0).all()
    np.testing.assert_allclose(scales * scales[::-1], 1, rtol=1e-5)
    np.testing.assert_allclose(np.log(scales).std(), 0.35, rtol=0.05)


@pytest.mark.parametrize("method", ["mdn", "flow"])
def test_each_hypothesis_is_scaled_about_the_z0_pose(method):
    model = small.model(method)
    spread = tempered.of(model, 0.4)
    plain, scaled = (draw(one, num_hypotheses=60) for one in (model, spread))
    mode = draw(model, num_hypotheses=1, temperature=0.0)
    offset, grown = plain - mode, scaled - mode
    scale = (offset * grown).sum((-2, -1)) / (offset**2).sum((-2, -1))
    np.testing.assert_allclose(grown, scale[..., None, None] * offset, atol=1e-5)
    known = np.asarray(spread.scales())
    nearest = np.abs(np.log(scale)[..., None] - np.log(known)).min(-1)
    assert nearest.max() < 1e-3
    assert len(np.unique(scale.round(3))) == 16  # of 180 draws
    cold = draw(spread, num_hypotheses=2, temperature=0.0)
    np.testing.assert_allclose(cold, np.broadcast_to(mode, cold.shape), atol=1e-6)


def test_a_frame_s_temperatures_are_its_own():
    spread = tempered.of(small.model("mdn"), 0.4)
    together = draw(spread, num_hypotheses=5)
    for i, key in enumerate(KEYS):
        alone = spread.sample(DATA.pose2d[i], DATA.cond[i], key, num_hypotheses=5)
        np.testing.assert_allclose(alone, together[i], atol=1e-5)


def test_any_batch_with_one_key_and_compiled():
    spread = tempered.of(small.model("mdn"), 0.4)
    rows = np.zeros((2, 1), int)
    inputs = DATA.pose2d[rows], DATA.cond[rows], jax.random.key(3)
    poses = spread.sample(*inputs, num_hypotheses=4)
    assert poses.shape == (2, 1, 4, 17, 3)

    @jax.jit
    def compiled(model, pose2d, cond, key):
        return model.sample(pose2d, cond, key, num_hypotheses=4)

    np.testing.assert_allclose(compiled(spread, *inputs), poses, atol=1e-5)
    one = spread.sample(DATA.pose2d[0], DATA.cond[0], KEYS[0], num_hypotheses=4)
    assert one.shape == (4, 17, 3)


def test_widths_about_a_spread():
    """Both move about the same pose, so that a density's scales multiply."""
    model = small.model("gaussian_nll")
    spread = tempered.of(model, 0.4)
    wide = widened.of(spread, np.full(widened.SHAPE, 1.5, np.float32))
    rows = DATA.pose2d, DATA.cond
    drawn = wide.sample_with_log_density(*rows, KEYS, num_hypotheses=3)
    given = spread.sample_with_log_density(*rows, KEYS, num_hypotheses=3)
    np.testing.assert_allclose(
        given.log_density - drawn.log_density, 39 * np.log(1.5), atol=1e-2
    )
    one, other = (
        each.log_prob(poses, *rows, observation_scale=0.1)
        for each, poses in ((wide, drawn.poses), (spread, given.poses))
    )
    np.testing.assert_allclose(other - one, 39 * np.log(1.5), atol=0.05)


def test_densities_refuse_what_the_model_refuses():
    spread = tempered.of(small.model("gaussian_nll"), 0.4)
    poses = draw(spread, num_hypotheses=1)[:, 0]
    rows = DATA.pose2d, DATA.cond
    with pytest.raises(ValueError, match="expected pose3d in metres"):
        spread.log_prob(1000 * poses, *rows, observation_scale=0.1)
    with pytest.raises(ValueError, match="same leading"):
        spread.log_prob(poses[0], *rows, observation_scale=0.1)


def test_the_density_is_that_of_the_mixture():
    """Of a Gaussian: a mixture of Gaussians of 16 widths, in closed form."""
    model = small.model("regression")  # N(pose, L L^T) in whitened coordinates
    gaussian = small.model("gaussian_nll")
    spread = tempered.of(gaussian, 0.4)
    poses = geometry.normalize_pose3d(draw(model, num_hypotheses=4))
    rows = jnp.asarray(DATA.pose2d), jnp.asarray(DATA.cond)
    found = spread.log_prob(poses, *rows, observation_scale=0.1)
    assert found.shape == (len(KEYS), 4)
    whitened = gaussian.parameters()["whitening"]

    def vectors(poses):
        r = whitening.residual(
            whitened, geometry.normalize_pose3d(poses), jnp.zeros(48)
        )
        return np.asarray(r, np.float64)

    many = gaussian.sample(*rows, KEYS, num_hypotheses=4000)
    middle = vectors(draw(gaussian, num_hypotheses=1, temperature=0.0))
    at = vectors(geometry.denormalize_pose3d(poses))
    log_det = float(whitening.log_det(whitened))
    for i in range(len(KEYS)):
        covariance = np.cov(vectors(many[i]).T)
        offset = at[i] - middle[i]
        square = np.einsum("mi,mi->m", offset, np.linalg.solve(covariance, offset.T).T)
        logs = [
            -square / s**2 / 2 - 45 * np.log(s)
            for s in np.asarray(spread.scales(), np.float64)
        ]
        constant = np.linalg.slogdet(covariance)[1] / 2 + 45 * np.log(2 * np.pi) / 2
        expected = np.logaddexp.reduce(logs, axis=0) - np.log(16) - constant - log_det
        # The covariance is one of 4,000 draws.
        np.testing.assert_allclose(found[i], expected, rtol=0.03, atol=2)


def test_densities_of_draws_are_the_base_s_at_their_temperature():
    model = small.model("gaussian_nll")
    spread = tempered.of(model, 0.4)
    drawn, given = (
        one.sample_with_log_density(DATA.pose2d, DATA.cond, KEYS, num_hypotheses=7)
        for one in (spread, model)
    )
    np.testing.assert_allclose(drawn.poses, draw(spread, num_hypotheses=7), atol=1e-6)
    mode = draw(model, num_hypotheses=1, temperature=0.0)
    scale = np.linalg.norm(drawn.poses - mode, axis=(-2, -1)) / np.linalg.norm(
        given.poses - mode, axis=(-2, -1)
    )
    np.testing.assert_allclose(
        given.log_density - drawn.log_density, 45 * np.log(scale), atol=1e-2
    )


def test_without_a_spread_it_is_the_model():
    model = small.model("gaussian_nll")
    none = tempered.of(model, 0.0)
    np.testing.assert_allclose(
        draw(none, num_hypotheses=5), draw(model, num_hypotheses=5), atol=1e-6
    )
    poses = geometry.normalize_pose3d(draw(model, num_hypotheses=1)[:, 0])
    one, other = (
        each.log_prob(poses, DATA.pose2d, DATA.cond, observation_scale=0.1)
        for each in (none, model)
    )
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-2)
    assert not hasattr(tempered.of(small.model("generator"), 0.3), "log_prob")


@pytest.mark.parametrize("true", [0.0, 0.4])
def test_the_spread_that_errors_have_is_found(true):
    """Truths drawn from a model with a spread, asked of the model without it."""
    model, frames = small.model("regression"), 200
    rows = np.arange(frames) % len(KEYS)
    pose2d, cond = np.asarray(DATA.pose2d)[rows], np.asarray(DATA.cond)[rows]
    keys = jax.random.split(jax.random.key(5), frames)
    truth = tempered.of(model, true).sample(pose2d, cond, keys, num_hypotheses=1)
    batch = jax.tree.map(lambda a: np.asarray(a)[rows], DATA)
    seen = []
    found = tempered.fit(
        functools.partial(tempered.of, model),
        batch,
        np.asarray(truth[:, 0]),
        jax.random.key(6),
        1.0,
        num_hypotheses=100,
        progress=seen.append,
    )
    assert sum(seen) == frames * len(tempered.SPREADS)
    assert abs(found - true) <= 0.15


def test_no_setting_of_the_user_s_forbids_it():
    spread = tempered.of(small.model("gaussian_nll"), 0.4)
    with jax.numpy_rank_promotion("raise"):
        poses, _ = spread.sample_with_log_density(
            DATA.pose2d, DATA.cond, KEYS, num_hypotheses=3
        )
        density = spread.log_prob(poses, DATA.pose2d, DATA.cond, observation_scale=0.1)
    assert poses.shape == (*DATA.pose2d.shape[:-1], 3, 17, 3)
    assert density.shape == poses.shape[:-2] and np.isfinite(density).all()
