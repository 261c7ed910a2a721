"""Things that move: pairs of the nearest, and velocities without the noise."""

import numpy as np

from jaxflow.maths import moving


def test_the_nearest_come_first_and_each_but_once():
    distance = np.array([[1.0, 2.0], [0.5, 3.0], [0.7, 9.0]])
    assert moving.nearest(distance) == {1: 0, 0: 1}
    assert distance[0, 0] == 1  # the caller's stays as it was


def test_who_is_too_far_from_all_has_nobody():
    assert moving.nearest(np.array([[np.inf, 2.0], [np.inf, np.inf]])) == {0: 1}
    assert moving.nearest(np.zeros((0, 3))) == moving.nearest(np.zeros((3, 0))) == {}


def test_a_velocity_is_followed_and_noise_is_not():
    first = moving.steadied(np.zeros(2), np.array([4.0, -2.0]), 0.04)
    np.testing.assert_allclose(first, [100, -50])
    rng = np.random.default_rng(0)
    velocity, found = first, []
    for _ in range(200):
        velocity = moving.steadied(velocity, [4, -2] + rng.normal(0, 1, 2), 0.04)
        found.append(velocity)
    np.testing.assert_allclose(np.mean(found, 0), [100, -50], atol=3)
    assert np.std(found, 0).max() < 0.5 * 25  # of single steps' 1 px in 0.04 s
