"""A graph as a pure function: pictures (B, H, W, 3) to the outputs that are asked for.

Weights are an argument, so that a compiled program is no larger than its steps. What no
output needs (BlazePose's segmentation) is not computed.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxflow.detector.blazepose import ops
from jaxflow.detector.blazepose.tflite_reader import Graph, Step

Parameters = Mapping[str, np.ndarray | jax.Array]
Network = Callable[[Parameters, jax.Array], tuple[jax.Array, ...]]


def build(graph: Graph, outputs: Sequence[str]) -> tuple[Network, Parameters]:
    """The function and its weights.

    Args:
      graph: of the network.
      outputs: names of those that are wanted, in the order in which they are given.
    """
    wanted = [graph.outputs[output] for output in outputs]
    steps = _enlarged_late(_needed(graph, wanted), graph, wanted)
    static = {
        step.inputs[ops.STATIC[step.kind]] for step in steps if step.kind in ops.STATIC
    }
    used = {number for step in steps for number in step.inputs}
    weights = {
        str(number): value
        for number, value in graph.constants.items()
        if number in used - static
    }

    def network(parameters: Parameters, pictures: jax.Array) -> tuple[jax.Array, ...]:
        values: dict[int, Any] = {n: graph.constants[n] for n in static}
        values |= {int(number): value for number, value in parameters.items()}
        values[graph.input] = pictures
        for step in steps:
            arrays = [values[number] for number in step.inputs if number >= 0]
            values[step.output] = ops.OPS[step.kind](arrays, step.options)
        return tuple(values[number] for number in wanted)

    return network, weights


def _needed(graph: Graph, wanted: Sequence[int]) -> list[Step]:
    """The steps that the outputs need, in order."""
    needed, steps = set(wanted), []
    for step in reversed(graph.steps):
        if step.output in needed:
            needed |= set(step.inputs)
            steps.append(step)
    return steps[::-1]


def _enlarged_late(
    steps: list[Step], graph: Graph, wanted: Sequence[int]
) -> list[Step]:
    """The steps where what is enlarged and then mixed within pixels is mixed before.

    Weights of interpolation sum to one, so both ways give the same, and this one works
    on a quarter of the pixels.
    """
    users = collections.Counter(number for step in steps for number in step.inputs)
    enlarged = {
        step.output: step
        for step in steps
        if step.kind == "RESIZE_BILINEAR"
        and users[step.output] == 1
        and step.output not in wanted
    }
    result: list[Step] = []
    for step in steps:
        resize = enlarged.get(step.inputs[0])
        if resize is None or not _within_pixels(step, graph):
            result.append(step)
            continue
        result.remove(resize)
        mixed = step._replace(
            inputs=(resize.inputs[0], *step.inputs[1:]),
            output=resize.output,
            options={**step.options, "activation": ""},
        )
        options = {**resize.options, "activation": step.options["activation"]}
        result += [
            mixed,
            Step(resize.kind, (mixed.output, resize.inputs[1]), step.output, options),
        ]
    return result


def _within_pixels(step: Step, graph: Graph) -> bool:
    """Whether a step is a convolution of single pixels."""
    if step.kind != "CONV_2D":
        return False
    kernel = graph.constants[step.inputs[1]].shape[1:3]
    return kernel == (step.options["StrideH"], step.options["StrideW"]) == (1, 1)
