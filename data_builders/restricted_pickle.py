"""Reading pickles of strangers: numbers, text, containers and NumPy arrays of them.

A pickle is a program that calls what it names. Here a handful of names are allowed, and
each stands for code that checks what it is given. NumPy's own would not do: the state
of a ``numpy.dtype`` may deny that objects are objects, and an array of that type then
takes bytes of the file for addresses in memory.
"""

from __future__ import annotations

import math
import pathlib
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from data_builders.files import DataFileError
from jaxflow.runs.errors import UserError

_PLAIN_DTYPE = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248]|[SU]\d{1,4})")
_NDARRAY = object()  # stands for the class, which a pickle only ever passes on


def load(path: str | pathlib.Path) -> Any:
    """The content of a pickle file.

    Raises:
      DataFileError: the file is missing, truncated, no pickle, or wants a name that is
        not allowed; the message names file and name. Nothing of it has been run.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise DataFileError(f"{path} does not exist or is not a file")
    with open(path, "rb") as file:
        unpickler = _Unpickler(file, encoding="latin1")  # old NumPy wrote Python 2's
        try:
            return unpickler.load()
        except _RefusedError as error:
            raise DataFileError(f"{path} is refused: it wants {error}") from None
        except Exception as error:  # damage shows as almost any
            raise DataFileError(
                f"{path} is truncated or not a pickle ({type(error).__name__}: {error})"
            ) from error


class _RefusedError(Exception):
    """The pickle wants more than plain data."""


class _Unpickler(pickle.Unpickler):
    """Looks names up in a table; what they stand for can be called, not changed."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for ``module.name``, where that is part of plain data."""
        allowed: dict[str, Any] = {
            "numpy.dtype": self._dtype,
            "numpy.ndarray": _NDARRAY,
            "numpy.core.multiarray._reconstruct": self._reconstruct,
            "numpy.core.multiarray.scalar": self._scalar,
            "numpy.core.numeric._frombuffer": self._from_buffer,
            "_codecs.encode": self._encode,
            "builtins.bytes": self._no_bytes,
        }
        # NumPy 2 and Python 2 have names of their own.
        current = f"{module}.{name}".replace("numpy._core.", "numpy.core.", 1)
        current = current.replace("__builtin__.", "builtins.", 1)
        if current not in allowed:
            raise _RefusedError(
                f"{module}.{name}, and only NumPy arrays and plain containers are "
                "allowed"
            )
        stand_in = allowed[current]
        return _Function(stand_in) if callable(stand_in) else stand_in

    def _dtype(self, code: Any, *flags: Any) -> _Dtype:
        if not isinstance(code, str) or not _PLAIN_DTYPE.fullmatch(code):
            raise _RefusedError(f"an array of type {code!r}")
        return _Dtype(code)

    def _reconstruct(self, subtype: Any, shape: Any, code: Any) -> np.ndarray:
        """An empty array, filled by its state; the arguments tell nothing yet."""
        if subtype is not _NDARRAY:
            raise _RefusedError("an array of a class of its own")
        return np.zeros(0, np.uint8).view(_Array)

    def _from_buffer(
        self, data: Any, kind: Any, shape: Any, order: Any = "C"
    ) -> np.ndarray:
        """Arrays of pickle protocol 5."""
        content = _checked(shape, kind, data)
        return np.frombuffer(content, kind.dtype).reshape(shape, order=order)

    def _scalar(self, kind: Any, data: Any = b"") -> Any:
        return np.frombuffer(_checked((), kind, data), kind.dtype)[0]

    def _encode(self, text: Any, encoding: Any = "latin1") -> bytes:
        """How bytes are written by Python 3 in a format that Python 2 reads."""
        if not isinstance(text, str) or encoding != "latin1":
            raise _RefusedError(f"to encode a {type(text).__name__}")
        return text.encode("latin1")

    def _no_bytes(self, *arguments: Any) -> bytes:
        if arguments:
            raise _RefusedError("to call bytes with arguments")
        return b""


class _Function:
    """A function that a pickle may call, but not set attributes of.

    Pickles set what they like in an object's ``__dict__``, which a bound method shares
    with its function: one file would leave things behind for the next.
    """

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise _RefusedError("to change a function")


class _Dtype:
    """Stands for a ``numpy.dtype`` while a pickle is read."""

    def __init__(self, code: str) -> None:
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        _, order, *nested = state
        if order not in ("<", ">", "=", "|") or any(nested[:3]):
            raise _RefusedError("an array of structures")
        self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray):
    """An array whose pickled state is checked before NumPy sees it."""

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        content: Any = _checked(shape, kind, data)
        super().__setstate__((1, shape, kind.dtype, bool(fortran), content))  # type: ignore[arg-type]


def _checked(shape: Any, kind: Any, data: Any) -> bytes:
    """An array's bytes, if they are of a plain type and as many as the shape says."""
    if not isinstance(kind, _Dtype):
        raise _RefusedError("an array without a plain type")
    if not isinstance(shape, tuple) or not all(
        type(size) is int and size >= 0 for size in shape
    ):
        raise UserError(f"an array of shape {shape!r}")
    expected = math.prod(shape) * kind.dtype.itemsize
    if not isinstance(data, bytes | bytearray | str) or len(data) != expected:
        raise UserError(f"an array of shape {shape} without its {expected} bytes")
    # Python 2 wrote bytes as text.
    return data.encode("latin1") if isinstance(data, str) else bytes(data)
