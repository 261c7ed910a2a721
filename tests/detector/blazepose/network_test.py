"""The same numbers as LiteRT: of a network made here, and of BlazePose's own."""

import jax
import numpy as np
import pytest

pytest.importorskip("tflite", reason="BlazePose needs the extra 'pictures'")
pytest.importorskip("ai_edge_litert", reason="LiteRT is in the extra 'test'")

from ai_edge_litert import interpreter

from jaxflow.detector.blazepose import anchors, fetch, network, tflite_reader
from jaxflow.detector.crops import turned
from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.crops.warp import Patch
from tests.helpers import drawn_people, photographs, tflite_models

REFERENCE = interpreter.OpResolverType.BUILTIN_REF  # operators as they are defined


def litert(content, pictures, operators=interpreter.OpResolverType.AUTO):
    """Outputs by name, one example after the other."""
    runner = interpreter.Interpreter(
        model_content=content, num_threads=1, experimental_op_resolver_type=operators
    )
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
    graph = tflite_reader.read(content)
    names = list(graph.outputs)
    function, weights = network.build(graph, names)
    pictures = np.random.default_rng(1).normal(size=(3, 8, 8, 3)).astype(np.float32)
    expected = litert(content, pictures)
    for name, got in zip(names, jax.jit(function)(weights, pictures), strict=True):
        np.testing.assert_allclose(got, expected[name], rtol=1e-4, atol=1e-5)


def test_only_what_is_wanted_is_done():
    graph = tflite_reader.read(tflite_models.every_operation())
    first = next(name for name in graph.outputs if name != "answer")
    function, weights = network.build(graph, [first])
    program = jax.make_jaxpr(function)(weights, np.zeros((1, 8, 8, 3), np.float32))
    assert "logistic" not in str(program)


# How far LiteRT itself may be from the same graph in float64, in logits. With heavy it
# was up to 2.1e-3 off on a photograph where ours was 3e-4.
LITERT = {"pose_landmark_heavy.tflite": 4e-3}


@pytest.mark.slow
@pytest.mark.parametrize("name", fetch.CHECKSUMS)
def test_blazepose_as_litert_runs_it(name):
    """Both beside float64, of somebody who is drawn and of photographs."""
    if not fetch.is_whole(name):
        pytest.skip(f"{name} was not fetched: {fetch.cache()}")
    content = (fetch.cache() / name).read_bytes()
    graph = tflite_reader.read(content)
    finder = "detection" in name
    size = anchors.SIZE if finder else 256
    wanted = ["Identity_1"] if finder else ["Identity_3", "Identity_1"]
    function, weights = network.build(graph, wanted)
    pictures = np.stack([drawn(size), *photographed(size)])
    fast, reference = litert(content, pictures), litert(content, pictures, REFERENCE)
    with jax.enable_x64(True):
        weights64 = {k: np.asarray(v, np.float64) for k, v in weights.items()}
        exact = jax.jit(function)(weights64, pictures.astype(np.float64))
    assert exact[0].dtype == np.float64
    got = list(map(np.asarray, jax.jit(function)(weights, pictures)))
    exact = list(map(np.asarray, exact))
    for output, ours, true in zip(wanted, got, exact, strict=True):
        np.testing.assert_allclose(ours, true, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(ours[1:], true[1:], rtol=0, atol=1e-3)
        np.testing.assert_allclose(ours[1:], reference[output][1:], rtol=0, atol=1e-3)
        theirs = LITERT.get(name, 1e-3)
        np.testing.assert_allclose(fast[output], true, rtol=0, atol=theirs)


def drawn(size):
    """A person (size, size, 3) in [0, 1]."""
    points = 0.8 * size * drawn_people.STANDING + 0.1 * size
    return np.asarray(drawn_people.draw(points, size), np.float32) / 255


def photographed(size):
    """The photographs that are installed, whole, as squares (size, size, 3)."""
    for picture in photographs.installed():
        sides = np.array([picture.width, picture.height], float)
        patch = turned.cut(picture, Crop(sides / 2, sides.max()))
        batch = Patch(*(np.stack([field]) for field in patch))
        yield np.asarray(turned.sample(batch, np.zeros(1), size))[0] / 255
