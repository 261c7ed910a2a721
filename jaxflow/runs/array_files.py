"""Heatmaps in files, read a block at a time: .npy, .npz, .h5.

In: a path. Out: an object that slices like an array (N, ...) without the file ever
being in memory as a whole. .npy and uncompressed .npz members are memory-mapped, HDF5
data sets read by block; a compressed .npz member, which has no random access, is
unpacked from front to back as it is read, or as a whole if it is in Fortran order.

What a header promises is compared with what there is before anything is made of it.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import pathlib
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxflow.runs.errors import UserError, missing

SUFFIXES = (".npy", ".npz", ".h5", ".hdf5")
# Of a compressed member that has to be in memory as a whole.
_MOST_BYTES = 2**32


class ArrayFileError(UserError):
    """A file that holds no such array, a damaged one, or one that is cut short."""


def open_maps(path: str | os.PathLike[str], key: str | None = None) -> Any:
    """Opens heatmaps for reading.

    Args:
      path: .npy, .npz, .h5 or .hdf5.
      key: the array's name inside .npz or HDF5; not needed if there is only one, or one
        named ``heatmaps``.

    Returns:
      Something with ``shape``, ``dtype`` and slices of its first axis.

    Raises:
      FileNotFoundError: no such file.
      ArrayFileError: not such a file, cut short, or no such array in it; the file is
        named. Slices raise it, too, where what is read then is damaged.
      ImportError: an HDF5 file, and h5py is not installed.
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    if suffix not in SUFFIXES:
        raise ArrayFileError(f"expected one of {', '.join(SUFFIXES)}; got {path}")
    with _errors_naming(path):
        if suffix == ".npy":
            return _open_npy(path)
        if suffix == ".npz":
            return _open_npz(path, key)
        return _dataset(path, key)


class Npz:
    """The arrays of an .npz file, opened as by `open_maps` when they are asked for."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Reads what is in the archive.

        Raises:
          FileNotFoundError: no such file.
          ArrayFileError: no such archive, or a damaged one.
        """
        self._path, self._arrays = pathlib.Path(path), dict[str, Any]()
        with _errors_naming(self._path):
            self._members = _members(self._path)

    def array(self, name: str) -> Any:
        """Something with ``shape``, ``dtype`` and slices of its first axis.

        Raises:
          ArrayFileError: no such array.
        """
        if name not in self._arrays:
            with _errors_naming(self._path):
                member = self._members[_choose(list(self._members), name)]
                self._arrays[name] = _open_member(self._path, member)
        return self._arrays[name]


def names_in_npz(path: str | os.PathLike[str]) -> list[str]:
    """The arrays in an .npz file.

    Raises:
      FileNotFoundError: no such file.
      ArrayFileError: no such archive, or a damaged one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [pathlib.Path(name).stem for name in archive.namelist()]
    except FileNotFoundError:
        raise FileNotFoundError(f"no such file: {path}") from None
    except Exception as error:
        raise ArrayFileError(f"{path}: damaged or no NPZ file: {error}") from error


@contextlib.contextmanager
def _errors_naming(path: pathlib.Path) -> Iterator[None]:
    """What goes wrong in opening a file, as an error that names it."""
    try:
        yield
    except (FileNotFoundError, ImportError):
        raise
    except Exception as error:  # damaged headers raise errors of every kind
        raise _unreadable(path, error) from error


def _unreadable(path: pathlib.Path, error: Exception) -> ArrayFileError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return ArrayFileError(f"cannot read heatmaps from {path}: {reason}")


def _choose(names: list[str], key: str | None) -> str:
    """The array to read among those there are."""
    if key is None and len(names) == 1:
        return names[0]
    wanted = key or "heatmaps"
    if wanted not in names:
        raise ArrayFileError(
            f"no array {wanted!r} in it; it has {', '.join(sorted(names))}"
        )
    return wanted


def open_hdf5(path: str | os.PathLike[str]) -> Any:
    """An HDF5 file for reading, as h5py has it; no link in it has been followed.

    Raises:
      OSError: no such file, or a damaged one.
      ImportError: h5py is not installed; says how to install it.
    """
    try:
        import h5py
    except ImportError as error:
        raise missing(f"reading {path}", "h5py", "data") from error
    return h5py.File(path, "r")


def own_dataset(file: Any, name: str) -> Any:
    """An array that lies in this very HDF5 file, which can point to any other's.

    Raises:
      ArrayFileError: there is none of the name, or it is a link, a group, or an array
        whose numbers lie in other files.
    """
    link = file.get(name, getlink=True)  # looks at it without following it
    if link is None:
        raise ArrayFileError(f"has no {name}; it has {', '.join(file) or 'nothing'}")
    if type(link).__name__ != "HardLink":
        raise ArrayFileError(f"{name} is a link; expected an array")
    dataset = file[name]
    if not hasattr(dataset, "is_virtual"):
        raise ArrayFileError(f"{name} is a group; expected an array")
    if dataset.external or dataset.is_virtual:
        raise ArrayFileError(f"{name} lies in other files, which are not read")
    return dataset


def _dataset(path: pathlib.Path, key: str | None) -> Any:
    """The array of an HDF5 file that is asked for, or its only one."""
    file = open_hdf5(path)
    names: list[str] = []
    file.visititems(
        lambda name, item: names.append(name) if hasattr(item, "is_virtual") else None
    )
    return own_dataset(file, _choose(names, key))


def _open_npy(path: pathlib.Path) -> np.ndarray:
    with open(path, "rb") as file:
        return _mapped(path, file, path.stat().st_size)


def _mapped(path: pathlib.Path, file: Any, end: int) -> np.ndarray:
    """The array whose header comes next in the file, and that ends before ``end``."""
    shape, fortran, dtype = read_header(file, end - file.tell())
    order: Any = "F" if fortran else "C"
    if 0 in shape:
        return np.zeros(shape, dtype, order)
    return np.memmap(path, dtype, "r", file.tell(), shape, order=order)


def _open_npz(path: pathlib.Path, key: str | None) -> Any:
    members = _members(path)
    return _open_member(path, members[_choose(list(members), key)])


def _members(path: pathlib.Path) -> dict[str, zipfile.ZipInfo]:
    with zipfile.ZipFile(path) as archive:
        return {pathlib.Path(i.filename).stem: i for i in archive.infolist()}


def _open_member(path: pathlib.Path, member: zipfile.ZipInfo) -> Any:
    if member.compress_type != zipfile.ZIP_STORED:
        return _unpacked(path, member)
    with open(path, "rb") as file:
        # The member's data follow its local header of 30 bytes, a name and extras.
        file.seek(member.header_offset)
        name_length, extra_length = struct.unpack("<26xHH", file.read(30))
        file.seek(name_length + extra_length, io.SEEK_CUR)
        return _mapped(path, file, file.tell() + member.file_size)


def _unpacked(path: pathlib.Path, member: zipfile.ZipInfo) -> Any:
    """A compressed member: by row, or whole where its rows are not one behind another.

    Raises:
      ArrayFileError: too large to be unpacked as a whole.
    """
    rows = _Unpacked(path, member)
    if not rows.fortran:
        return rows
    if member.file_size > _MOST_BYTES:
        raise ArrayFileError(
            f"a compressed array in Fortran order of {member.file_size} bytes; save it "
            "in C order (numpy.ascontiguousarray)"
        )
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


class _Unpacked:
    """A compressed .npz member, read forwards; going back starts from the front."""

    def __init__(self, path: pathlib.Path, member: zipfile.ZipInfo) -> None:
        self._path, self._member = path, member
        self._archive = zipfile.ZipFile(path)
        self._rewind()

    def _rewind(self) -> None:
        self._stream = self._archive.open(self._member)
        size = self._member.file_size
        self.shape, self.fortran, self.dtype = read_header(self._stream, size)
        self._row_bytes = self.dtype.itemsize * int(np.prod(self.shape[1:]))
        self._next = 0

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0])
        if start < self._next:
            self._rewind()
        while self._next < start:
            self._read(min(start - self._next, 1024))
        content = self._read(stop - start)
        return np.frombuffer(content, self.dtype).reshape(-1, *self.shape[1:])

    def _read(self, rows: int) -> bytes:
        try:
            content = self._stream.read(rows * self._row_bytes)
        except Exception as error:  # of zlib, lzma, bz2 and of the archive
            raise _unreadable(self._path, error) from error
        if len(content) < rows * self._row_bytes:
            raise ArrayFileError(f"{self._path} ends within row {self._next + rows}")
        self._next += rows
        return content


def read_header(file: Any, size: int) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran order, and dtype of the .npy content that follows.

    Args:
      file: at the content's begin.
      size: bytes of the content, header included.

    Raises:
      ValueError: no such header, or one that promises more than there is.
    """
    begin = file.tell()
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(file)
    else:
        header = np.lib.format.read_array_header_2_0(file)
    if header[2].hasobject:
        raise ArrayFileError("it holds Python objects, not numbers")
    shape, _, dtype = header
    there = size - (file.tell() - begin)
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > there:
        raise ArrayFileError(
            f"its header promises {shape} of {dtype}; there are {there} bytes"
        )
    return header


class Flat:
    """Maps (..., H, W) of a file as (N, H, W), read by slices of the first axis.

    Attributes:
      batch: the leading shape ....
      shape: (N, H, W).
      dtype: the maps'.
    """

    def __init__(self, source: Any) -> None:
        if len(source.shape) < 2:
            raise ArrayFileError(
                f"expected heatmaps of shape (..., rows, columns); got {source.shape}"
            )
        self._source = source
        self.batch = tuple(source.shape[:-2])
        self.shape = (int(np.prod(self.batch)), *source.shape[-2:])
        self.dtype = source.dtype
        # How many maps one step along the source's first axis is.
        self._step = int(np.prod(self.batch[1:]))

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0])
        if not self.batch:
            return np.asarray(self._source[...])[None][rows]
        first, last = start // self._step, -(-stop // self._step)
        piece = np.asarray(self._source[first:last]).reshape(-1, *self.shape[1:])
        return piece[start - first * self._step : stop - first * self._step]
