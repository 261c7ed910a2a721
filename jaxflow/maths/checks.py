"""Shape and dtype checks that run once, when a function is traced.

`floating` and `exactly` return their argument as a JAX array, so a caller checks and
converts in one line.
"""

from __future__ import annotations

import functools
import operator
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import jax.typing
import numpy as np

_Function = TypeVar("_Function", bound=Callable[..., Any])
HUMAN_SCALE = 20.0  # m from the middle of a body; millimetres are beyond it


def promoting(function: _Function) -> _Function:
    """The function, broadcasting whatever JAX_NUMPY_RANK_PROMOTION says.

    The setting is for its user's code; what broadcasts in here is meant to.
    """

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        with jax.numpy_rank_promotion("allow"):
            return function(*args, **options)

    return cast(_Function, call)


def params(value: Any) -> None:
    """Refuses what are no parameters.

    Raises:
      TypeError: says what came, and what gives parameters.
    """
    if isinstance(value, str | os.PathLike):
        raise TypeError(
            f"expected params, a dict of arrays; got the path {os.fspath(value)!r}: "
            "jaxflow.load_params reads them from there"
        )
    if not isinstance(value, Mapping) or not {"encoder", "blocks"} <= value.keys():
        raise TypeError(
            "expected params, a dict of encoder and blocks, as jaxflow.init and "
            f"jaxflow.load_params give them; got {_told(value)}"
        )
    if isinstance(value["blocks"], list):
        raise TypeError(
            "expected params whose blocks are stacked, or a tuple; got a list of them"
        )


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a dict of {', '.join(map(str, list(value)[:5])) or 'nothing'}"
    return "None" if value is None else f"a {type(value).__name__}"


def record(name: str, value: Any, kind: type) -> None:
    """Refuses what is not of a kind.

    Raises:
      TypeError: says of which, and what came.
    """
    if not isinstance(value, kind):
        raise TypeError(f"expected {name}, a {kind.__name__}; got {_told(value)}")


def whole(name: str, value: Any) -> int:
    """A whole number.

    Raises:
      TypeError: it is none; 2.0 is none either.
    """
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"expected a whole number as {name}; got {value!r}") from None


def human_scale(name: str, metres: jax.Array) -> None:
    """Refuses coordinates in metres that no body has, where the values are known.

    Raises:
      ValueError: hints at the unit.
    """
    if isinstance(metres, jax.core.Tracer) or not metres.size:
        return
    most = float(jnp.max(jnp.abs(metres)))
    if most > HUMAN_SCALE:
        raise ValueError(
            f"expected {name} in metres; its coordinates reach {most:.4g}: divide "
            "millimetres by 1000"
        )


def positive(name: str, value: jax.Array) -> None:
    """Refuses numbers that are not above 0, where the values are known.

    Raises:
      ValueError: says the least that came.
    """
    if isinstance(value, jax.core.Tracer) or not value.size:
        return
    if not bool(jnp.all(value > 0)):
        raise ValueError(f"expected {name} above 0; got {float(jnp.min(value)):.4g}")


def not_negative(name: str, value: Any) -> None:
    """Refuses numbers that are negative or not finite, where the values are known.

    Raises:
      ValueError: says the first that came.
    """
    if isinstance(value, jax.core.Tracer):
        return
    numbers = np.asarray(value)
    refused = numbers[~(np.isfinite(numbers) & (numbers >= 0))]
    if refused.size:
        raise ValueError(
            f"expected {name} of at least 0, and finite; got {float(refused[0]):.4g}"
        )


def floating(
    name: str, array: jax.typing.ArrayLike, tail: tuple[int | None, ...]
) -> jax.Array:
    """``array`` as a floating array whose last axes are ``tail`` (None: any size).

    Raises:
      TypeError: the dtype is not floating.
      ValueError: the rank or the last axes differ.
    """
    if hasattr(array, "_fields"):
        hint = ": jaxflow.condition makes one of it" if name == "cond" else ""
        raise TypeError(f"expected {name}, an array; got {_told(array)}{hint}")
    if not isinstance(array, jax.Array):  # converting what is one already takes longer
        array = jnp.asarray(array)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"expected {name} to be floating point; got {array.dtype}")
    got = array.shape[array.ndim - len(tail) :] if array.ndim >= len(tail) else None
    if got is None or any(
        want is not None and want != size for want, size in zip(tail, got, strict=True)
    ):
        sizes = ", ".join("any" if size is None else str(size) for size in tail)
        raise ValueError(f"expected {name} of shape (..., {sizes}); got {array.shape}")
    return array


def exactly(
    name: str, array: jax.typing.ArrayLike, shape: tuple[int | None, ...]
) -> jax.Array:
    """``array`` as a floating array of exactly this shape (None: any size).

    Raises:
      TypeError: the dtype is not floating.
      ValueError: the shape differs.
    """
    array = jnp.asarray(array)
    if array.ndim != len(shape):
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"expected {name} of shape ({sizes}); got {array.shape}")
    return floating(name, array, shape)


def one_or_each(name: str, array: Any, batch: tuple[int, ...] = ()) -> None:
    """Refuses an array that is neither one number nor one for each of a batch.

    Raises:
      TypeError: its dtype is none of numbers.
      ValueError: it has another shape.
    """
    if not jnp.issubdtype(array.dtype, jnp.number):
        raise TypeError(f"expected {name} to be numeric; got {array.dtype}")
    if array.shape not in ((), batch):
        or_each = f", or one for each of {batch}" if batch else ""
        raise ValueError(
            f"expected {name} to be one number{or_each}; got shape {array.shape}"
        )


def same_batch(**shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The batch shape that all the named leading shapes share.

    Raises:
      ValueError: they differ.
    """
    if len(set(shapes.values())) != 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"expected the same leading (batch) shape; got {listed}")
    return next(iter(shapes.values()))
