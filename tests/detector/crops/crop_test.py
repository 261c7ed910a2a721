"""Which square the detector sees, and its grids."""

import jax
import numpy as np
import pytest

from jaxflow.detector.crops import crop
from jaxflow.detector.crops.crop import Crop


class TestSquares:
    def test_around_a_box(self):
        square = crop.from_box([[100, 50, 40, 80], [0, 0, 10, 4]])
        np.testing.assert_allclose(square.center, [[120, 90], [5, 2]])
        np.testing.assert_allclose(square.side, [100, 12.5])

    def test_a_whole_picture_of_the_crop_s_size_is_its_own_crop(self):
        square = crop.of_picture(256, 256)
        points = np.array([[0, 0], [255, 17.5]])
        np.testing.assert_array_equal(crop.image_to_crop(points, square), points)
        assert crop.of_picture(640, 480).side == 640

    @pytest.mark.parametrize(
        "box", [[1, 2, 0, 4], [1, 2, 3, -4], [np.nan, 0, 1, 1], [0, 0, np.inf, 1]]
    )
    def test_boxes_of_no_size_are_refused(self, box):
        with pytest.raises(ValueError, match="finite boxes"):
            crop.from_box(box)

    def test_other_shapes_are_refused(self):
        with pytest.raises(ValueError, match=r"\(\.\.\., 4\)"):
            crop.from_box([1, 2, 3])


class TestGrids:
    SQUARE = Crop(np.array([14000.3, 28999.1]), np.array(321.7))

    def test_the_centre_is_pixel_128_and_heatmap_pixel_32(self):
        center = self.SQUARE.center[None]
        np.testing.assert_allclose(
            crop.image_to_crop(center, self.SQUARE), [[128, 128]]
        )
        middle = crop.heatmap_to_image(np.full((1, 2), 32), self.SQUARE)
        np.testing.assert_allclose(middle, center)
        edge = self.SQUARE.center + [self.SQUARE.side / 2, 0]
        found = crop.image_to_crop(edge[None], self.SQUARE)
        np.testing.assert_allclose(found, [[256, 128]])

    def test_there_and_back_in_pictures_of_30_000_pixels(self):
        points = np.random.default_rng(0).uniform(0, 30000, (100, 2))
        for there, back in (
            (crop.image_to_crop, crop.crop_to_image),
            (
                lambda *one: crop.image_to_crop(*one) / crop.CROP_PER_HEATMAP,
                crop.heatmap_to_image,
            ),
        ):
            returned = back(there(points, self.SQUARE), self.SQUARE)
            np.testing.assert_allclose(returned, points, rtol=0, atol=1e-6)
            # A network's coordinates are float32: still within 1e-3 px.
            rounded = there(points[:20] % 300 + self.SQUARE.center, self.SQUARE)
            returned = back(rounded.astype(np.float32), self.SQUARE)
            exact = points[:20] % 300 + self.SQUARE.center
            np.testing.assert_allclose(returned, exact, rtol=0, atol=1e-3)

    def test_batches_and_jax_arrays(self):
        boxes = np.array([[10, 20, 30, 40], [5, 5, 90, 60]], np.float32)
        square = crop.from_box(boxes)
        points = np.random.default_rng(0).normal(size=(2, 16, 2)).astype("f4")
        found = crop.heatmap_to_image(points, square)
        for i in range(2):
            alone = crop.heatmap_to_image(points[i], crop.from_box(boxes[i]))
            np.testing.assert_allclose(found[i], alone)
        single = Crop(*(np.asarray(field, np.float32) for field in square))
        traced = jax.jit(crop.heatmap_to_image)(points, single)
        np.testing.assert_allclose(traced, found, rtol=1e-5)
