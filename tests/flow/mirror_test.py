"""Sums and differences of left and right, and what a mirror does to them."""

import jax
import numpy as np

from jaxflow.flow import mirror
from jaxflow.maths import geometry
from jaxflow.skeleton import MPII_JOINTS, MPII_MIRRORED

RNG = np.random.default_rng(0)


def mirrored(vector):
    """A pose's vector (48,) x, y, z as a mirror shows it, by way of its joints."""
    pose = geometry.mirrored(geometry.denormalize_pose3d(vector))
    return np.asarray(geometry.normalize_pose3d(pose))


def test_the_change_is_its_own_inverse_and_turns_nothing_longer():
    numbers = RNG.normal(size=(5, 48)).astype(np.float32)
    for change in (mirror.of_pose, mirror.of_picture):
        np.testing.assert_allclose(change(change(numbers)), numbers, atol=1e-6)
        lengths = np.linalg.norm(change(numbers), axis=-1)
        np.testing.assert_allclose(lengths, np.linalg.norm(numbers, axis=-1), rtol=1e-6)


def test_a_mirror_only_changes_signs():
    pose = np.asarray(geometry.normalize_pose3d(RNG.normal(size=(17, 3)).astype("f4")))
    depths_first = np.roll(pose, 16), np.roll(mirrored(pose), 16)
    ours, theirs = (np.asarray(mirror.of_pose(vector)) for vector in depths_first)
    np.testing.assert_allclose(theirs, mirror.signs() * ours, atol=1e-5)


def test_signs_of_the_picture_are_those_of_the_pose():
    """What is 16 numbers of the one in the layer stands beside 16 of the other."""
    picture = RNG.normal(size=32).astype(np.float32)
    picture -= np.repeat(picture.reshape(2, 16).mean(axis=1), 16)
    ours = np.asarray(mirror.of_picture(picture))
    theirs = np.asarray(mirror.of_picture(mirror.pose2d(picture)))
    np.testing.assert_allclose(theirs, mirror.signs()[16:] * ours, atol=1e-6)


def test_conditions_and_pictures_change_sides():
    picture = np.arange(32, dtype=np.float32)
    other = np.asarray(mirror.pose2d(picture)).reshape(2, 16)
    for i, j in enumerate(MPII_MIRRORED):
        assert other[0, i] == -j and other[1, i] == 16 + j, MPII_JOINTS[i]
    cond = RNG.normal(size=(3, 78)).astype(np.float32)
    there = jax.jit(mirror.cond)(cond)
    assert not np.allclose(there, cond)
    np.testing.assert_array_equal(mirror.cond(there), cond)
