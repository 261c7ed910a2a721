"""The same numbers as LiteRT: of a network made here, and of BlazePose's own."""

import jax
import numpy as np
import pytest

pytest.importorskip("tflite", reason="BlazePose needs the extra 'pictures'")
pytest.importorskip("ai_edge_litert", reason="LiteRT is in the extra 'test'")

from ai_edge_litert import interpreter

from jaxflow.detector.blazepose import anchors, fetch, network, tflite_reader
from jaxflow.runs.errors import UserError
from tests.helpers import drawn_people, tflite_models


def litert(content, pictures):
    """Outputs by name, one example after the other."""
    runner = interpreter.Interpreter(model_content=content, num_threads=1)
    runner.allocate_tensors()
    results = []
    for picture in pictures:
        runner.set_tensor(runner.get_input_details()[0]["index"], picture[None])
        runner.invoke()
        results.append(
            {
                d["name"]: runner.get_tensor(d["index"])
                for d in runner.get_output_details()
            }
        )
    return {name: np.concatenate([r[name] for r in results]) for name in results[0]}


def test_every_operation_as_litert_does_it():
    content = tflite_models.every_operation()
    graph = tflite_reader.read(content, "made")
    names = list(graph.outputs)
    function, weights = network.build(graph, names, "made")
    pictures = np.random.default_rng(1).normal(size=(3, 8, 8, 3)).astype(np.float32)
    expected = litert(content, pictures)
    for name, got in zip(names, jax.jit(function)(weights, pictures), strict=True):
        np.testing.assert_allclose(got, expected[name], rtol=1e-4, atol=1e-5)


def test_only_what_is_wanted_is_done():
    graph = tflite_reader.read(tflite_models.every_operation(), "made")
    first = next(name for name in graph.outputs if name != "answer")
    function, weights = network.build(graph, [first], "made")
    program = jax.make_jaxpr(function)(weights, np.zeros((1, 8, 8, 3), np.float32))
    assert "logistic" not in str(program)
    with pytest.raises(UserError, match=r"made: expected the outputs landmarks; "):
        network.build(graph, ["landmarks"], "made")


def test_an_operation_that_is_not_known():
    model = tflite_models.Model()
    given = model.tensor((1, 2))
    out = model.step("FLOOR", [given], (1, 2), name="low")
    graph = tflite_reader.read(model.finish(given, [out]), "made")
    with pytest.raises(UserError, match=r"operations that are not known: FLOOR"):
        network.build(graph, ["low"], "made")


@pytest.mark.slow
@pytest.mark.parametrize("name", fetch.CHECKSUMS)
def test_blazepose_as_litert_runs_it(name):
    """To 1e-3 of a logit, or 1e-4 of its size, on a person who is drawn."""
    if not fetch.is_whole(name):
        pytest.skip(f"{name} was not fetched: {fetch.cache()}")
    content = (fetch.cache() / name).read_bytes()
    graph = tflite_reader.read(content, name)
    size = graph.shape[1]
    points = 0.8 * size * drawn_people.STANDING + 0.1 * size
    picture = np.asarray(drawn_people.draw(points, size), np.float32)[None] / 255
    wanted = ["Identity_3", "Identity_1"] if size != anchors.SIZE else ["Identity_1"]
    function, weights = network.build(graph, wanted, name)
    expected = litert(content, picture)
    for output, got in zip(wanted, jax.jit(function)(weights, picture), strict=True):
        np.testing.assert_allclose(got, expected[output], rtol=1e-4, atol=1e-3)
