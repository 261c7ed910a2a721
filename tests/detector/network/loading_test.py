"""Detectors from disk: batches, the flip test, what is refused."""

import jax
import numpy as np
import pytest

from jaxflow import detector
from jaxflow.detector.crops import warp
from jaxflow.detector.network import checkpoint, hrnet, loading
from jaxflow.detector.network.loading import Detector
from jaxflow.runs.errors import UserError
from jaxflow.skeleton import MPII_JOINTS, MPII_MIRRORED

MIRRORED = np.array(MPII_MIRRORED)


def averages(crops):
    """A network whose map j is the crop's colour j % 3, each 4 x 4 pixels' first.

    Heatmap pixel (x, y) looks at crop pixel (4 x, 4 y), as the grids are related.
    """
    small = crops[:, ::4, ::4].astype(np.float32) / 255
    return np.moveaxis(small, -1, 1)[:, np.arange(16) % 3]


def noise(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 256, 256, 3), np.uint8)


class TestFlipTest:
    def test_joints_are_exchanged(self):
        names = [MPII_JOINTS[i] for i in MIRRORED]
        swapped = {"R": "L", "L": "R"}
        sides = [name for name in MPII_JOINTS if name[1:2].isupper()]
        assert len(sides) == 12
        for name, other in zip(MPII_JOINTS, names, strict=True):
            expected = swapped[name[0]] + name[1:] if name in sides else name
            assert other == expected

    def test_a_symmetric_crop_has_symmetric_heatmaps(self):
        half = noise(2)[:, :, :128]
        crops = np.concatenate([half, warp.flip(half)], axis=2)
        np.testing.assert_array_equal(crops, warp.flip(crops))
        maps = Detector(averages, "averages").detect(crops)
        mirrored = maps[:, MIRRORED, :, :0:-1]  # column 64 - i for i = 1 ... 63
        np.testing.assert_array_equal(maps[..., 1:], mirrored)
        assert np.ptp(maps) > 0.5
        # The network alone does not have this symmetry.
        alone = Detector(averages, "averages", flip_test=False).detect(crops)
        assert np.abs(alone[..., 1:] - alone[:, MIRRORED, :, :0:-1]).max() > 0.1

    def test_heatmaps_come_back_to_their_places(self):
        """The mirror image's answer lies within one crop pixel of the crop's."""
        y, x = np.mgrid[:256, :256]
        bump = np.exp(-((x - 90.0) ** 2 + (y - 160.0) ** 2) / (2 * 12.0**2))
        crops = np.repeat((255 * bump).astype(np.uint8)[None, ..., None], 3, -1)
        back = loading.mirror_back(averages(warp.flip(crops)))[0, 6]
        columns = (back.sum(0) * np.arange(64)).sum() / back.sum()
        assert abs(4 * columns - 90) < 1.1
        np.testing.assert_allclose(
            back[40, 5:60], averages(crops)[0, 6, 40, 5:60], atol=0.08
        )


class TestBatches:
    def test_any_number_of_crops_in_few_sizes(self):
        sizes = []

        def network(crops):
            sizes.append(len(crops))
            return averages(crops)

        crops = noise(11)
        found = Detector(network, "averages", flip_test=False, batch=4).detect(crops)
        np.testing.assert_array_equal(found, averages(crops))
        assert sizes == [4, 4, 4]
        Detector(network, "averages", flip_test=False, batch=8).detect(crops[:9])
        assert sizes[3:] == [8, 1]
        assert Detector(network, "averages").detect(crops[:0]).shape == (0, 16, 64, 64)

    def test_heatmaps_are_clamped_after_the_mean(self):
        answers = iter([np.full((1, 16, 64, 64), 1.8), np.full((1, 16, 64, 64), -0.6)])
        found = Detector(lambda crops: next(answers), "two").detect(noise(1))
        np.testing.assert_allclose(found, 0.6, rtol=1e-6)
        low = Detector(lambda crops: np.full((1, 16, 64, 64), -3.0), "low")
        assert low.detect(noise(1)).max() == 0

    def test_what_is_refused(self):
        found = Detector(averages, "averages")
        with pytest.raises(TypeError, match="crops of uint8"):
            found.detect(np.zeros((1, 256, 256, 3), np.float32))
        with pytest.raises(ValueError, match=r"\(B, 256, 256, 3\)"):
            found.detect(np.zeros((1, 3, 256, 256), np.uint8))
        broken = Detector(lambda crops: np.full((1, 16, 64, 64), np.nan), "broken")
        with pytest.raises(FloatingPointError, match="broken gave heatmaps"):
            broken.detect(noise(1))


class TestLoad:
    def test_hrnet_from_its_checkpoint(self, tmp_path):
        config = hrnet.HRNetConfig(
            width=4, stem=4, bottlenecks=1, blocks=1, stage3_modules=0, stage4_modules=0
        )
        variables = hrnet.init(jax.random.key(0), config)
        # Fresh heatmaps are all but zero; these are not.
        variables["params"]["final"] = jax.tree.map(
            lambda leaf: leaf + 0.2, variables["params"]["final"]
        )
        checkpoint.save(tmp_path / "net", variables, config)
        with pytest.raises(ValueError, match="16 joints cannot be the 17 of coco_17"):
            detector.load(tmp_path / "net", skeleton="coco_17")
        found = detector.load(tmp_path / "net", flip_test=False, batch=2)
        named = detector.load(tmp_path / "net", skeleton="mpii_original_16")
        thorax = MPII_JOINTS.index("Thorax")
        np.testing.assert_array_equal(
            named.network(noise(1))[:, thorax], found.network(noise(1))[:, thorax - 1]
        )
        crops = noise(2)
        network = jax.jit(lambda images: hrnet.heatmaps(variables, images, config))
        expected = network(warp.normalize(crops))
        np.testing.assert_allclose(
            found.detect(crops), np.clip(expected, 0, 1), atol=1e-5
        )
        assert found.batch == 2 and "HRNet" in found.name

    @pytest.mark.parametrize(
        ("kind", "option"),
        [
            ("net", {"maps": "logits"}),
            ("net", {"pixels": "0..1"}),
            ("blazepose", {"skeleton": "coco_17"}),
            ("blazepose-lite", {"maps": "logits"}),
            ("blazepose", {"pixels": "0..1"}),
            ("blazepose", {"batch": 2}),
            ("blazepose", {"flip_test": False}),
        ],
    )
    def test_options_of_no_use_are_refused(self, tmp_path, kind, option):
        (tmp_path / "net").mkdir()
        path = tmp_path / "net" if kind == "net" else kind
        ((name, value),) = option.items()
        with pytest.raises(UserError, match=f"{path}: expected no {name}.*got {value}"):
            detector.load(path, **option)

    def test_another_number_of_joints(self, tmp_path):
        config = hrnet.HRNetConfig(
            width=4,
            stem=4,
            bottlenecks=1,
            blocks=1,
            joints=17,
            stage3_modules=0,
            stage4_modules=0,
        )
        checkpoint.save(tmp_path, hrnet.init(jax.random.key(0), config), config)
        with pytest.raises(ValueError, match="a detector of 16 joints; it has 17"):
            detector.load(tmp_path)

    def test_paths_that_lead_to_none(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no detector at"):
            detector.load(tmp_path / "none")
        (tmp_path / "net.pt").touch()
        with pytest.raises(ValueError, match=r"folder or an \.onnx file; got"):
            detector.load(tmp_path / "net.pt")
        with pytest.raises(ValueError, match="no checkpoint|no complete checkpoint"):
            detector.load(tmp_path)
        with pytest.raises(ValueError, match="batch of at least 1"):
            detector.load(tmp_path, batch=0)
