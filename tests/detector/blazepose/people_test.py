"""Who is found: in drawn pictures, by networks that see a red and a green spot.

A person is a green spot, the circle around the body, straight above a red one, the
hips. Like the real ones, these networks tell of one person in what they are shown.
"""

import numpy as np
import pytest

from jaxflow.detector.blazepose import anchors, people, uncertainty
from jaxflow.detector.blazepose.detector import BlazePose, Observed
from jaxflow.detector.crops import crop
from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.readers import pictures


def spots(pixels):
    """The leftmost red spot and the green one that is nearest, or None."""
    pixels = np.asarray(pixels)
    ends = []
    for channel in (0, 1):
        other = pixels[..., 1 - channel]
        y, x = np.nonzero((pixels[..., channel] > 0.6) & (other < 0.3))
        if not x.size:
            return None
        places = np.stack([x, y], -1).astype(float)
        first = places[places[:, 0].argmin()] if channel == 0 else ends[0]
        near = np.linalg.norm(places - first, axis=1)
        start = places[near.argmin()]
        ends.append(places[np.linalg.norm(places - start, axis=1) < 12].mean(0))
    return ends


class Seeing(BlazePose):
    """Networks that see spots; ``present`` says how sure they are of them."""

    def observe(self, patches, turn, least=0.0):
        from jaxflow.detector.crops import turned

        count = len(turn)
        points, present = np.zeros((count, 39, 2), np.float32), np.zeros(count)
        crops = np.asarray(turned.sample(patches, np.asarray(turn, np.float32))) / 255
        for i, pixels in enumerate(crops):
            # The person in the middle, as the pose network tells of them.
            middle = pixels.copy()
            middle[:, :90], middle[:, 166:] = 0, 0
            if (ends := spots(middle)) is None:
                continue
            hip, above = (end + 0.5 for end in ends)
            points[i, people.MIDDLE_OF_HIPS], points[i, people._ABOVE] = hip, above
            up = (above - hip) / 2
            across = np.array([-up[1], up[0]]) / 4
            torso = [hip + up + across, hip + up - across, hip + across, hip - across]
            points[i, people._TORSO] = torso
            present[i] = self.size
        fit = np.tile(np.float32([0.9, 32, 32, 2.1, 0, 2.1, 0]), (count, 16, 1))
        peak = np.ones((count, 16), np.float32)
        return Observed(fit, fit[..., 1:3], peak > 0, peak, present, points)


def look(pixels):
    boxes, logits = (
        np.zeros((len(pixels), 2254, 12)),
        np.full((len(pixels), 2254), -9.0),
    )
    for i, picture in enumerate((np.asarray(pixels) + 1) / 2):
        if (ends := spots(picture)) is not None:
            anchor = int(np.linalg.norm(anchors.anchors() - ends[0], axis=1).argmin())
            boxes[i, anchor, 4:8] = np.ravel(ends - anchors.anchors()[anchor])
            logits[i, anchor] = 4
    return boxes, logits[..., None]


def seeing(present=0.9):
    return Seeing(present, None, look, 4)


def drawn(*bodies, size=(400, 600)):
    """A picture of people (hip, above), each (x, y)."""
    pixels = np.zeros((*size, 3), np.uint8)
    y, x = np.mgrid[: size[0], : size[1]]
    for body in bodies:
        for channel, (u, v) in enumerate(body):
            pixels[(x - u) ** 2 + (y - v) ** 2 <= 5**2, channel] = 255
    return pictures.from_array(pixels)


BODIES = [((80, 220), (80, 160)), ((300, 200), (300, 130)), ((520, 240), (520, 190))]


def test_everybody_is_found_once_from_left_to_right():
    """The whole picture shows these networks but one of three."""
    squares = people.find(drawn(*BODIES[::-1]), seeing())
    assert len(squares) == 3
    for square, (hip, above) in zip(squares, BODIES, strict=True):
        np.testing.assert_allclose(square.center, hip, atol=4)
        radius = hip[1] - above[1]
        assert square.side == pytest.approx(2.5 * radius, rel=0.1)
        assert square.turn == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize("above, turn", [((360, 200), 90), ((240, 200), -90)])
def test_somebody_who_lies_is_turned_upright(above, turn):
    (square,) = people.find(drawn(((300, 200), above)), seeing())
    assert np.degrees(square.turn) == pytest.approx(turn, abs=3)
    hip, head = crop.image_to_crop(np.array([[300.0, 200], above]), square)
    np.testing.assert_allclose(hip, [128, 128], atol=4)
    assert abs(head[0] - 128) < 6 and head[1] < 40  # above, in the crop


def test_a_square_beyond_all_measure_is_nobody_s():
    """Beside somebody's, it spoils neither that one nor the picture."""
    away = [([-9e4, 50], 100.0), ([50, 50], 0.0), ([50, 50], np.inf), ([np.nan] * 2, 9)]
    squares = [Crop(np.array(middle, float), np.float64(side)) for middle, side in away]
    picture = drawn(BODIES[0])
    (one,) = people.search(picture, seeing(), squares)
    np.testing.assert_allclose(one.square.center, BODIES[0][0], atol=4)
    (one,) = people.again(picture, [*squares, one.square], seeing())
    assert people.again(picture, squares, seeing()) == []


def test_the_pose_network_says_whether_somebody_is_there():
    assert people.find(drawn(BODIES[0]), seeing(0.61))
    assert people.find(drawn(BODIES[0]), seeing(0.59)) == []
    assert people.find(drawn(), seeing()) == []


def test_small_pictures_have_no_tiles():
    assert len(list(people._tiles(80, 60))) == 1
    tiles = list(people._tiles(1200, 800))
    for side, count in [(1200, 1), (400, 4 * 3)]:
        assert sum(tile.side == side for tile in tiles) == count
    corners = np.array(
        [[t.center - t.side / 2, t.center + t.side / 2] for t in tiles[1:]]
    )
    assert corners[..., 0].min() == 0 and corners[..., 0].max() == 1200
    assert corners[..., 1].min() == 0 and corners[..., 1].max() == 800


def somebody(x, sure, side=100.0, scale=1.0):
    torso = np.array([[x - 10.0, 0], [x + 10, 0], [x - 8, 50], [x + 8, 50]])
    torso[:] = [x, 0] + scale * (torso - [x, 0])
    face = np.array([[x, -20.0], [x - 8, -22], [x + 8, -22]])
    square = people.around(np.array([x, 50.0]), np.array([x, 0.0]))
    return people.Person(square, torso, face, 0.9, sure, side, square, None)


def test_torsos_that_are_one_person():
    """Nearer than half their length; whoever shows more joints stays."""
    whole, part, other = somebody(0, 15), somebody(20, 9), somebody(40, 12)
    assert people._merged([part, whole, other]) == [whole, other]


def test_a_face_is_one_person_s():
    """Of a portrait the torso may be guessed as half as large; it is nobody's else."""
    near, again = somebody(0, 12), somebody(4, 6, scale=-0.5)
    assert people._merged([again, near]) == [near]
    beside = again._replace(face=again.face + [14, 0])
    assert people._merged([beside, near]) == [near, beside]


def test_seen_and_guessed_joints():
    fit = np.tile(np.float32([1, 0, 0, 2.2, 0, 2.4, 0]), (4, 1))
    fit[1, 5], peak = 6.0, np.array([0.9, 0.9, 0.1, 0.3])
    assert uncertainty.is_sure(fit, peak).tolist() == [True, False, False, True]
