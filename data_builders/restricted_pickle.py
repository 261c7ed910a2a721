"""Reading pickles of strangers: numbers and containers, nothing else.

A pickle is a program; the usual unpickler imports and calls whatever it names. This one
resolves a handful of names, each to code of its own that checks what it is given, so
neither imports nor NumPy's own reconstruction run on the file's word. Dicts, lists,
tuples, text, bytes, numbers and NumPy arrays of numbers or text come out; a pickle that
names anything else is refused by that name.
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

_PLAIN_DTYPE = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248]|[SU]\d{1,4})")
_DAMAGE = (
    EOFError, pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError,
    AttributeError, OverflowError, MemoryError, RecursionError, AssertionError,
)  # fmt: skip


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
            raise DataFileError(f"{path} is refused: {error}") from None
        except _DAMAGE as error:
            raise DataFileError(
                f"{path} is truncated or not a pickle ({type(error).__name__}: {error})"
            ) from error


class _RefusedError(Exception):
    """The pickle wants more than plain data."""


class _Unpickler(pickle.Unpickler):
    """Looks names up in a fixed table instead of importing them."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _RefusedError(
                f"it wants {module}.{name}, and only NumPy arrays and plain containers "
                "are allowed"
            ) from None


class _Dtype:
    """Stands for ``numpy.dtype`` while a pickle is read: plain numbers and text only."""

    def __init__(self, code: Any, *flags: Any) -> None:
        if not isinstance(code, str) or not _PLAIN_DTYPE.fullmatch(code):
            raise _RefusedError(f"it wants an array of type {code!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        _, order, *nested = state
        if order not in ("<", ">", "=", "|") or any(part for part in nested[:3]):
            raise _RefusedError("it wants an array of structures")
        self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray):
    """An array whose pickled state is checked before NumPy sees it."""

    def __setstate__(self, state: tuple) -> None:  # type: ignore[override]
        _, shape, kind, fortran, data = state
        _check_content(shape, kind, data)
        super().__setstate__((1, shape, kind.dtype, bool(fortran), _bytes(data)))


def _check_content(shape: Any, kind: Any, data: Any) -> None:
    if not isinstance(kind, _Dtype):
        raise _RefusedError("it wants an array without a plain type")
    if not isinstance(shape, tuple) or not all(
        type(size) is int and size >= 0 for size in shape
    ):
        raise ValueError(f"an array of shape {shape!r}")
    expected = math.prod(shape) * kind.dtype.itemsize
    if not isinstance(data, bytes | bytearray | str) or len(data) != expected:
        raise ValueError(f"an array of shape {shape} without its {expected} bytes")


def _bytes(data: bytes | bytearray | str) -> bytes:
    """Python 2 text as the bytes that it was."""
    return data.encode("latin1") if isinstance(data, str) else bytes(data)


def _reconstruct(subtype: Any, shape: Any, code: Any) -> np.ndarray:
    """An empty array, filled by its state; the arguments tell nothing yet."""
    if subtype is not _Array:
        raise _RefusedError("it wants an array of a class of its own")
    return np.zeros(0, np.uint8).view(_Array)


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any = "C") -> np.ndarray:
    """Arrays of pickle protocol 5."""
    _check_content(shape, kind, data)
    if order not in ("C", "F"):
        raise ValueError(f"an array of order {order!r}")
    return np.frombuffer(bytes(data), kind.dtype).reshape(shape, order=order)


def _scalar(kind: Any, data: Any = b"") -> Any:
    """A NumPy number."""
    _check_content((), kind, data)
    return np.frombuffer(_bytes(data), kind.dtype)[0]


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """How bytes are written by Python 3 in a format that Python 2 reads."""
    if not isinstance(text, str) or encoding != "latin1":
        raise _RefusedError(f"it wants to encode {type(text).__name__} as {encoding!r}")
    return text.encode("latin1")


def _no_bytes(*arguments: Any) -> bytes:
    if arguments:
        raise _RefusedError("it wants to call bytes with arguments")
    return b""


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _encode,
    ("builtins", "bytes"): _no_bytes,
    ("__builtin__", "bytes"): _no_bytes,
}
for _core in ("numpy.core", "numpy._core"):  # before and since NumPy 2
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _reconstruct
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _scalar
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _from_buffer
