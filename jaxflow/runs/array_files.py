"""Heatmaps in files, read a block at a time: .npy, .npz, .h5.

In: a path. Out: an object that slices like an array (N, ...) without the file ever
being in memory as a whole. .npy and uncompressed .npz members are memory-mapped, HDF5
data sets read by block; a compressed .npz member, which has no random access, is
unpacked from front to back as it is read.
"""

from __future__ import annotations

import io
import os
import pathlib
import struct
import zipfile
from typing import Any

import numpy as np

SUFFIXES = (".npy", ".npz", ".h5", ".hdf5")


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
      ValueError: not such a file, cut short, or no such array in it; the file is named.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    if path.suffix not in SUFFIXES:
        raise ValueError(f"expected one of {', '.join(SUFFIXES)}; got {path}")
    try:
        if path.suffix == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        if path.suffix == ".npz":
            return _open_npz(path, key)
        return _open_hdf5(path, key)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"cannot read heatmaps from {path}: {error}") from error


def _choose(names: list[str], key: str | None) -> str:
    """The array to read among those there are."""
    if key is None and len(names) == 1:
        return names[0]
    wanted = key or "heatmaps"
    if wanted not in names:
        raise ValueError(
            f"no array {wanted!r} in it; it has {', '.join(sorted(names))}"
        )
    return wanted


def _open_hdf5(path: pathlib.Path, key: str | None) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError(f"reading {path} needs h5py: pip install h5py") from error
    file = h5py.File(path, "r")
    names: list[str] = []
    file.visititems(
        lambda name, item: (
            names.append(name) if isinstance(item, h5py.Dataset) else None
        )
    )
    return file[_choose(names, key)]


def _open_npz(path: pathlib.Path, key: str | None) -> Any:
    with zipfile.ZipFile(path) as archive:
        members = {pathlib.Path(i.filename).stem: i for i in archive.infolist()}
        member = members[_choose(list(members), key)]
    if member.compress_type != zipfile.ZIP_STORED:
        return _Unpacked(path, member.filename)
    with open(path, "rb") as file:
        # The member's data follow its local header of 30 bytes, a name and extras.
        file.seek(member.header_offset)
        name_length, extra_length = struct.unpack("<26xHH", file.read(30))
        file.seek(name_length + extra_length, io.SEEK_CUR)
        shape, fortran, dtype = _read_header(file)
        return np.memmap(
            path, dtype, "r", file.tell(), shape, order="F" if fortran else "C"
        )


class _Unpacked:
    """A compressed .npz member, read forwards; going back starts from the front."""

    def __init__(self, path: pathlib.Path, name: str) -> None:
        self._archive = zipfile.ZipFile(path)
        self._name = name
        self._rewind()

    def _rewind(self) -> None:
        self._stream = self._archive.open(self._name)
        self.shape, fortran, self.dtype = _read_header(self._stream)
        if fortran:
            raise ValueError(
                "a compressed array in Fortran order cannot be read by row"
            )
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
        content = self._stream.read(rows * self._row_bytes)
        if len(content) < rows * self._row_bytes:
            raise ValueError(f"it ends within row {self._next + rows}")
        self._next += rows
        return content


def _read_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran order, and dtype of the .npy content that follows."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(file)
    else:
        header = np.lib.format.read_array_header_2_0(file)
    if header[2].hasobject:
        raise ValueError("it holds Python objects, not numbers")
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
            raise ValueError(
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
