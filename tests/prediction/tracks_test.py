"""Tracks: numbers that stay, through crossings and gaps, and end at a cut."""

import json

import numpy as np

from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.readers.records import Seen
from jaxflow.prediction import tracks
from jaxflow.prediction.records import Lifted
from jaxflow.prediction.tracks import Numbering, Tracks

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


def test_who_passes_behind_somebody_has_the_same_number_after():
    """Whose track is still nearest to the one who is seen, and not the hidden one's."""
    one, two = walk([100, 200], [3, 0], 60), walk([277, 200], [-3, 0], 60)
    frames = [
        [a, b] if not 20 <= t < 40 else [a]
        for t, (a, b) in enumerate(zip(one, two, strict=True))
    ]
    assert numbers(frames) == [[0, 1] if len(frame) > 1 else [0] for frame in frames]


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


def test_where_time_goes_back_all_are_new():
    """Two clips in a table, or a data set's numbers: no overflow, whatever the gap."""
    poses = walk([100, 200], [1, 0], 4)
    state, found = Tracks(), []
    for seconds, pose in zip((19392.7, 19392.8, 4.6, 4.7), poses, strict=True):
        state, numbered = tracks.follow(state, pose[None], seconds)
        found += numbered
    assert found == [0, 0, 1, 1]


def lifted(frame, person, pose, numbered=True):
    square = Crop(np.zeros(2), np.float64(1))
    seen = Seen("clip.mp4", frame, person, square, numbered=numbered)
    return Lifted(seen, *[np.zeros(0)] * 4, None, pose, np.zeros(0))


def swapping():
    """Frames of two people whose numbers within the frame change places."""
    one, two = walk([100, 200], [2, 0], 12), walk([400, 200], [-2, 0], 12)
    return [
        [lifted(t, 0, a), lifted(t, 1, b)]
        if t % 2
        else [lifted(t, 0, b), lifted(t, 1, a)]
        for t, (a, b) in enumerate(zip(one, two, strict=True))
    ]


def test_who_is_but_numbered_gets_the_track_s_number():
    people = [one for frame in swapping() for one in frame]
    found = tracks.numbered(people, FPS)
    assert [one.seen.person for one in found[:4]] == [0, 1, 1, 0]
    for number, start in ((0, 400), (1, 100)):
        own = [one.pose2d for one in found if one.seen.person == number]
        assert len(own) == 12
        assert abs(np.mean(own[0]) - np.mean([start, 200]) - BODY.mean()) < 5
        assert np.abs(np.diff(own, axis=0)).max() < 20


def test_ids_are_kept():
    people = [lifted(t, "ab"[t % 2], BODY, numbered=False) for t in range(4)]
    assert [one.seen.person for one in tracks.numbered(people, FPS)] == list("abab")


def test_it_goes_on_where_it_was():
    frames = swapping()
    whole, half = Numbering(FPS), Numbering(FPS)
    want = [[one.seen.person for one in whole.of(frame)] for frame in frames]
    got = [[one.seen.person for one in half.of(frame)] for frame in frames[:5]]
    state = json.loads(json.dumps(half.state()))
    half = Numbering(FPS, state)
    got += [[one.seen.person for one in half.of(frame)] for frame in frames[5:]]
    assert got == want


def test_single_pictures_keep_their_numbers():
    """Also where somebody was skipped before."""
    frames = [[lifted(0, 1, BODY), lifted(0, 2, BODY + 300)]]
    people = [
        one._replace(seen=one.seen._replace(file=f"{i}.jpg"))
        for i in range(2)
        for one in frames[0]
    ]
    found = [one.seen.person for one in tracks.numbered(people, FPS)]
    assert found == [1, 2, 1, 2]
