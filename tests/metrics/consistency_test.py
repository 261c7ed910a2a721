import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.metrics import consistency
from tests.helpers import people

of_example = jax.jit(consistency.of_example)


def posed(frames):
    """(N, 17, 3) metres, hip at 0."""
    return (frames.pose3d - frames.pose3d[:, :1]) / 1000


def test_the_truth_lies_in_the_ellipses():
    frames = people.frames(50, error=0.5)
    found = of_example(posed(frames)[:, None], frames)
    # The ellipse holds the detector's own 2 px besides its error.
    assert np.mean(found.truth_inside) > 0.99
    np.testing.assert_array_equal(found.inside, found.truth_inside)


def test_hypotheses_spread_as_the_gaussian_lie_in_its_ellipse_nineteen_times_in_20():
    frames = people.frames(20, error=0.0)
    rng = np.random.default_rng(0)
    # The width of the bump, 2 px, in mm at the joint's depth.
    depth = frames.pose3d[:, None, :, 2:]
    width = 2 * 4 * depth / people.FOCAL
    noise = rng.normal(size=(20, 500, 17, 3)) * [1, 1, 0]
    moved = noise * width / 1000
    moved[:, :, 0] = 0
    found = of_example(jnp.asarray(posed(frames)[:, None] + moved, jnp.float32), frames)
    # MPII's hip is joint 6, which the hypotheses have at 0.
    share = np.delete(np.asarray(found.inside), 6, axis=-1)
    assert share.mean() == pytest.approx(0.95, abs=0.01)


def test_wider_hypotheses_lie_in_it_less():
    frames = people.frames(5, error=0.0)
    rng = np.random.default_rng(0)
    moved = 0.3 * rng.normal(size=(5, 200, 17, 3)) * [1, 1, 0]
    hypotheses = jnp.asarray(posed(frames)[:, None] + moved, jnp.float32)
    assert np.mean(of_example(hypotheses, frames).inside) < 0.3


def test_a_rigid_person_has_one_skeleton():
    frames = people.frames(3)
    pose = posed(frames)
    mirrored = pose * [-1, 1, 1]
    found = of_example(jnp.asarray(np.stack([pose, mirrored], 1), jnp.float32), frames)
    np.testing.assert_allclose(found.bone, 0, atol=1e-2)
    longer = of_example(
        jnp.asarray(np.stack([pose, 1.1 * pose], 1), jnp.float32), frames
    )
    lengths = 1000 * np.linalg.norm(pose[:, 1] - pose[:, 0], axis=-1)
    np.testing.assert_allclose(longer.bone[:, 0], 0.05 * lengths, rtol=1e-3)


def test_asymmetry_is_the_difference_of_left_and_right():
    frames = people.frames(1)
    pose = np.zeros((1, 17, 3), np.float32)
    pose[0, 2], pose[0, 5] = [0, 0.4, 0], [0, 0.46, 0]  # knees below hips at 0
    pose[0, 3], pose[0, 6] = pose[0, 2], pose[0, 5]
    found = of_example(jnp.asarray(pose[:, None]), frames)
    # Six pairs: thigh, shin, hip, shoulder and both parts of the arm.
    np.testing.assert_allclose(found.asymmetry, 60 / 6, rtol=1e-3)
