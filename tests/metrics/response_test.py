import jax
import numpy as np
import pytest

from jaxflow.metrics import response
from jaxflow.skeleton import MPII_JOINTS, MPII_TO_H36M
from tests.helpers import people

WRIST, HEAD = (MPII_JOINTS.index(name) for name in ("LWrist", "Head"))
JOINT = MPII_TO_H36M[WRIST]

# Compiled whole: op by op, the first call of each costs seconds.
of_example = jax.jit(response.of_example)


def hypotheses_of(scale, frames=1500, count=100):
    """Drawn about a wrong place with ``scale`` times the deviation of the error."""
    rng = np.random.default_rng(1)
    target = np.zeros((frames, 17, 3), np.float32)
    centre = 0.1 * rng.normal(size=(frames, 1, 17, 3))
    drawn = centre + scale * 0.1 * rng.normal(size=(frames, count, 17, 3))
    return drawn.astype(np.float32), target


def test_a_calibrated_sampler_holds_the_truth_as_often_as_its_regions_say():
    found = of_example(*hypotheses_of(1.0), WRIST)
    share = np.mean(found.held, axis=0)
    np.testing.assert_allclose(share, response.REGIONS, atol=0.04)
    np.testing.assert_allclose(np.mean(found.spread, axis=0), 100, rtol=0.02)


def test_one_that_does_not_respond_holds_it_less():
    found = of_example(*hypotheses_of(0.25), WRIST)
    assert np.mean(found.held, axis=0)[1] < 0.2


def test_only_the_joint_itself_is_asked():
    drawn, target = hypotheses_of(1.0, frames=3)
    others = [joint for joint in range(17) if joint != JOINT]
    moved = drawn.copy()
    moved[:, :, others] += 1
    for one, other in zip(
        of_example(drawn, target, WRIST), of_example(moved, target, WRIST), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4)


@pytest.mark.parametrize("aspect", [1.0, 3.0])
def test_a_joint_is_made_as_unsure_as_was_asked(aspect):
    frames = people.frames(4000)
    covariance = response.covariance(6.0, aspect, 0.5)
    normal = jax.random.normal(jax.random.key(0), (4000, 2))
    pose2d, fits = response.make_unsure(
        frames.pose2d, frames.gaussfit, WRIST, covariance, normal
    )
    np.testing.assert_allclose(
        people.covariance(fits[:, WRIST]),
        np.broadcast_to(covariance, (4000, 2, 2)),
        rtol=1e-3,
        atol=1e-3,
    )
    moved = np.asarray(pose2d - frames.pose2d)[:, WRIST] / 4
    np.testing.assert_allclose(
        fits[:, WRIST, 1:3], frames.gaussfit[:, WRIST, 1:3] + moved, atol=1e-4
    )
    upward = moved * [1, -1]
    np.testing.assert_allclose(
        np.cov(upward.T), covariance - 4 * np.eye(2), rtol=0.1, atol=0.5
    )
    amplitude = frames.gaussfit[:, WRIST, 0] * (36 / aspect / 4.4) ** -0.6
    np.testing.assert_allclose(fits[:, WRIST, 0], amplitude, rtol=1e-3)
    rest = np.arange(16) != WRIST
    np.testing.assert_array_equal(pose2d[:, rest], frames.pose2d[:, rest])
    np.testing.assert_array_equal(fits[:, rest], frames.gaussfit[:, rest])


def test_its_place_is_kept_where_that_is_asked_for():
    frames = people.frames(2)
    pose2d, fits = response.make_unsure(
        frames.pose2d,
        frames.gaussfit,
        HEAD,
        response.covariance(10.0),
        np.ones((2, 2), np.float32),
        moved=False,
    )
    np.testing.assert_array_equal(pose2d, frames.pose2d)
    np.testing.assert_allclose(fits[:, HEAD, 3:6:2], 10.0, rtol=1e-4)


def test_no_axis_is_surer_than_the_detector_can_be():
    sigmas = np.linalg.eigvalsh(response.covariance(3.0, 10.0, 1.0)) ** 0.5
    np.testing.assert_allclose(sigmas, [2.0, 3.0], rtol=1e-4)
