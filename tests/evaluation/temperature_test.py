"""The latent temperature: found where the truth comes from a known one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import data, flow
from jaxflow.config import FlowConfig
from jaxflow.evaluation import temperature
from jaxflow.flow import sampling
from jaxflow.maths import geometry
from jaxflow.methods.flow import FlowModel
from jaxflow.metrics import coverage
from tests.helpers.evaluation import records

FLOW = FlowConfig(blocks=2, hidden=16, encoder_hidden=8, encoded=6)
M = 60
TRUE = 1.4


@functools.cache
def batch():
    return data.to_batch(records(count=150))


@functools.cache
def model():
    return FlowModel.of(flow.init(jax.random.key(0), FLOW), FLOW)


def drawn(key, count, at):
    poses = sampling.sample(
        model().params,
        batch().pose2d,
        batch().cond,
        key,
        num_hypotheses=count,
        temperature=at,
    )
    return geometry.relative_to_hip(poses)


@pytest.fixture(scope="module")
def truths():
    """A pose for every frame, from the model itself at temperature 1.4."""
    return np.asarray(drawn(jax.random.key(7), 1, TRUE))[:, 0]


def curve(truths, temperatures, **options):
    return temperature.curve(
        model(),
        batch(),
        truths,
        jax.random.key(1),
        temperatures,
        num_hypotheses=M,
        **{"batch_size": 64, **options},
    )


@pytest.mark.slow
def test_the_true_temperature_is_found(truths):
    done = []
    found = temperature.fit(
        model(),
        batch(),
        truths,
        jax.random.key(1),
        num_hypotheses=M,
        progress=done.append,
    )
    assert abs(found.temperatures[found.fitted] - TRUE) < 0.15
    assert found.ece[found.fitted] < 0.03 < 0.08 < found.ece[found.at(1.0)]
    assert sum(done) == len(found.temperatures) * len(truths)
    assert len(found.temperatures) == temperature.TRIED
    np.testing.assert_allclose(np.diff(found.temperatures).min(), 0.01)
    assert (found.temperatures[0], found.temperatures[-1]) == (0.5, 3.0)


def test_an_end_of_the_range_is_told():
    tried = np.linspace(0.5, 3, 6)
    columns = np.zeros((6, 21)), np.zeros(6), np.zeros(6)
    for best, end in ((0, True), (3, False), (5, True)):
        curve = temperature.Curve(tried, np.abs(tried - tried[best]), *columns)
        assert curve.cut_off == end


@pytest.mark.slow
def test_the_curve_is_what_the_hypotheses_give(truths):
    """At two temperatures, against all hypotheses at once."""
    found = curve(truths, [0.7, 1.3])
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(1), i))(jnp.arange(150))
    for i, at in enumerate((0.7, 1.3)):
        poses = drawn(keys, M, at)
        whole = coverage.calibration(poses, truths)
        np.testing.assert_allclose(found.ece[i], whole.ece, atol=1e-5)
        np.testing.assert_allclose(found.frequency[i], whole.frequency, atol=1e-5)
        errors = 1000 * np.linalg.norm(poses - truths[:, None], axis=-1).mean(-1)
        np.testing.assert_allclose(found.best[i], errors.min(1).mean(), rtol=1e-4)
        np.testing.assert_allclose(found.mean[i], errors.mean(), rtol=1e-4)


def test_frames_that_fill_the_last_batch_do_not_count(truths):
    parts, whole = curve(truths, [1.0]), curve(truths, [1.0], batch_size=150)
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_a_temperature_that_was_not_tried_is_refused(truths):
    found = curve(truths, [0.7, 1.3])
    assert found.at(1.303) == 1
    with pytest.raises(ValueError, match="1.0 is not on the curve"):
        found.at(1.0)


def test_what_cannot_be_fitted_is_refused(truths):
    with pytest.raises(ValueError, match="at least 1 frame, 2 hypotheses"):
        curve(truths[:0], [1.0])
    with pytest.raises(ValueError, match="got 150, 1 and 64"):
        temperature.curve(
            model(), batch(), truths, jax.random.key(1), [1.0], num_hypotheses=1
        )
    broken = jax.tree.map(lambda leaf: leaf * jnp.nan, model())
    with pytest.raises(FloatingPointError, match="parameters are broken"):
        temperature.curve(
            broken, batch(), truths, jax.random.key(1), [1.0], num_hypotheses=M
        )
