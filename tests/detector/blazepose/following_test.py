"""People in a film of spots: who is followed, and when the whole frame is searched."""

import json

import numpy as np
import pytest

from jaxflow.detector.blazepose import following, people
from jaxflow.detector.blazepose.following import Following, follow
from tests.detector.blazepose.people_test import BODIES, drawn, seeing

FPS = 25.0


@pytest.fixture
def searches(monkeypatch):
    """Counts the searches."""
    counted = []
    search = people.search

    def counting(*given):
        counted.append(given)
        return search(*given)

    monkeypatch.setattr(people, "search", counting)
    return counted


def moved(t):
    """Two who go towards each other."""
    steps = [(3 * t, 0), (-2 * t, t)]
    return [
        tuple(tuple(np.add(point, step)) for point in body)
        for body, step in zip(BODIES[::2], steps, strict=True)
    ]


def middles(found):
    return [one.square.center for one in found]


def test_people_are_followed_with_few_searches(searches):
    state = Following()
    for t in range(14):
        state, found = follow(state, drawn(*moved(t)), t / FPS, seeing())
        hips = [body[0] for body in moved(t)]
        np.testing.assert_allclose(middles(found), hips, atol=5)
    assert len(searches) == 2  # the first frame, and after half a second


def test_somebody_new_is_found_and_who_left_is_let_go(searches):
    state, found = follow(Following(), drawn(BODIES[0]), 0.0, seeing())
    for t in range(1, 14):
        state, found = follow(state, drawn(*BODIES[:2]), t / FPS, seeing())
    assert len(found) == 2
    state, found = follow(state, drawn(BODIES[1]), 14 / FPS, seeing())
    assert len(found) == 1 and len(searches) == 3
    state, found = follow(state, drawn(BODIES[1]), 15 / FPS, seeing())
    assert len(searches) == 3


def test_who_was_hidden_is_found_where_they_went(searches):
    """At once, though the frame is searched but each half a second."""

    def at(t):
        return drawn(((60 + 9 * t, 200), (60 + 9 * t, 130)), BODIES[2])

    state = Following()
    for t in range(6):
        state, found = follow(state, at(t), t / FPS, seeing())
    for t in range(6, 11):
        state, found = follow(state, drawn(BODIES[2]), t / FPS, seeing())
        assert len(found) == 1
    state, found = follow(state, at(11), 11 / FPS, seeing())
    np.testing.assert_allclose(middles(found)[0], [159, 200], atol=5)
    assert len(searches) == 2  # the first frame, and where somebody was lost
    assert [one.seconds for one in state.walkers] == [11 / FPS] * 2


def test_a_cut_is_searched(searches):
    state, _ = follow(Following(), drawn(BODIES[0]), 0.0, seeing())
    other = drawn(*BODIES[:2])
    other.pixels[..., 2] = 255
    _, found = follow(state, other, 1 / FPS, seeing())
    assert len(searches) == 2 and not searches[1][2] and len(found) == 2


def test_an_old_square_is_no_guide(searches):
    state, _ = follow(Following(), drawn(BODIES[0]), 0.0, seeing())
    _, found = follow(state, drawn(BODIES[2]), 2.0, seeing())
    assert len(searches) == 2 and not searches[1][2]
    np.testing.assert_allclose(middles(found), [BODIES[2][0]], atol=5)


def test_it_goes_on_where_it_was():
    state, _ = follow(Following(), drawn(*moved(0)), 0.0, seeing())
    again = following.of_plain(json.loads(json.dumps(following.plain(state))))
    for one in (state, again):
        after, found = follow(one, drawn(*moved(1)), 1 / FPS, seeing())
        if one is state:
            want = following.plain(after)
        assert len(found) == 2
    assert following.plain(after) == want
    start = following.plain(Following())
    assert following.of_plain(json.loads(json.dumps(start))) == Following()
