"""The factors of unsure joints: of a sampler whose error is known, found again."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import data
from jaxflow.evaluation import widened, widths
from jaxflow.evaluation.measuring import Draw
from jaxflow.skeleton import CONDITIONED_MPII, MPII_MIRRORED
from tests.helpers import people

RECORDS = people.flat_records(400, 0.0)
TOO_NARROW = 1.4  # the sampler's wrists, above the first knot
# A frame's hypotheses are a stretch of these, whose beginning is drawn.
NORMAL = np.random.default_rng(1).normal(size=(8000, 17, 3)).astype(np.float32)


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Sampler:
    """Joints about the origin with deviations of 0.1 m; wrists, where unsure, less."""

    method, config = "known", None

    def sample(self, pose2d, cond, key, *, num_hypotheses=200, temperature=1.0):
        unsure = widened.deviations(cond)[:, [7, 12]] > widened.KNOTS[0]
        narrow = jnp.where(unsure, 1 / TOO_NARROW, 1.0)
        scale = jnp.full((len(cond), 17), 0.1).at[:, [16, 13]].multiply(narrow)
        last = len(NORMAL) - num_hypotheses
        first = jax.vmap(lambda key: jax.random.randint(key, (), 0, last))(key)
        rows = first[:, None] + jnp.arange(num_hypotheses)
        poses = scale[:, None, :, None] * jnp.asarray(NORMAL)[rows]
        return temperature * poses.at[..., 0, :].set(0)


@pytest.fixture(scope="module")
def fitted():
    """Of truths that lie as every joint's hypotheses should."""
    truth = 100 * np.random.default_rng(0).normal(size=(400, 17, 3))
    records = dataclasses.replace(RECORDS, pose3d=truth.astype(np.float32))
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        to_origin = truth - truth[:, :1]
        to_origin[:, 1:] = truth[:, 1:]  # the hip's own noise would count twice
        patch.setattr(
            data, "targets_of", lambda records: to_origin.astype(np.float32) / 1000
        )
        result = widths.fit(
            Sampler(), records, jax.random.key(0), Draw(100, 1.0, 400), seen.append
        )
    assert sum(seen) == 13 * 400
    return result


def test_a_joint_that_is_too_narrow_where_it_is_unsure(fitted):
    wrists = [widths.JOINTS.index(name) for name in ("RWrist", "LWrist")]
    others = [j for j in range(13) if j not in wrists]
    # 800 frames a pair and four knots: a factor's deviation is some 3 %.
    np.testing.assert_allclose(fitted.factors[wrists, 1:], TOO_NARROW, rtol=0.12)
    np.testing.assert_allclose(fitted.factors[others], 1.0, atol=0.12)
    assert (fitted.factors >= 1).all() and (fitted.factors[:, 0] == 1).all()
    held = fitted.held
    assert abs(held[others].mean() - 0.9) < 0.01
    assert (held[wrists, 2:] < 0.8).all()


@pytest.mark.parametrize(("frames", "most"), [(12, 1.0), (48, 1.0), (512, 1.05)])
def test_few_frames_leave_a_calibrated_model_as_it_is(frames, most):
    """Ratios of a Gaussian's error to its own 90 % region, in three dimensions."""
    rng, largest = np.random.default_rng(0), []
    for _ in range(20):
        error = np.linalg.norm(rng.normal(size=(13, frames, 3)), axis=-1)
        sigma = np.exp(rng.uniform(np.log(2.6), np.log(12), (13, frames)))
        at = np.asarray(widened.shares(jnp.asarray(sigma)))
        found = widths.from_ratios(error / 2.5003, at)
        largest.append(found.factors.max(axis=1))
        assert found.unknown == (52 if frames < 50 else 0)
        arms = [widths.JOINTS.index(side + "Elbow") for side in "LR"]
        np.testing.assert_allclose(found.frames[arms[0]], at[arms].sum((0, 1)), 1e-5)
    assert np.mean(largest) <= most


def test_both_sides_have_one_factor(fitted):
    for j, i in enumerate(CONDITIONED_MPII):
        other = CONDITIONED_MPII.index(MPII_MIRRORED[i])
        np.testing.assert_array_equal(fitted.factors[j], fitted.factors[other])


def test_the_deviations_that_are_asked():
    index = 9  # the head
    changed, sigma = widths.made_unsure(RECORDS, np.int32(index), jax.random.key(3))
    others = np.arange(16) != index
    np.testing.assert_array_equal(changed.pose2d[:, others], RECORDS.pose2d[:, others])
    covariance = people.covariance(changed.gaussfit[:, index])
    axes = np.sqrt(np.linalg.eigvalsh(covariance))
    np.testing.assert_allclose(axes[:, 1], sigma, rtol=1e-4)
    np.testing.assert_allclose(axes[::2, 0], sigma[::2], rtol=1e-3)
    np.testing.assert_allclose(axes[1::2, 0], np.maximum(sigma[1::2] / 3, 2), rtol=1e-3)
    logs = np.sort(np.log(sigma))
    np.testing.assert_allclose(np.diff(logs), np.log(12 / 2.6) / 400, rtol=1e-3)
    error = (changed.pose2d - RECORDS.pose2d)[:, index] / 4
    expected = np.sqrt((sigma**2 - 4).mean())
    np.testing.assert_allclose(error[::2].std(), expected, rtol=0.15)


def test_joints_that_were_unsure_before_tell_nothing():
    fits = RECORDS.gaussfit.copy()
    head, wrist = 9, 15
    fits[:3, head, 3] = -4.0  # a deviation's sign means nothing
    fits[:, wrist, 5] = 3.0
    sure = widths.was_sure(dataclasses.replace(RECORDS, gaussfit=fits))
    assert sure.shape == (13, 400)
    head, wrist = widths.JOINTS.index("Head"), widths.JOINTS.index("LWrist")
    assert not sure[head, :3].any() and sure[head, 3:].all()
    assert not sure[wrist].any() and sure.sum() == 12 * 400 - 3
