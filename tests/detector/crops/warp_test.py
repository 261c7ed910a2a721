"""The pixels of crops, against a warp that goes pixel by pixel."""

import numpy as np
import pytest

from jaxflow.detector.crops import crop, warp
from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.readers import pictures
from tests.oracles import pictures as oracle


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def smooth(height, width, wave=90.0):
    """Waves that are long next to a crop's pixels, as exact functions of x and y."""

    def at(x, y):
        shift = np.arange(3)
        return 128 + 100 * np.sin(x[..., None] / wave + shift) * np.cos(
            y[..., None] / wave
        )

    y, x = np.mgrid[:height, :width]
    return np.rint(at(x, y)).astype(np.uint8), at


@pytest.mark.parametrize(
    ("center", "side"),
    [
        ((60.0, 50.0), 90.0),  # enlarged
        ((100.3, 80.9), 256.0),
        ((150.2, 99.7), 401.3),  # reduced, and over every edge
        ((-40.0, 20.0), 150.0),  # half outside
    ],
)
def test_against_the_slow_warp(center, side):
    picture = noise(190, 240)
    found = warp.crops(pictures.from_array(picture), Crop(np.array(center), side))
    expected = oracle.warp(picture, center, side)
    assert found.shape == (1, 256, 256, 3) and found.dtype == np.uint8
    np.testing.assert_allclose(found[0].astype(float), expected, atol=0.51)


def test_the_crop_shows_what_its_coordinates_say():
    """Whatever the scale, reduced by blocks or not."""
    picture, at = smooth(1900, 2100)
    squares = Crop(
        np.array([[1000.0, 900.0]] * 5), np.array([200.0, 511.0, 513.0, 1200.0, 1700.0])
    )
    found = warp.crops(pictures.from_array(picture), squares)
    y, x = np.mgrid[:256:15, :256:15]
    places = np.stack([x, y], -1).reshape(1, -1, 2)
    image = crop.crop_to_image(places, squares)
    expected = at(image[..., 0], image[..., 1])
    seen = np.asarray(found)[:, ::15, ::15].reshape(5, -1, 3)
    np.testing.assert_allclose(seen.astype(float), expected, atol=1.6)


def test_detail_too_fine_for_the_crop_becomes_its_mean():
    """Single samples of a chequerboard would be black or white."""
    y, x = np.mgrid[:3000, :3000]
    board = np.repeat((((x + y) % 2) * 255).astype(np.uint8)[..., None], 3, -1)
    found = warp.crops(pictures.from_array(board), Crop(np.array([1500, 1500]), 2500))
    assert np.abs(np.asarray(found, float) - 127.5).max() < 20


def test_a_reduced_picture_gives_the_same_crop():
    picture, _ = smooth(1200, 1600)
    whole = pictures.from_array(picture)
    half = pictures.Picture(
        picture.reshape(600, 2, 800, 2, 3).mean((1, 3)).round().astype(np.uint8),
        1600,
        1200,
        2,
        (0.5, 0.5),
    )
    squares = Crop(
        np.array([[700.0, 600.0], [300.0, 900.0]]), np.array([1000.0, 300.0])
    )
    one, other = warp.crops(whole, squares), warp.crops(half, squares)
    np.testing.assert_allclose(np.asarray(one, float), np.asarray(other, float), atol=2)


def test_pictures_of_their_own():
    several = [pictures.from_array(noise(100, 80, seed)) for seed in range(3)]
    squares = crop.from_box([[10, 10, 40 + i, 50] for i in range(3)])
    found = warp.crops(several, squares)
    for i, picture in enumerate(several):
        alone = warp.crops(picture, Crop(squares.center[i], squares.side[i]))
        np.testing.assert_array_equal(found[i], alone[0])


def test_squares_that_show_nothing_are_refused():
    picture = pictures.from_array(noise(100, 80))
    with pytest.raises(ValueError, match="outside the picture of 80 x 100 px"):
        warp.crops(picture, crop.from_box([2000, 10, 40, 50]))
    with pytest.raises(ValueError, match="finite centre and side"):
        warp.crops(picture, Crop(np.array([np.nan, 0]), np.array(5.0)))
    with pytest.raises(ValueError, match="a picture for each square"):
        warp.crops([picture], crop.from_box([[0, 0, 9, 9]] * 2))


@pytest.mark.parametrize("side", [1e7, 1e12])
def test_a_square_far_larger_than_the_picture(side):
    """Black, with the picture somewhere in it: no memory for what is not there."""
    picture = pictures.from_array(np.full((100, 80, 3), 255, np.uint8))
    found = np.asarray(warp.crops(picture, Crop(np.array([40, 50]), np.array(side))))
    assert found.max() <= 1


def test_a_square_beyond_all_measure_is_refused():
    picture = pictures.from_array(np.zeros((100, 80, 3), np.uint8))
    with pytest.raises(ValueError, match="side, below 1e.15 px"):
        warp.crops(picture, Crop(np.array([40, 50]), np.array(1e160)))


def test_normalised_as_the_published_weights_expect():
    images = noise(4, 5)
    found = warp.normalize(images)
    expected = (images / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
