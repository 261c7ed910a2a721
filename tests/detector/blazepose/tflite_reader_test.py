"""A .tflite file as plain values: files made here."""

import sys

import numpy as np
import pytest

pytest.importorskip("tflite", reason="BlazePose needs the extra 'pictures'")

from jaxflow.detector.blazepose import detector, tflite_reader
from tests.helpers import tflite_models


def test_weights_of_half_precision_and_sparse_ones():
    """DENSIFY and DEQUANTIZE are done while reading."""
    dense = np.array([[0, 2, 0, 1], [0, 0, 0, 0], [4, 0, 0, 8]], np.float16)
    model = tflite_models.Model()
    sparsity, values = model.sparse_rows(dense)
    stored = model.tensor(dense.shape, "float16", values.tobytes(), sparsity)
    full = model.step("DENSIFY", [stored], dense.shape, "DensifyOptions")
    weights = model.step("DEQUANTIZE", [full], dense.shape, "DequantizeOptions")
    given = model.tensor(dense.shape)
    out = model.step("ADD", [given, weights], dense.shape, "AddOptions", name="sum")
    graph = tflite_reader.read(model.finish(given, [out]))
    assert [step.kind for step in graph.steps] == ["ADD"]
    assert graph.outputs == {"sum": out} and graph.input == given
    np.testing.assert_array_equal(graph.constants[weights], dense)
    assert graph.constants[weights].dtype == np.float32
    assert graph.steps[0].options == {"activation": ""}


def test_options_in_words():
    graph = tflite_reader.read(tflite_models.every_operation())
    by_kind = {step.kind: step for step in graph.steps}
    assert by_kind["CONV_2D"].options == {
        "Padding": "SAME", "StrideH": 2, "StrideW": 2, "activation": "relu6",
    }  # fmt: skip
    assert by_kind["DEPTHWISE_CONV_2D"].options["Padding"] == "VALID"


def test_without_the_package(monkeypatch, tmp_path):
    """Said before anything is fetched."""
    monkeypatch.setitem(sys.modules, "tflite", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ImportError, match=r"needs tflite, .*'\.\[pictures\]'"):
        detector.load()
    assert not list(tmp_path.iterdir())
