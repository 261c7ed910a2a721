"""Motions: whose frames belong together, and the poses that are likeliest of them."""

import numpy as np

from jaxflow.metrics import paths
from jaxflow.prediction import motions

RNG = np.random.default_rng(0)
BODY = RNG.uniform([-30, -90], [30, 90], (16, 2))


def people(frames, persons=None, files=None, shift=0.0):
    count = len(frames)
    return {
        "source": np.array(files or ["clip.mp4"] * count),
        "frame": np.array(frames),
        "person": np.array(persons or ["0"] * count),
        "pose2d": np.broadcast_to(BODY, (count, 16, 2)) + shift,
    }


def spans(found):
    return [(one.person, one.first, one.length, len(one.rows)) for one in found]


def test_a_person_a_shot():
    frames = [t for t in range(10) for _ in range(2)]
    found = motions.find(people(frames, ["a", "b"] * 10), 25)
    assert spans(found) == [("a", 0, 10, 10), ("b", 0, 10, 10)]
    np.testing.assert_array_equal(found[1].rows, np.arange(1, 20, 2))
    assert found[0].seconds == 1 / 25


def test_short_gaps_are_bridged_and_long_ones_end_it():
    found = motions.find(people([0, 2, 4, 10, 12, 60, 62]), 25)
    assert spans(found) == [("0", 0, 7, 5), ("0", 60, 2, 2)]
    np.testing.assert_array_equal(found[0].places, [0, 1, 2, 5, 6])
    assert found[0].seconds == 2 / 25


def test_one_frame_in_many_is_a_motion():
    assert spans(motions.find(people([0, 100, 200]), 25)) == [("0", 0, 3, 3)]


def test_who_is_in_two_frames_far_apart_is_in_two_motions():
    """By the file's step, not by that person's own."""
    found = motions.find(people([138, 139, 581781], ["a", "b", "b"]), 25)
    assert spans(found) == [("a", 138, 1, 1), ("b", 139, 1, 1), ("b", 581781, 1, 1)]


def test_a_jump_is_a_cut():
    shift = np.where(np.arange(10) < 6, 0, 300)[:, None, None]
    found = motions.find(people(list(range(10)), shift=shift), 25)
    assert spans(found) == [("0", 0, 6, 6), ("0", 6, 4, 4)]


def test_pictures_are_alone():
    files = [f"{i}.jpg" for i in range(3)]
    assert spans(motions.find(people([0] * 3, files=files), 30)) == [("0", 0, 1, 1)] * 3


def test_noise_goes_and_the_motion_stays():
    """Of a swing whose accelerations are the prior's, between two people's rows."""
    t = np.arange(90) / 30
    swing = 0.3 * np.sin(2 * np.pi * 0.8 * t)[:, None, None] * np.ones((17, 3))
    truth = np.repeat(swing, 2, axis=0)
    mode = (truth + RNG.normal(0, 0.06, truth.shape)).astype(np.float32)
    spread = np.full_like(mode, 0.06)
    table = people(list(np.repeat(np.arange(90), 2)), ["a", "b"] * 90)
    got = motions.likeliest(motions.find(table, 30), mode, spread)
    assert np.abs(got - truth).mean() < 0.6 * np.abs(mode - truth).mean()
    rows = np.arange(0, 180, 2)
    want = paths.drawn(
        mode[rows], spread[rows] ** 2 + 1e-6, motions.ACCELERATION / 30**2
    )
    np.testing.assert_allclose(got[rows], want, atol=1e-6)


def test_single_frames_are_their_z0_poses():
    mode = RNG.normal(0, 1, (2, 17, 3)).astype(np.float32)
    found = motions.find(people([0, 0], ["a", "b"]), 30)
    np.testing.assert_array_equal(motions.likeliest(found, mode, 0 * mode), mode)


def test_where_nobody_was_seen_a_straight_line():
    found = motions.find(people([0, 1, 4]), 30)
    poses = np.array([0.0, 1, 4])[:, None, None] * np.ones((3, 17, 3))
    want = np.arange(5.0)[:, None, None] * np.ones((5, 17, 3))
    np.testing.assert_allclose(motions.whole(found[0], poses), want)
