"""A .tflite file as a graph of plain values.

    bytes -> Graph: steps in their order, constants as arrays, names of in- and outputs

The file is a flatbuffer, which the package ``tflite`` describes. Weights are stored as
float16, some sparse; what the file's DEQUANTIZE and DENSIFY would do with them at each
start is done here, once. This reads what is in BlazePose's networks, whose checksums
are known (``fetch``): nothing is refused.

Source: TensorFlow Lite's schema (schema.fbs).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jaxflow.runs.errors import missing

_TYPES = {0: np.float32, 1: np.float16, 2: np.int32}  # of the schema's TensorType
_DENSE = 0  # of its DimensionType
_WIDTHS = {1: "Int32Vector", 2: "Uint16Vector", 3: "Uint8Vector"}
_PADDINGS = ("SAME", "VALID")
_ACTIVATIONS = {0: "", 1: "relu", 3: "relu6"}
_CONVOLVES = ("Padding", "StrideH", "StrideW", "FusedActivationFunction")
# What the schema calls the table of an operator's options, and which of them count.
_OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ADD": ("AddOptions", ("FusedActivationFunction",)),
    "CONV_2D": ("Conv2DOptions", _CONVOLVES),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", _CONVOLVES),
    "MAX_POOL_2D": (
        "Pool2DOptions",
        ("Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth"),
    ),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", ("BlockSize",)),
    "CONCATENATION": ("ConcatenationOptions", ("Axis", "FusedActivationFunction")),
}


class Step(NamedTuple):
    """An operation.

    Attributes:
      kind: of it, as the schema names it.
      inputs: numbers of the tensors that it takes; -1 for one that is left out.
      output: number of the tensor that it makes.
      options: of it, as the schema names them; padding and activation in words.
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    options: dict[str, Any]


class Graph(NamedTuple):
    """A network.

    Attributes:
      steps: in an order in which they can be done.
      constants: by number of the tensor; weights in float32.
      input: number of the tensor that is given.
      outputs: numbers of those that it makes, by name.
    """

    steps: tuple[Step, ...]
    constants: dict[int, np.ndarray]
    input: int
    outputs: dict[str, int]


def read(content: bytes) -> Graph:
    """The graph in a file of this content.

    Raises:
      ImportError: the package ``tflite`` is not installed.
    """
    tflite = schema()
    model = tflite.Model.GetRootAsModel(content, 0)
    part = model.Subgraphs(0)
    tensors = [part.Tensors(i) for i in range(part.TensorsLength())]
    constants = {
        i: _values(model, tensor)
        for i, tensor in enumerate(tensors)
        if model.Buffers(tensor.Buffer()).DataLength()
    }
    steps = []
    for i in range(part.OperatorsLength()):
        step = _step(tflite, model, part.Operators(i))
        if step.kind in ("DEQUANTIZE", "DENSIFY"):
            constants[step.output] = constants[step.inputs[0]]
        else:
            steps.append(step)
    used = {number for step in steps for number in step.inputs}
    (given,) = (int(i) for i in part.InputsAsNumpy())
    return Graph(
        tuple(steps),
        {number: constants[number] for number in constants if number in used},
        given,
        {tensors[int(i)].Name().decode(): int(i) for i in part.OutputsAsNumpy()},
    )


def schema() -> Any:
    """The package that describes the format.

    Raises:
      ImportError: it is not installed.
    """
    try:
        import tflite
    except ImportError as error:
        raise missing("the detector blazepose", "tflite", "pictures") from error
    return tflite


def _step(tflite: Any, model: Any, operator: Any) -> Step:
    code = model.OperatorCodes(operator.OpcodeIndex())
    # Old files have the number in the field that is deprecated now.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    kind = next(name for name, n in vars(tflite.BuiltinOperator).items() if n == number)
    table, names = _OPTIONS.get(kind, ("", ()))
    options: dict[str, Any] = {}
    if table:
        reader = getattr(tflite, table)()
        stored = operator.BuiltinOptions()
        reader.Init(stored.Bytes, stored.Pos)
        options = {name: getattr(reader, name)() for name in names}
    if "Padding" in options:
        options["Padding"] = _PADDINGS[options["Padding"]]
    if "FusedActivationFunction" in options:
        activation = options.pop("FusedActivationFunction")
        options["activation"] = _ACTIVATIONS[activation]
    inputs = tuple(int(i) for i in operator.InputsAsNumpy())
    return Step(kind, inputs, int(operator.Outputs(0)), options)


def _values(model: Any, tensor: Any) -> np.ndarray:
    """A constant, float16 as float32, sparse as dense."""
    dtype = np.dtype(_TYPES[tensor.Type()])
    stored = model.Buffers(tensor.Buffer()).DataAsNumpy().view(dtype)
    stored = stored.astype(np.int32 if dtype == np.int32 else np.float32)
    shape = tuple(tensor.Shape(i) for i in range(tensor.ShapeLength()))
    sparsity = tensor.Sparsity()
    if sparsity is None:
        return stored.reshape(shape)
    return _dense(stored, shape, sparsity)


def _dense(values: np.ndarray, shape: tuple[int, ...], sparsity: Any) -> np.ndarray:
    """A sparse constant with its zeros.

    The stored tensor has the dimensions of ``shape``, some of them cut into blocks
    whose inner dimensions follow at the end, all in the order of traversal. Each level
    is dense (every index is there) or compressed (segments of indices that are).
    """
    order = [int(i) for i in sparsity.TraversalOrderAsNumpy()]
    rank = len(shape)
    blocks: Any = sparsity.BlockMapAsNumpy() if len(order) > rank else ()
    levels = [sparsity.DimMetadata(i) for i in range(sparsity.DimMetadataLength())]
    places = np.zeros((1, len(order)), np.int64)  # of the nodes of a level
    for level, meta in enumerate(levels):
        if meta.Format() == _DENSE:
            index = np.tile(np.arange(meta.DenseSize()), len(places))
            places = np.repeat(places, meta.DenseSize(), axis=0)
        else:
            segments = _vector(meta.ArraySegmentsType(), meta.ArraySegments())
            index = _vector(meta.ArrayIndicesType(), meta.ArrayIndices())
            places = np.repeat(places, np.diff(segments), axis=0)
        places[:, order[level]] = index
    where = places[:, :rank].copy()
    for block, dimension in enumerate(blocks):
        size = levels[order.index(rank + block)].DenseSize()
        where[:, dimension] = where[:, dimension] * size + places[:, rank + block]
    full = np.zeros(shape, values.dtype)
    full[tuple(where.T)] = values
    return full


def _vector(kind: int, stored: Any) -> np.ndarray:
    """Whole numbers, which a file has in the narrowest type that holds them."""
    import tflite

    vector = getattr(tflite, _WIDTHS[kind])()
    vector.Init(stored.Bytes, stored.Pos)
    return vector.ValuesAsNumpy().astype(np.int64)
