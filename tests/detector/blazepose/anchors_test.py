"""The person detector's answer, made up: who is told, and how often."""

import numpy as np

from jaxflow.detector.blazepose import anchors
from jaxflow.detector.blazepose.anchors import SIZE, Found


def answer(*people):
    """Boxes and logits as if people (middle, above, logit) had been seen, in px."""
    boxes = np.zeros((2254, 12))
    logits = np.full(2254, -50.0)
    for middle, above, logit in people:
        near = np.linalg.norm(anchors.anchors() - middle, axis=1)
        near[logits > -50] = np.inf  # each anchor tells of one
        anchor = int(near.argmin())
        boxes[anchor, 4:8] = [
            *(middle - anchors.anchors()[anchor]),
            *(above - anchors.anchors()[anchor]),
        ]
        logits[anchor] = logit
    return boxes, logits


def person(x, y, radius, logit=3.0):
    return np.array([x, y]), np.array([x, y - radius]), logit


def test_anchors_stand_in_the_middle_of_their_cells():
    places = anchors.anchors()
    assert places.shape == (2254, 2)
    np.testing.assert_array_equal(places[:3], [[4, 4], [4, 4], [12, 4]])
    np.testing.assert_array_equal(places[28 * 28 * 2], [8, 8])
    np.testing.assert_array_equal(places[-1], [208, 208])
    assert (places > 0).all() and (places < SIZE).all()


def test_people_as_shares_of_the_picture():
    found = anchors.decode(*answer(person(50, 100, 40), person(160, 120, 30, 2.0)))
    np.testing.assert_allclose(SIZE * found.middle, [[50, 100], [160, 120]])
    np.testing.assert_allclose(SIZE * found.above, [[50, 60], [160, 90]])
    np.testing.assert_allclose(found.score, 1 / (1 + np.exp([-3, -2])))


def test_whoever_is_seen_twice_is_told_once():
    """At the mean that the scores weigh, with the better one's score."""
    sure, unsure = person(50, 100, 40, 3.0), person(58, 100, 40, 1.0)
    found = anchors.decode(*answer(sure, unsure, person(160, 100, 40)))
    shares = 1 / (1 + np.exp([-3.0, -1.0]))
    x = (shares * [50, 58]).sum() / shares.sum()
    assert len(found.score) == 2
    np.testing.assert_allclose(sorted(SIZE * found.middle[:, 0]), [x, 160])


def test_nobody():
    found = anchors.decode(*answer(person(50, 100, 40, -0.1)))
    assert found.middle.shape == found.above.shape == (0, 2) and not found.score.size


def test_overlap_is_that_of_squares():
    middle, radius = np.array([[0.0, 0], [1, 0], [9, 0]]), np.ones(3)
    got = anchors.overlap(middle, radius, 0, np.arange(3))
    np.testing.assert_allclose(got, [1, 2 / 6, 0])
    assert isinstance(anchors.merged(Found(middle, middle + [0, -1], radius)), Found)
