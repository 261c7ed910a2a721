"""Small TensorFlow Lite networks, written step by step as the schema says."""

import flatbuffers
import numpy as np
import tflite

_TYPES = {"float32": 0, "float16": 1, "int32": 2}


class Model:
    """A network under construction; tensors are numbers."""

    def __init__(self):
        self.builder = flatbuffers.Builder(1024)
        self.tensors, self.buffers, self.codes, self.operators = [], [], [], []
        self.buffer(b"")

    def buffer(self, content):
        data = self.builder.CreateByteVector(content) if content else None
        tflite.BufferStart(self.builder)
        if data is not None:
            tflite.BufferAddData(self.builder, data)
        self.buffers.append(tflite.BufferEnd(self.builder))
        return len(self.buffers) - 1

    def tensor(self, shape, dtype="float32", content=b"", sparsity=None, name=""):
        number = self.buffer(content) if content else 0
        shape = self.builder.CreateNumpyVector(np.asarray(shape, np.int32))
        text = self.builder.CreateString(name or f"t{len(self.tensors)}")
        tflite.TensorStart(self.builder)
        tflite.TensorAddShape(self.builder, shape)
        tflite.TensorAddType(self.builder, _TYPES[dtype])
        tflite.TensorAddBuffer(self.builder, number)
        tflite.TensorAddName(self.builder, text)
        if sparsity is not None:
            tflite.TensorAddSparsity(self.builder, sparsity)
        self.tensors.append(tflite.TensorEnd(self.builder))
        return len(self.tensors) - 1

    def constant(self, array):
        array = np.asarray(array)
        return self.tensor(array.shape, str(array.dtype), array.tobytes())

    def step(self, kind, inputs, shape, table="", name="", **options):
        """Adds an operation; gives its output's number."""
        output, builder, stored = self.tensor(shape, name=name), self.builder, None
        if table:
            getattr(tflite, f"{table}Start")(builder)
            for option, value in options.items():
                getattr(tflite, f"{table}Add{option}")(builder, value)
            stored = getattr(tflite, f"{table}End")(builder)
        code = getattr(tflite.BuiltinOperator, kind)
        tflite.OperatorCodeStart(builder)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(code, 127))
        tflite.OperatorCodeAddBuiltinCode(builder, code)
        tflite.OperatorCodeAddVersion(builder, 1)
        self.codes.append(tflite.OperatorCodeEnd(builder))
        given = builder.CreateNumpyVector(np.asarray(inputs, np.int32))
        made = builder.CreateNumpyVector(np.asarray([output], np.int32))
        tflite.OperatorStart(builder)
        tflite.OperatorAddOpcodeIndex(builder, len(self.codes) - 1)
        tflite.OperatorAddInputs(builder, given)
        tflite.OperatorAddOutputs(builder, made)
        if stored is not None:
            tflite.OperatorAddBuiltinOptions(builder, stored)
            kind = getattr(tflite.BuiltinOptions, table)
            tflite.OperatorAddBuiltinOptionsType(builder, kind)
        self.operators.append(tflite.OperatorEnd(builder))
        return output

    def vector(self, tables):
        self.builder.StartVector(4, len(tables), 4)
        for table in reversed(tables):
            self.builder.PrependUOffsetTRelative(table)
        return self.builder.EndVector()

    def sparse_rows(self, dense):
        """The sparsity of a matrix of compressed rows, and the values that are kept."""
        builder, rows = self.builder, [np.flatnonzero(row) for row in dense]
        ends = np.cumsum([0, *map(len, rows)]).astype(np.uint8)
        vectors = []
        for values in (ends, np.concatenate(rows).astype(np.uint8)):
            content = builder.CreateNumpyVector(values)
            tflite.Uint8VectorStart(builder)
            tflite.Uint8VectorAddValues(builder, content)
            vectors.append(tflite.Uint8VectorEnd(builder))
        tflite.DimensionMetadataStart(builder)
        tflite.DimensionMetadataAddFormat(builder, tflite.DimensionType.DENSE)
        tflite.DimensionMetadataAddDenseSize(builder, len(dense))
        levels = [tflite.DimensionMetadataEnd(builder)]
        kind = tflite.SparseIndexVector.Uint8Vector
        tflite.DimensionMetadataStart(builder)
        tflite.DimensionMetadataAddFormat(builder, tflite.DimensionType.SPARSE_CSR)
        tflite.DimensionMetadataAddArraySegmentsType(builder, kind)
        tflite.DimensionMetadataAddArraySegments(builder, vectors[0])
        tflite.DimensionMetadataAddArrayIndicesType(builder, kind)
        tflite.DimensionMetadataAddArrayIndices(builder, vectors[1])
        levels.append(tflite.DimensionMetadataEnd(builder))
        order = builder.CreateNumpyVector(np.arange(2, dtype=np.int32))
        levels = self.vector(levels)
        tflite.SparsityParametersStart(builder)
        tflite.SparsityParametersAddTraversalOrder(builder, order)
        tflite.SparsityParametersAddDimMetadata(builder, levels)
        return tflite.SparsityParametersEnd(builder), dense[dense != 0]

    def finish(self, given, outputs):
        """The file's bytes."""
        builder = self.builder
        given = builder.CreateNumpyVector(np.asarray([given], np.int32))
        outputs = builder.CreateNumpyVector(np.asarray(outputs, np.int32))
        tensors, operators = self.vector(self.tensors), self.vector(self.operators)
        tflite.SubGraphStart(builder)
        tflite.SubGraphAddTensors(builder, tensors)
        tflite.SubGraphAddInputs(builder, given)
        tflite.SubGraphAddOutputs(builder, outputs)
        tflite.SubGraphAddOperators(builder, operators)
        graphs = self.vector([tflite.SubGraphEnd(builder)])
        codes, buffers = self.vector(self.codes), self.vector(self.buffers)
        tflite.ModelStart(builder)
        tflite.ModelAddVersion(builder, 3)
        tflite.ModelAddOperatorCodes(builder, codes)
        tflite.ModelAddSubgraphs(builder, graphs)
        tflite.ModelAddBuffers(builder, buffers)
        builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def every_operation():
    """A network (1, 8, 8, 3) -> (1, 16, 16, 3), (1, 48) with all twelve operations."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.normal(size=shape).astype(np.float32)

    model = Model()
    given = model.tensor((1, 8, 8, 3), name="input")
    stored = model.constant(draw(4, 3, 3, 3).astype(np.float16))
    weights = model.step("DEQUANTIZE", [stored], (4, 3, 3, 3), "DequantizeOptions")
    conv = {"Padding": 0, "StrideH": 2, "StrideW": 2, "DilationHFactor": 1}
    conv |= {"DilationWFactor": 1}
    seen = model.step(
        "CONV_2D", [given, weights, model.constant(draw(4))], (1, 4, 4, 4),
        "Conv2DOptions", **conv, FusedActivationFunction=3,
    )  # fmt: skip
    wide = model.step(
        "PAD", [seen, model.constant(np.array([[0, 0], [1, 1], [1, 1], [0, 0]], "i4"))],
        (1, 6, 6, 4), "PadOptions",
    )  # fmt: skip
    bias = model.constant(draw(4))
    own = {**conv, "Padding": 1, "StrideH": 1, "StrideW": 1, "DepthMultiplier": 1}
    deep = model.step(
        "DEPTHWISE_CONV_2D", [wide, model.constant(draw(1, 3, 3, 4)), bias],
        (1, 4, 4, 4), "DepthwiseConv2DOptions", **own,
    )  # fmt: skip
    both = model.step("ADD", [seen, deep], (1, 4, 4, 4), "AddOptions")
    two = {"Padding": 0, "StrideH": 2, "StrideW": 2}
    small = model.step(
        "MAX_POOL_2D", [both], (1, 2, 2, 4), "Pool2DOptions", **two, FilterHeight=2,
        FilterWidth=2,
    )  # fmt: skip
    large = model.step(
        "RESIZE_BILINEAR", [small, model.constant(np.array([4, 4], "i4"))],
        (1, 4, 4, 4), "ResizeBilinearOptions", HalfPixelCenters=True,
    )  # fmt: skip
    joined = model.step(
        "CONCATENATION", [both, large], (1, 4, 4, 8), "ConcatenationOptions", Axis=3
    )
    blocks = model.step(
        "DEPTH_TO_SPACE", [joined], (1, 8, 8, 2), "DepthToSpaceOptions", BlockSize=2
    )
    flat = model.step(
        "RESHAPE", [blocks, model.constant(np.array([1, 128], "i4"))], (1, 128),
        "ReshapeOptions",
    )  # fmt: skip
    model.step("LOGISTIC", [flat], (1, 128), name="answer")
    return model.finish(given, [blocks, len(model.tensors) - 1])
