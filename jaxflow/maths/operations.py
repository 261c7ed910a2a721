"""How many floating-point operations a program takes, counted from its products.

    function, arguments -> operations of one call

Read from the traced program, nothing is compiled or run: every matrix product is two
operations for each number multiplied, a triangular solve half of the product, and what
a loop repeats counts as often as it is repeated. A compiler's own count has a loop's
body once, whatever its length, and would so miss most of an iteration of the flow.
What is done number by number is left out; of the nets here it is some per cent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax


def count(
    function: Callable[..., Any],
    *arguments: Any,
    branch: Callable[[list[float]], float] = max,
) -> float:
    """Operations of ``function(*arguments)``.

    Args:
      function: traceable.
      arguments: trees of arrays, or of their shapes and dtypes.
      branch: of several ways that a program may go, whose operations count.

    Raises:
      ValueError: it has a loop of unknown length that multiplies matrices.
    """
    # A CPU's program: on a TPU one product may be made of several of its parts.
    with jax.default_device("cpu"):
        return _of(jax.make_jaxpr(function)(*arguments).jaxpr, branch)


def _of(jaxpr: Any, branch: Callable[[list[float]], float]) -> float:
    return sum(_of_equation(equation, branch) for equation in jaxpr.eqns)


def _of_equation(equation: Any, branch: Callable[[list[float]], float]) -> float:
    name = equation.primitive.name
    inner = [_of(program, branch) for program in _within(equation.params)]
    if name == "dot_general":
        return _product(equation)
    if name == "triangular_solve":
        matrix, right = (variable.aval for variable in equation.invars)
        return float(right.size * matrix.shape[-1])
    if name == "scan":
        return float(equation.params["length"] * sum(inner))
    if name == "cond":
        return branch(inner)
    if name == "while" and sum(inner):
        raise ValueError("a loop of unknown length multiplies matrices")
    return sum(inner)


def _within(params: dict[str, Any]) -> Iterator[Any]:
    """The programs that an equation calls."""
    for value in params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            one = getattr(one, "jaxpr", one)
            if hasattr(one, "eqns"):
                yield one


def _product(equation: Any) -> float:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval
    length = math.prod(left.shape[axis] for axis in contracted)
    return 2.0 * length * equation.outvars[0].aval.size
