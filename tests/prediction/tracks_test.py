"""Tracks: numbers that stay, through crossings and gaps, and end at a cut."""

import numpy as np

from jaxflow.prediction import tracks
from jaxflow.prediction.tracks import Tracks

RNG = np.random.default_rng(0)
BODY = RNG.uniform([-30, -90], [30, 90], (16, 2))
FPS = 25.0


def walk(start, slope, frames):
    """Poses (T, 16, 2) of somebody who walks, with a detector's noise."""
    middle = np.array(start) + np.arange(frames)[:, None] * np.array(slope)
    return middle[:, None] + BODY + RNG.normal(0, 2, (frames, 16, 2))


def numbers(frames):
    """Of the poses of each frame, in whatever order they come."""
    state, found = Tracks(), []
    for t, poses in enumerate(frames):
        state, numbered = tracks.follow(state, np.array(poses), t / FPS)
        found.append(numbered)
    return found


def test_people_who_cross_keep_their_numbers():
    one, two = walk([100, 200], [6, 0], 60), walk([450, 210], [-6, 0], 60)
    turns = [(0, 1) if t % 3 else (1, 0) for t in range(60)]  # detectors' order varies
    frames = [
        np.stack([(one, two)[k][t] for k in turn]) for t, turn in enumerate(turns)
    ]
    for turn, numbered in zip(turns, numbers(frames), strict=True):
        assert [
            {0: turns[0].index(0), 1: turns[0].index(1)}[k] for k in turn
        ] == numbered


def test_who_is_hidden_for_a_moment_keeps_the_number():
    one, two = walk([100, 200], [3, 0], 40), walk([400, 200], [0, 1], 40)
    frames = [
        [a, b] if not 15 <= t < 23 else [b]
        for t, (a, b) in enumerate(zip(one, two, strict=True))
    ]
    found = numbers(frames)
    assert found[14] == [0, 1] and found[18] == [1] and found[23:] == [[0, 1]] * 17


def test_after_a_long_while_somebody_is_new():
    one, two = walk([100, 200], [0, 0], 60), walk([400, 200], [0, 0], 60)
    frames = [
        [b] if 15 <= t < 45 else [b, a]
        for t, (a, b) in enumerate(zip(one, two, strict=True))
    ]
    assert numbers(frames)[45:] == [[0, 2]] * 15


def test_a_cut_makes_all_new():
    before = [walk([100, 200], [1, 0], 10), walk([300, 200], [1, 0], 10)]
    after = [walk([200, 400], [1, 0], 10)]
    frames = [*np.stack(before, 1), *np.stack(after, 1)]
    assert numbers(frames) == [[0, 1]] * 10 + [[2]] * 10


def test_frames_without_anybody():
    poses = walk([100, 200], [0, 0], 3)
    nobody = np.zeros((0, 16, 2))
    assert numbers([nobody, poses[:1], nobody, poses[2:]]) == [[], [0], [], [0]]


def test_boxes_lead_on():
    poses = walk([100, 200], [12, 0], 5)
    state = Tracks()
    for t in range(4):
        state, _ = tracks.follow(state, poses[t : t + 1], t / FPS)
    left, top, width, height = tracks.boxes(state, 4 / FPS)[0]
    inside = (poses[4] > [left, top]) & (poses[4] < [left + width, top + height])
    assert inside.all()
    assert height < 1.6 * np.ptp(poses[4], axis=0)[1]
    assert abs(left + width / 2 - np.ptp(poses[4][:, 0]) / 2 - poses[4][:, 0].min()) < 8
