"""The sampler as an ONNX graph, written out node by node.

    fits (b, 16, 7), pose2d (b, 16, 2), z (b, m, 16) -> hypotheses (b, m, 17, 3)

The same equations as in ``condition``, ``geometry``, ``stack`` and ``coupling``, in
operators that every runtime has: products of a matrix with rows, sums, Relu, Atan, Exp,
Gather. A converter would bring a heavy dependency for some 400 nodes. ``exported``
compares what comes out with the library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxflow._version import __version__
from jaxflow.config import SoftClamp
from jaxflow.flow import affine, mirror, stack
from jaxflow.flow import model as flow
from jaxflow.gaussians.condition import (
    MAP_EDGE,
    MAX_AMPLITUDE,
    PER_JOINT,
    SIGMA_RANGE,
    SIGMA_UNIT,
    UNCERTAIN_SIGMA,
)
from jaxflow.runs.errors import UserError, missing
from jaxflow.skeleton import CONDITIONED_MPII, LEFT_HIP_16, RIGHT_HIP_16
from jaxflow.types import Params

_OPSET, _IR_VERSION = 17, 8
_INPUTS = {"fits": ("b", 16, 7), "pose2d": ("b", 16, 2), "z": ("b", "m", 16)}
_OUTPUTS = {"hypotheses": ("b", "m", 17, 3)}
_ABOUT = (
    "Draws 3D human poses from a 2D detection. fits: Gaussians fitted to 64 x 64 "
    "heatmaps, heatmap px, MPII joints, A x0 y0 sx theta sy rmse. pose2d: 2D joints in "
    "any unit, y down. z: normal noise, m hypotheses. hypotheses: metres, Human3.6M "
    "joints, hip at 0, camera frame (x right, y down, z away)."
)


def to_onnx(params: Params, clamp: SoftClamp) -> bytes:
    """The sampler as the bytes of an ONNX file.

    Args:
      params: a flow's, of any number and size of blocks.
      clamp: the soft clamp it was trained with.

    Raises:
      ImportError: onnx is not installed.
    """
    params, graph = stack.stacked(params), _Graph()
    cond, latents = _condition(graph), "z"
    if "affine" in params:
        latents = _shifted(graph, params["affine"], cond)
    encoded = _net(graph, params["encoder"], cond)
    blocks, size = params["blocks"], flow.size(params)
    pose = _inverse(graph, blocks, latents, encoded, clamp, size)
    if "affine" in params:
        pose = _affine(graph, params["affine"], pose, cond, stack.count(blocks))
    graph.node("Identity", _denormalize(graph, pose), output="hypotheses")
    return graph.serialize()


class _Graph:
    """Nodes and constants as they are added; a value is its name."""

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError as error:
            raise missing("writing ONNX", "onnx", "onnx-export") from error
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._known: dict[Any, str] = {}

    def node(
        self, kind: str, *inputs: Any, output: str | None = None, **attributes: Any
    ) -> str:
        """Adds an operator; inputs that are no names become constants."""
        names = [x if isinstance(x, str) else self.constant(x) for x in inputs]
        output = output or f"v{len(self._nodes)}"
        node = self._onnx.helper.make_node(kind, names, [output], **attributes)
        self._nodes.append(node)
        return output

    def constant(self, value: Any) -> str:
        """Floats as float32, whole numbers as int64; the same ones once."""
        array = np.asarray(value)
        whole = np.issubdtype(array.dtype, np.integer)
        array = array.astype(np.int64 if whole else np.float32)
        name = f"c{len(self._constants)}"
        known = self._known.setdefault((whole, array.shape, array.tobytes()), name)
        if known == name:
            self._constants.append(self._onnx.numpy_helper.from_array(array, name))
        return known

    def last(self, x: str, start: int, stop: int) -> str:
        """Entries start to stop of the last axis."""
        return self.node("Slice", x, [start], [stop], [-1])

    def dense(self, x: str, layer: Params) -> str:
        """A linear layer."""
        product = self.node("MatMul", x, layer["kernel"])
        return self.node("Add", product, layer["bias"]) if "bias" in layer else product

    def serialize(self) -> bytes:
        """The whole model, checked for form."""
        helper, number = self._onnx.helper, self._onnx.TensorProto.FLOAT

        def values(shapes: dict[str, tuple[Any, ...]]) -> list[Any]:
            return [
                helper.make_tensor_value_info(name, number, shape)
                for name, shape in shapes.items()
            ]

        graph = helper.make_graph(
            self._nodes, "sampler", values(_INPUTS), values(_OUTPUTS), self._constants
        )
        model = helper.make_model(
            graph,
            producer_name="jaxflow",
            producer_version=__version__,
            doc_string=_ABOUT,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
        )
        self._onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())


def _normalized(graph: _Graph, pixels: str) -> str:
    """Joints (b, 16, 2) to centred, y up, unit deviation: (b, 2, 16)."""
    mean = graph.node("ReduceMean", pixels, axes=[1], keepdims=1)
    centred = graph.node("Sub", pixels, mean)
    upright = graph.node("Mul", centred, [1.0, -1.0])
    # Each axis has mean 0, so that all numbers together have it as well.
    square = graph.node("Mul", upright, upright)
    variance = graph.node("ReduceMean", square, axes=[1, 2], keepdims=1)
    scaled = graph.node("Div", upright, graph.node("Sqrt", variance))
    return graph.node("Transpose", scaled, perm=[0, 2, 1])


def _condition(graph: _Graph) -> str:
    """The fits (b, 16, 7) as the condition (b, 78)."""
    amplitude = graph.node("Clip", graph.last("fits", 0, 1), 0.0, MAX_AMPLITUDE)
    means = graph.node("Clip", graph.last("fits", 1, 3), 0.0, MAP_EDGE)
    means = graph.node("Transpose", _normalized(graph, means), perm=[0, 2, 1])
    vx, vy = (_variance(graph, graph.last("fits", i, i + 1)) for i in (3, 5))
    theta = graph.last("fits", 4, 5)
    cos, sin = graph.node("Cos", theta), graph.node("Sin", theta)
    cc, ss, cs = (
        graph.node("Mul", *pair) for pair in ((cos, cos), (sin, sin), (cos, sin))
    )
    c00 = graph.node("Add", graph.node("Mul", cc, vx), graph.node("Mul", ss, vy))
    c11 = graph.node("Add", graph.node("Mul", ss, vx), graph.node("Mul", cc, vy))
    c01 = graph.node("Mul", cs, graph.node("Sub", vx, vy))
    features = graph.node("Concat", amplitude, means, c00, c01, c11, axis=2)
    kept = graph.node("Gather", features, CONDITIONED_MPII, axis=1)
    return graph.node("Reshape", kept, [0, 6 * len(CONDITIONED_MPII)])


def _variance(graph: _Graph, sigma: str) -> str:
    """Sigma squared: positive, clipped, doubled where uncertain, in units of 20 px."""
    sigma = graph.node("Clip", graph.node("Abs", sigma), *SIGMA_RANGE)
    uncertain = graph.node("Greater", sigma, UNCERTAIN_SIGMA)
    doubled = graph.node("Where", uncertain, graph.node("Mul", sigma, 2.0), sigma)
    scaled = graph.node("Div", doubled, SIGMA_UNIT)
    return graph.node("Mul", scaled, scaled)


def _inverse(
    graph: _Graph,
    blocks: Params,
    latents: str,
    encoded: str,
    clamp: SoftClamp,
    size: int,
) -> str:
    """[z, pose2d] through the blocks from the last to the first: (b, m, 48)."""
    observed = graph.node("Reshape", _normalized(graph, "pose2d"), [0, 1, -1])
    rows = graph.node("Shape", "z", end=2)
    whole = graph.node("Concat", rows, [2 * size // 3], axis=0)
    observed = graph.node("Expand", observed, whole)
    v = graph.node("Concat", latents, observed, axis=2)
    count = stack.count(blocks)
    undo = np.argsort(flow.permutations(count, size), axis=-1)
    for k in reversed(range(count)):
        v = graph.node("Gather", v, undo[k], axis=2)
        v1, v2 = graph.last(v, 0, size // 2), graph.last(v, size // 2, size)
        u2 = _undo_affine(graph, _of(blocks["net1"], k), v2, v1, encoded, clamp)
        u1 = _undo_affine(graph, _of(blocks["net2"], k), v1, u2, encoded, clamp)
        v = graph.node("Concat", u1, u2, axis=2)
    return v


def _of(net: Params, k: int) -> Params:
    """One block's parameters."""
    return {
        layer: {name: np.asarray(array)[k] for name, array in arrays.items()}
        for layer, arrays in net.items()
    }


def _undo_affine(
    graph: _Graph, net: Params, v: str, features: str, encoded: str, clamp: SoftClamp
) -> str:
    """U = (v - t) exp(-s), with [s | t] the net's answer to [features, h]."""
    share = graph.node("Unsqueeze", graph.dense(encoded, net["condition"]), [1])
    hidden = graph.node("Add", graph.dense(features, net["features"]), share)
    output = graph.dense(graph.node("Relu", hidden), net["output"])
    half = net["output"]["bias"].shape[-1] // 2
    angle = graph.node(
        "Atan", graph.node("Div", graph.last(output, 0, half), float(clamp.alpha))
    )
    minus_s = graph.node("Mul", angle, -float(clamp.alpha * clamp.factor))
    shifted = graph.node("Sub", v, graph.last(output, half, 2 * half))
    return graph.node("Mul", shifted, graph.node("Exp", minus_s))


def _denormalize(graph: _Graph, pose: str) -> str:
    """(b, m, 48) to joints (b, m, 17, 3) with the hip at 0, camera frame."""
    axes = graph.node("Reshape", pose, [0, 0, 3, -1])
    joints = graph.node("Transpose", axes, perm=[0, 1, 3, 2])
    hips = graph.node("Gather", joints, [RIGHT_HIP_16, LEFT_HIP_16], axis=2)
    hip = graph.node("ReduceMean", hips, axes=[2], keepdims=1)
    rest = graph.node("Sub", joints, hip)
    origin = graph.node("Sub", hip, hip)
    whole = graph.node("Concat", origin, rest, axis=2)
    return graph.node("Mul", whole, [1.0, -1.0, -1.0])


def open_onnx(content: bytes) -> Any:
    """The sampler in an ONNX file, run by onnxruntime: a function of three arrays.

    Raises:
      ImportError: onnxruntime is not installed.
      UserError: it is no such file.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise missing("running ONNX", "onnxruntime", "onnx-export") from error
    try:
        session = onnxruntime.InferenceSession(
            content, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has an exception for each of its troubles
        raise UserError(f"no sampler in ONNX: {error}") from error
    names = [argument.name for argument in session.get_inputs()]
    if names != list(_INPUTS):
        raise UserError(f"expected inputs {', '.join(_INPUTS)}; it has {names}")

    def run(*inputs: Any) -> np.ndarray:
        arrays = map(np.asarray, inputs)
        (poses,) = session.run(None, dict(zip(names, arrays, strict=True)))
        return np.asarray(poses)

    return run


def _shifted(graph: _Graph, params: Params, cond: str) -> str:
    """The latents with what the affine layer adds to them: (b, m, 16)."""
    observed = graph.node("Reshape", _normalized(graph, "pose2d"), [0, -1])
    inputs = [graph.node("Concat", _features(graph, cond), observed, axis=1)]
    if affine.symmetric(params):
        cond = graph.node("MatMul", cond, _matrix(mirror.cond, 78))
        observed = graph.node("MatMul", observed, _matrix(mirror.pose2d, 32))
        inputs.append(graph.node("Concat", _features(graph, cond), observed, axis=1))
    shift = _answer(graph, affine.nets(params)["shift"], inputs, mirror.signs()[:16])
    if affine.symmetric(params):
        shift = graph.node("MatMul", shift, _matrix(mirror.of_pose, 16))
    return graph.node("Add", "z", graph.node("Unsqueeze", shift, [1]))


def _affine(graph: _Graph, params: Params, r: str, cond: str, blocks: int) -> str:
    """M + L r, and the axes in their order: (b, m, 48)."""
    inputs, nets, signs = [_features(graph, cond)], affine.nets(params), mirror.signs()
    if affine.symmetric(params):
        other = graph.node("MatMul", cond, _matrix(mirror.cond, 78))
        inputs.append(_features(graph, other))
    size = len(nets["mean"][f"Dense_{len(nets['mean']) - 1}"]["bias"])
    rows, columns = np.tril_indices(size)
    mean = _answer(graph, nets["mean"], inputs, signs)
    numbers = _answer(graph, nets["factor"], inputs, signs[rows] * signs[columns])
    logs = graph.node("Gather", numbers, np.flatnonzero(rows == columns), axis=1)
    scale = graph.node("Exp", graph.node("Clip", logs, *affine.LOG_RANGE))
    diagonal = graph.node("Mul", scale, affine.units(size))
    below = graph.node("Mul", numbers, affine.MIXED_UNIT)
    zero = graph.node("Mul", graph.last(numbers, 0, 1), 0.0)
    values = graph.node("Concat", below, diagonal, zero, axis=1)
    place = np.full((size, size), len(rows) + size)
    place[rows, columns] = np.arange(len(rows))
    np.fill_diagonal(place, len(rows) + np.arange(size))
    # As columns: r L^T.
    flat = graph.node("Gather", values, place.T.ravel(), axis=1)
    factor = graph.node("Reshape", flat, [0, size, size])
    if affine.symmetric(params):
        whole = _matrix(mirror.of_pose, size)
        factor = graph.node(
            "MatMul", graph.constant(_matrix(affine.parted, size)), factor
        )
        factor, mean = (graph.node("MatMul", x, whole) for x in (factor, mean))
    ordered = graph.node("Gather", r, stack.order(blocks, size), axis=2)
    centre = graph.node("Unsqueeze", graph.node("Mul", mean, affine.MEAN_UNIT), [1])
    pose = graph.node("Add", graph.node("MatMul", ordered, factor), centre)
    return graph.node("Gather", pose, np.roll(np.arange(size), -(size // 3)), axis=2)


def _features(graph: _Graph, cond: str) -> str:
    """The condition and the logarithms of its variances: (b, 104)."""
    joints = graph.node("Reshape", cond, [0, -1, PER_JOINT])
    variances = graph.node("Relu", graph.node("Gather", joints, [3, 5], axis=2))
    logs = graph.node("Log", graph.node("Add", variances, affine.SMALLEST))
    scaled = graph.node("Add", graph.node("Mul", logs, 0.5), 2.0)
    return graph.node("Concat", cond, graph.node("Reshape", scaled, [0, -1]), axis=1)


def _answer(graph: _Graph, net: Params, inputs: list[str], signs: np.ndarray) -> str:
    """What a net says, or the mean with what it says of the mirror image."""
    answer, *others = (_net(graph, net, x) for x in inputs)
    for other in others:
        both = graph.node("Add", answer, graph.node("Mul", other, signs))
        answer = graph.node("Mul", both, 0.5)
    return answer


def _net(graph: _Graph, net: Params, inputs: str) -> str:
    """A hidden layer, and further ones, each added to what it gets, and an output."""
    hidden = graph.node("Relu", graph.dense(inputs, net["Dense_0"]))
    for i in range(1, len(net) - 1):
        more = graph.node("Relu", graph.dense(hidden, net[f"Dense_{i}"]))
        hidden = graph.node("Add", hidden, more)
    return graph.dense(hidden, net[f"Dense_{len(net) - 1}"])


def _matrix(change: Callable[[Any], Any], size: int) -> np.ndarray:
    """A linear change of rows (..., size), as what they are multiplied by."""
    return np.asarray(change(np.eye(size, dtype=np.float32)))
