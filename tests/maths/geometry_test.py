"""Poses in and out of the network's frame: references, invariances, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxflow.maths import geometry
from jaxflow.skeleton import H36M_JOINTS
from tests.golden import make, store
from tests.golden.store import assert_close
from tests.oracles import preprocessing as oracle

FEW = settings(max_examples=20, deadline=None, derandomize=True)
normalize_pose2d = jax.jit(geometry.normalize_pose2d)
normalize_pose3d = jax.jit(geometry.normalize_pose3d)
POSES, PIXELS, _ = make.raw(20, 5)
shifts = st.floats(-100, 100, width=32)


@pytest.fixture(params=["released code", "golden"])
def case(request, reference):
    """pose (N, 17, 3) m, pixels, and the two vectors they become."""
    if request.param == "golden":
        return store.load("preprocessing")
    arrays = reference("preprocessing")
    return {
        "pose": arrays["raw_pose3d_mm"].reshape(-1, 3, 17).swapaxes(1, 2) / 1000,
        "pixels": arrays["raw_pose2d_px"].reshape(-1, 2, 16).swapaxes(1, 2),
        **arrays,
    }


def test_normalised_poses(case):
    assert_close(normalize_pose3d(case["pose"]), case["pose3d"])
    assert_close(normalize_pose2d(case["pixels"]), case["pose2d"])


def test_evaluation_target(reference):
    arrays = reference("preprocessing")
    raw = arrays["raw_pose3d_mm"].reshape(-1, 3, 17).swapaxes(1, 2)
    want = arrays["eval_target_mm"].reshape(-1, 3, 17).swapaxes(1, 2)
    assert_close(geometry.flip_yz(geometry.relative_to_hip(raw)), want)


def test_poses_out_of_the_network():
    vectors = normalize_pose3d(POSES)
    for vector in vectors:
        assert_close(geometry.with_hip(vector), oracle.with_hip(vector), 1e-6)
        assert_close(
            geometry.denormalize_pose3d(vector), oracle.camera_pose(vector), 1e-6
        )


def test_there_and_back_is_the_pose_about_its_hips():
    got = geometry.denormalize_pose3d(normalize_pose3d(POSES))
    middle = (POSES[:, 1] + POSES[:, 4]) / 2
    np.testing.assert_allclose(got[:, 1:], POSES[:, 1:] - middle[:, None], atol=1e-6)
    assert np.all(np.asarray(got[:, 0]) == 0)


@pytest.mark.parametrize("axes", [2, 3])
def test_vectors_are_coordinate_major(axes):
    joints = np.arange(16 * axes, dtype=np.float32).reshape(16, axes)
    vector = geometry.to_vector(joints)
    np.testing.assert_array_equal(vector[:16], joints[:, 0])
    np.testing.assert_array_equal(geometry.to_joints(vector, axes), joints)


@FEW
@given(x=shifts, y=shifts, scale=st.floats(1 / 64, 64, width=32))
def test_2d_poses_ignore_place_and_size(x, y, scale):
    moved = scale * PIXELS + np.float32([x, y])
    bound = 1e-5 * (1 + np.abs(moved).max() / (scale * 30))
    np.testing.assert_allclose(
        normalize_pose2d(moved), normalize_pose2d(PIXELS), atol=bound
    )


@FEW
@given(x=shifts, y=shifts, z=shifts)
def test_3d_poses_ignore_place(x, y, z):
    moved = POSES + np.float32([x, y, z])
    np.testing.assert_allclose(
        normalize_pose3d(moved), normalize_pose3d(POSES), atol=1e-4
    )


def test_3d_poses_keep_their_size():
    # Not of the pose at 4 m: a power of two and no offset keep float32 exact.
    pose = POSES - POSES.mean(axis=1, keepdims=True)
    np.testing.assert_array_equal(
        normalize_pose3d(2 * pose), 2 * normalize_pose3d(pose)
    )


def test_2d_deviation_is_one_over_all_numbers():
    vectors = np.asarray(normalize_pose2d(PIXELS))
    np.testing.assert_allclose(vectors.std(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(vectors.reshape(5, 2, 16).mean(axis=2), 0, atol=1e-6)


def test_leading_axes_are_free():
    got = geometry.normalize_pose3d(POSES.reshape(1, 5, 17, 3))
    np.testing.assert_array_equal(got[0], geometry.normalize_pose3d(POSES))
    np.testing.assert_allclose(geometry.normalize_pose2d(PIXELS[0]).shape, (32,))


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (geometry.normalize_pose3d, (16, 3)),
        (geometry.normalize_pose3d, (51,)),
        (geometry.normalize_pose2d, (17, 2)),
        (geometry.normalize_pose2d, (32,)),
    ],
)
def test_other_shapes_are_refused(function, shape):
    with pytest.raises(
        ValueError, match=r"expected \w+ of shape \(\.\.\., 1[67], [23]\)"
    ):
        function(np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", [(51,), (17, 3), (48, 1)])
def test_what_is_no_pose_of_the_network_is_refused(shape):
    with pytest.raises(ValueError, match=r"expected vector of shape \(\.\.\., 48\)"):
        geometry.denormalize_pose3d(np.zeros(shape, np.float32))
    with pytest.raises(TypeError, match="expected vector to be floating point"):
        geometry.denormalize_pose3d(np.zeros(48, int))


def test_integer_pixels_are_refused():
    with pytest.raises(
        TypeError, match="expected pixels to be floating point; got int"
    ):
        geometry.normalize_pose2d(np.zeros((16, 2), int))


def test_a_mirror_exchanges_left_and_right():
    poses = jnp.asarray(np.random.default_rng(0).normal(size=(2, 17, 3)), jnp.float32)
    mirrored = geometry.mirrored(poses)
    left, right = (H36M_JOINTS.index(f"{side}Wrist") for side in "LR")
    np.testing.assert_array_equal(mirrored[:, left, 0], -poses[:, right, 0])
    np.testing.assert_array_equal(mirrored[:, right, 1:], poses[:, left, 1:])
    np.testing.assert_array_equal(geometry.mirrored(mirrored), poses)


def test_no_poses_are_none():
    assert geometry.normalize_pose2d(np.zeros((0, 16, 2), np.float32)).shape == (0, 32)
    assert geometry.normalize_pose3d(np.zeros((0, 17, 3), np.float32)).shape == (0, 48)
