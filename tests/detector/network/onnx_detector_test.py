"""Any ONNX network with heatmaps as a detector."""

import numpy as np
import pytest

from jaxflow import detector
from jaxflow.detector.network import decode, onnx_detector
from jaxflow.gaussians.skeletons import COCO_17, H36M_17
from jaxflow.runs.errors import UserError
from jaxflow.skeleton import MPII_JOINTS, MPII_TO_H36M

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def write_model(
    path, size=(256, 256), joints=16, batch="B", last=False, dtype="FLOAT", rank=4
):
    """A model whose map j is the mean brightness of each 4 x 4 pixels, plus j / 100.

    last: channels last, both ways. rank: of the output, 3 to spoil it.
    """
    helper, kinds = onnx.helper, onnx.TensorProto
    shape = [batch, *size, 3] if last else [batch, 3, *size]
    nodes, now = [], "pictures"

    def step(kind, *inputs, **attributes):
        nonlocal now
        nodes.append(
            helper.make_node(kind, [now, *inputs], [f"t{len(nodes)}"], **attributes)
        )
        now = f"t{len(nodes) - 1}"

    if last:
        step("Transpose", perm=[0, 3, 1, 2])
    if dtype != "FLOAT":
        step("Cast", to=kinds.FLOAT)
    step("Conv", "kernel", "bias", strides=[4, 4])
    if last:
        step("Transpose", perm=[0, 2, 3, 1])
    if rank == 3:
        step("ReduceSum", "axis", keepdims=0)
    nodes[-1].output[0] = "maps"
    weights = [
        helper.make_tensor(
            "kernel", kinds.FLOAT, [joints, 3, 4, 4], np.full(joints * 48, 1 / 48)
        ),
        helper.make_tensor("bias", kinds.FLOAT, [joints], np.arange(joints) / 100),
        helper.make_tensor("axis", kinds.INT64, [1], [3]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pictures", getattr(kinds, dtype), shape)],
        [helper.make_tensor_value_info("maps", kinds.FLOAT, [None] * rank)],
        weights,
    )
    opset = helper.make_opsetid("", 13)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def spots(*places):
    """Crops, black but for a bright bump at each (x, y) px, far wider than a pixel."""
    y, x = np.mgrid[:256, :256]
    bumps = [np.exp(-((x - a) ** 2 + (y - b) ** 2) / 450) for a, b in places]
    grey = np.rint(255 * np.stack(bumps)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


class TestNetworks:
    def test_maps_of_the_usual_layout(self, tmp_path):
        network = onnx_detector.load(write_model(tmp_path / "a.onnx", dtype="UINT8"))
        crops = np.random.default_rng(0).integers(0, 256, (3, 256, 256, 3), "u1")
        means = crops.reshape(3, 64, 4, 64, 4, 3).astype(float).mean((2, 4, 5))
        expected = means[:, None] + np.arange(16)[:, None, None] / 100
        np.testing.assert_allclose(network(crops), expected, rtol=1e-5)

    def test_floating_input_is_normalised(self, tmp_path):
        network = onnx_detector.load(write_model(tmp_path / "a.onnx"))
        white = np.full((1, 256, 256, 3), 255, np.uint8)
        deviation, mean = np.array([0.229, 0.224, 0.225]), [0.485, 0.456, 0.406]
        expected = ((1 - np.array(mean)) / deviation).mean()
        np.testing.assert_allclose(network(white)[0, 0], expected, rtol=1e-5)

    def test_channels_last_is_the_same(self, tmp_path):
        crops = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), "u1")
        first = onnx_detector.load(write_model(tmp_path / "a.onnx"))
        last = onnx_detector.load(write_model(tmp_path / "b.onnx", last=True))
        np.testing.assert_allclose(first(crops), last(crops), atol=1e-5)

    def test_a_fixed_batch_is_filled_up(self, tmp_path):
        crops = np.random.default_rng(0).integers(0, 256, (3, 256, 256, 3), "u1")
        free = onnx_detector.load(write_model(tmp_path / "a.onnx"))
        two = onnx_detector.load(write_model(tmp_path / "b.onnx", batch=2))
        np.testing.assert_allclose(free(crops), two(crops), atol=1e-5)

    @pytest.mark.parametrize("size", [(256, 192), (384, 288), (384, 384), (128, 128)])
    def test_other_sizes_keep_the_places(self, tmp_path, size):
        path = write_model(tmp_path / "a.onnx", size=size, dtype="UINT8")
        network = onnx_detector.load(path)
        places = np.array([[128, 128], [90, 60], [160, 200]])
        maps = network(spots(*places))
        assert maps.shape == (3, 16, 64, 64)
        found = decode.dark(maps[:, 0]).place
        # This model's map i is the mean of pixels 4 i to 4 i + 3 of its own input.
        middle = 1.5 * 256 / size[0]
        np.testing.assert_allclose(4 * np.asarray(found), places - middle, atol=0.6)

    def test_through_the_door(self, tmp_path):
        path = write_model(tmp_path / "a.onnx", dtype="UINT8")
        crops = spots((100, 60), (30, 200), (128, 128))
        with pytest.raises(UserError, match="a.onnx gave heatmaps with values from 0"):
            detector.load(path, flip_test=False, batch=2).detect(crops)
        found = detector.load(path, flip_test=False, batch=2, maps="0..255")
        maps = found.detect(crops)
        assert maps.shape == (3, 16, 64, 64) and maps.dtype == np.float32
        assert maps.min() >= 0 and maps.max() <= 1

    def test_the_pixels_scale_is_the_one_asked_for(self, tmp_path):
        path = write_model(tmp_path / "a.onnx")
        crops = np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3), "u1")
        share = crops.reshape(1, 64, 4, 64, 4, 3).astype(float).mean((2, 4, 5)) / 255
        for pixels, expected in (("0..1", share), ("-1..1", 2 * share - 1)):
            found = onnx_detector.load(path, pixels=pixels)(crops)
            np.testing.assert_allclose(found[:, 0], expected, atol=1e-5)
        with pytest.raises(UserError, match="takes pictures of uint8, not of 0..1"):
            whole = write_model(tmp_path / "b.onnx", dtype="UINT8")
            onnx_detector.load(whole, pixels="0..1")


class TestSkeletons:
    def test_human36m_is_reordered(self, tmp_path):
        path = write_model(tmp_path / "a.onnx", joints=17)
        network = onnx_detector.load(path, "h36m_17")
        maps = network(np.zeros((1, 256, 256, 3), np.uint8))
        steps = np.rint(100 * (maps[0, :, 0, 0] - maps[0, 6, 0, 0]))
        assert steps.tolist() == list(MPII_TO_H36M)
        assert [H36M_17.joints[i] for i in MPII_TO_H36M][6] == "Hip"

    def test_coco_s_missing_joints_are_drawn(self):
        y, x = np.mgrid[:64, :64]
        places = 20 + 24 * np.random.default_rng(0).random((17, 2))
        widths = np.full(17, 2.0)
        hips = [COCO_17.joints.index(f"{side}Hip") for side in ("Left", "Right")]
        widths[hips] = 3.0  # each an uncertainty of 5 px^2
        maps = np.exp(
            -((x - places[:, 0, None, None]) ** 2 + (y - places[:, 1, None, None]) ** 2)
            / (2 * widths[:, None, None] ** 2)
        )
        found = onnx_detector.to_mpii(np.float32(maps[None]), "coco_17")
        knee = MPII_JOINTS.index("RKnee")
        np.testing.assert_array_equal(
            found[0, knee], np.float32(maps[COCO_17.joints.index("RightKnee")])
        )
        pelvis = np.asarray(found[0, MPII_JOINTS.index("Hip")])
        middle = places[hips].mean(0)
        np.testing.assert_allclose(decode.dark(pelvis).place, middle, atol=0.1)
        variance = (pelvis * (x - middle[0]) ** 2).sum() / pelvis.sum()
        np.testing.assert_allclose(variance, 4 + (5 + 5) / 4, rtol=0.02)


class TestRefusals:
    def test_models_without_heatmaps(self, tmp_path):
        path = write_model(tmp_path / "flat.onnx", rank=3)
        with pytest.raises(ValueError, match=r"flat\.onnx: expected heatmaps .* got"):
            onnx_detector.load(path)

    def test_an_unknown_number_of_joints(self, tmp_path):
        path = write_model(tmp_path / "hands.onnx", joints=21)
        with pytest.raises(ValueError, match=r"hands\.onnx.*16 \(mpii_16\).*21"):
            onnx_detector.load(path)

    def test_another_number_than_the_skeleton_s(self, tmp_path):
        path = write_model(tmp_path / "a.onnx", joints=16)
        with pytest.raises(ValueError, match=r"17 \(h36m_17\); got maps \(1, 16"):
            onnx_detector.load(path, "h36m_17")
        with pytest.raises(ValueError, match="a skeleton among mpii_16"):
            onnx_detector.load(path, "horse")

    def test_inputs_that_are_no_picture(self, tmp_path):
        path = write_model(tmp_path / "a.onnx", dtype="DOUBLE")
        with pytest.raises(ValueError, match="expected one picture tensor"):
            onnx_detector.load(path)

    def test_files_that_are_no_model(self, tmp_path):
        path = tmp_path / "broken.onnx"
        path.write_bytes(b"not a model")
        with pytest.raises(ValueError, match=r"broken\.onnx: no usable ONNX model"):
            detector.load(path)
