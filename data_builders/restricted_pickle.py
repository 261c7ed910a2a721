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
from typing import Any

import numpy as np

from data_builders.files import DataFileError

_PLAIN_DTYPE = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248]|[SU]\d{1,4})")
_DAMAGE = (
    EOFError,
    pickle.UnpicklingError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
    AssertionError,
)


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
    """Looks names up in a fixed table instead of importing them.

    What a pickle gets are bound methods, whose attributes it cannot set.
    """

    def find_class(self, module: str, name: str) -> Any:
        """What stands for ``module.name``.

        Raises:
          _RefusedError: it is no part of plain data.
        """
        allowed: dict[str, Any] = {
            "numpy.dtype": self._dtype,
            "numpy.ndarray": _NDARRAY,
            "numpy.core.multiarray._reconstruct": self._reconstruct,
            "numpy.core.multiarray.scalar": self._scalar,
            "numpy.core.numeric._frombuffer": self._from_buffer,
            "_codecs.encode": self._encode,
            "builtins.bytes": self._no_bytes,
        }
        wanted = f"{module}.{name}"
        current = wanted.replace("numpy._core.", "numpy.core.", 1)  # since NumPy 2
        current = current.replace("__builtin__.", "builtins.", 1)  # Python 2
        if current not in allowed:
            raise _RefusedError(
                f"it wants {wanted}, and only NumPy arrays and plain containers are "
                "allowed"
            )
        return allowed[current]

    def _dtype(self, code: Any, *flags: Any) -> _Dtype:
        if not isinstance(code, str) or not _PLAIN_DTYPE.fullmatch(code):
            raise _RefusedError(f"it wants an array of type {code!r}")
        return _Dtype(code)

    def _reconstruct(self, subtype: Any, shape: Any, code: Any) -> np.ndarray:
        """An empty array, filled by its state; the arguments tell nothing yet."""
        if subtype is not _NDARRAY:
            raise _RefusedError("it wants an array of a class of its own")
        return np.zeros(0, np.uint8).view(_Array)

    def _from_buffer(
        self, data: Any, kind: Any, shape: Any, order: Any = "C"
    ) -> np.ndarray:
        """Arrays of pickle protocol 5."""
        _check_content(shape, kind, data)
        if order not in ("C", "F"):
            raise ValueError(f"an array of order {order!r}")
        return np.frombuffer(_bytes(data), kind.dtype).reshape(shape, order=order)

    def _scalar(self, kind: Any, data: Any = b"") -> Any:
        """A NumPy number."""
        _check_content((), kind, data)
        return np.frombuffer(_bytes(data), kind.dtype)[0]

    def _encode(self, text: Any, encoding: Any = "latin1") -> bytes:
        """How bytes are written by Python 3 in a format that Python 2 reads."""
        if not isinstance(text, str) or encoding != "latin1":
            raise _RefusedError(f"it wants to encode a {type(text).__name__}")
        return text.encode("latin1")

    def _no_bytes(self, *arguments: Any) -> bytes:
        if arguments:
            raise _RefusedError("it wants to call bytes with arguments")
        return b""


_NDARRAY = object()  # stands for the class, which a pickle only ever passes on


class _Dtype:
    """Stands for a ``numpy.dtype`` while a pickle is read."""

    def __init__(self, code: str) -> None:
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        _, order, *nested = state
        if order not in ("<", ">", "=", "|") or any(part for part in nested[:3]):
            raise _RefusedError("it wants an array of structures")
        self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray):
    """An array whose pickled state is checked before NumPy sees it."""

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        _check_content(shape, kind, data)
        checked: Any = (1, shape, kind.dtype, bool(fortran), _bytes(data))
        super().__setstate__(checked)


def _check_content(shape: Any, kind: Any, data: Any) -> None:
    """Refuses array data whose type is not plain or whose size is not the shape's."""
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
    """Bytes, also where Python 2 wrote them as text."""
    return data.encode("latin1") if isinstance(data, str) else bytes(data)
