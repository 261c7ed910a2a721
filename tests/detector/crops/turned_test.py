"""Turned crops: against the upright ones, and a point that is followed."""

import numpy as np
import pytest

from jaxflow.detector.crops import crop, turned, warp
from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.readers import pictures

pytestmark = pytest.mark.usefixtures("optimised")


def sampled(picture, square, size=256):
    patch = turned.cut(picture, square)
    batch = warp.Patch(*(np.asarray(field)[None] for field in patch))
    return np.asarray(turned.sample(batch, np.array([square.turn]), size))[0]


@pytest.fixture(scope="module")
def smooth():
    """A picture of a few waves, which blocks hardly change."""
    y, x = np.mgrid[:300, :400]
    waves = [np.sin(x / 40), np.cos(y / 30), np.sin((x + y) / 50)]
    return pictures.from_array((120 + 100 * np.stack(waves, -1)).astype(np.uint8))


def test_upright_as_the_warp_gives_it(smooth):
    square = Crop(np.array([190.0, 150.0]), np.float64(220))
    np.testing.assert_allclose(
        sampled(smooth, square), warp.crops(smooth, square)[0], atol=1.01
    )


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_a_quarter_turn_turns_the_pixels(smooth, quarter):
    """About the crop's middle, pixel 128, where pixels stand at whole numbers."""
    square = Crop(np.array([200.0, 150.0]), np.float64(160))
    got = sampled(smooth, square._replace(turn=quarter * np.pi / 2))[1:, 1:]
    expected = np.rot90(sampled(smooth, square)[1:, 1:], quarter)
    np.testing.assert_allclose(got, expected, atol=0.6)


def test_a_point_is_where_the_crop_says(smooth):
    square = Crop(np.array([210.0, 140.0]), np.float64(180), 0.6)
    points = np.array([[60.0, 90], [128, 128], [200, 170]])
    places = crop.crop_to_image(points, square)
    np.testing.assert_allclose(crop.image_to_crop(places, square), points)
    pixels = sampled(smooth, square)
    for (x, y), (u, v) in zip(places, points.astype(int), strict=True):
        near = smooth.pixels[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2]
        assert np.abs(pixels[v, u] - near.mean((0, 1))).max() < 4


def test_up_in_the_crop_is_where_the_turn_says():
    """A turn of t: up is (sin t, -cos t), as the module says."""
    square = Crop(np.array([0.0, 0.0]), np.float64(256), 0.3)
    up = crop.crop_to_image(np.array([[128.0, 127.0]]), square)
    np.testing.assert_allclose(up, [[np.sin(0.3), -np.cos(0.3)]])


def test_other_sizes_have_the_same_edges(smooth):
    """Pixels of 128 a side are the means of the four that they cover."""
    square = Crop(np.array([200.0, 150.0]), np.float64(150), 0.2)
    whole = sampled(smooth, square)
    means = whole.reshape(128, 2, 128, 2, 3).mean((1, 3))
    np.testing.assert_allclose(sampled(smooth, square, 128), means, atol=1.5)
