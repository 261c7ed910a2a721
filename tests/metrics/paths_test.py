"""Paths: Viterbi against all paths there are, the motion against a dense solve."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.metrics import paths

RNG = np.random.default_rng(0)
T, M = 5, 4
HYPOTHESES = RNG.normal(0, 0.2, (3, T, M, 17, 3)).astype(np.float32)
LOG_DENSITY = RNG.normal(0, 20, (3, T, M)).astype(np.float32)
STEP = 0.3

# Compiled whole: op by op, the first call costs seconds.
likeliest = jax.jit(paths.likeliest)


def score(hypotheses, log_density, path):
    """Of a path, by its definition."""
    poses = hypotheses[np.arange(len(path)), path].astype(np.float64)
    steps = np.square(np.diff(poses, axis=0)).sum() / STEP**2
    return log_density[np.arange(len(path)), path].sum() - steps / 2


def test_the_path_is_the_best_of_all():
    got = jax.vmap(likeliest, (0, 0, None))(HYPOTHESES, LOG_DENSITY, STEP)
    for hypotheses, density, path in zip(HYPOTHESES, LOG_DENSITY, got, strict=True):
        every = itertools.product(range(M), repeat=T)
        best = max(every, key=lambda one: score(hypotheses, density, list(one)))
        assert tuple(np.asarray(path)) == best
    # Neither term alone decides.
    assert (np.asarray(got) != LOG_DENSITY.argmax(-1)).any()


def test_blocks_make_the_same_path():
    hypotheses, density = HYPOTHESES[0], LOG_DENSITY[0]
    state, backs = paths.State(density[0], hypotheses[0]), []
    for rows in (slice(1, 3), slice(3, 5)):
        state, back = paths.forward(state, hypotheses[rows], density[rows], STEP)
        backs.append(back)
    got = paths.backward(jnp.argmax(state.score), jnp.concatenate(backs))
    want = likeliest(hypotheses, density, STEP)
    np.testing.assert_array_equal(got, want)


def test_one_frame_is_its_likeliest():
    got = likeliest(HYPOTHESES[0, :1], LOG_DENSITY[0, :1], STEP)
    np.testing.assert_array_equal(got, [LOG_DENSITY[0, 0].argmax()])


def dense(poses, variance, acceleration, there):
    """The motion by a dense solve, a coordinate at a time, in float64."""
    count = len(poses)
    second = np.diff(np.eye(count), 2, axis=0) if count > 2 else np.zeros((0, count))
    prior = second.T @ second / acceleration**2
    out = np.empty(poses.shape)
    for index in np.ndindex(poses.shape[1:]):
        weight = there / variance[(slice(None), *index)].astype(np.float64)
        right = weight * poses[(slice(None), *index)]
        out[(slice(None), *index)] = np.linalg.solve(prior + np.diag(weight), right)
    return out


@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_the_motion_is_the_least_squares_one(count):
    poses = RNG.normal(0, 1, (count, 17, 3)).astype(np.float32)
    variance = RNG.uniform(0.01, 1, poses.shape).astype(np.float32)
    there = np.ones(count, bool)
    there[4:12] = False  # somebody is not seen for a while
    got = paths.drawn(poses, variance, 0.2, there)
    np.testing.assert_allclose(got, dense(poses, variance, 0.2, there), atol=1e-9)


@pytest.mark.parametrize("fps", [480, 1000])
def test_many_frames_a_second_are_solved_as_well(fps):
    """A frame weighs a millionth of its prior."""
    poses = RNG.normal(0, 0.1, (400, 17, 3)).astype(np.float32)
    variance = np.full_like(poses, 0.1**2)
    want = dense(poses, variance, 18 / fps**2, np.ones(400, bool))
    got = paths.drawn(poses, variance, 18 / fps**2)
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_beyond_the_first_and_the_last_frame_it_goes_straight_on():
    poses = RNG.normal(0, 1, (20, 17, 3)).astype(np.float32)
    variance = np.full_like(poses, 0.1)
    want = paths.drawn(poses[5:15], variance[5:15], 0.1)
    there = (np.arange(20) >= 5) & (np.arange(20) < 15)
    got = paths.drawn(poses, variance, 0.1, there)
    np.testing.assert_allclose(got[5:15], want, atol=1e-9)
    np.testing.assert_allclose(np.diff(got[14:], 2, axis=0), 0, atol=1e-9)


def test_a_motion_needs_two_frames():
    poses = np.zeros((4, 17, 3))
    with pytest.raises(ValueError, match=r"two frames that count; got 1 in \(4,\)"):
        paths.drawn(poses, poses + 1, 0.1, np.arange(4) == 2)
    with pytest.raises(ValueError, match=r"\(T, 17, 3\); got .* \(4, 17, 1\)"):
        paths.drawn(poses, poses[..., :1], 0.1)


def test_a_steady_motion_stays_and_noise_goes():
    times = np.arange(100.0)[:, None, None]
    slope = RNG.normal(0, 0.01, (1, 17, 3))
    steady = (times * slope).astype(np.float32)
    variance = np.full_like(steady, 0.05**2)
    np.testing.assert_allclose(paths.drawn(steady, variance, 0.01), steady, atol=1e-7)
    noise = RNG.normal(0, 0.05, steady.shape).astype(np.float32)
    left = paths.drawn(steady + noise, variance, 0.01) - steady
    assert np.std(left) < 0.6 * np.std(noise)
    assert np.std(np.diff(left, 2, axis=0)) < 0.05 * np.std(np.diff(noise, 2, axis=0))
