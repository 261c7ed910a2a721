"""Arrays out of foreign files: MATLAB v7.3 (HDF5) and NPZ, nothing trusted.

In: a path and the shapes its arrays must have. Out: NumPy arrays by name. Nothing is
unpickled, no link out of the file is followed, and whatever is wrong is one
``DataFileError`` that names the file.
"""

from __future__ import annotations

import pathlib
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from data_builders.files import DataFileError
from jaxflow.runs.errors import UserError, missing

# Name -> the shape behind the axis of frames.
Shapes = Mapping[str, tuple[int, ...]]

_MOST_FRAMES = 1_000_000  # more than any video has: a damaged or a malicious header


def read_mat(path: pathlib.Path, shapes: Shapes) -> dict[str, np.ndarray]:
    """Arrays of a MATLAB v7.3 file, whose axes HDF5 shows in reverse.

    Args:
      path: the file.
      shapes: the arrays to read, each (n, *shape) with the same n.

    Raises:
      DataFileError: not such a file, truncated, or other arrays than expected.
      ImportError: h5py is not installed; says how to install it.
    """
    h5py = _h5py(path)
    try:
        with h5py.File(path, "r") as file:
            arrays = {}
            for name, shape in shapes.items():
                dataset = _own_dataset(h5py, path, file, name)
                _check_shape(path, name, dataset.shape, shape)
                arrays[name] = _numbers(path, name, dataset[()])
    except DataFileError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise DataFileError(
            f"{path} cannot be read as a MATLAB v7.3 (HDF5) file, it may be truncated: "
            f"{error}"
        ) from error
    return _same_lengths(path, arrays)


def read_npz(path: pathlib.Path, shapes: Shapes) -> dict[str, np.ndarray]:
    """Arrays of an NPZ file; as ``read_mat`` otherwise.

    Raises:
      DataFileError: not such a file, truncated, pickled, or other arrays than expected.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise UserError("it holds a single array")
            if missing := [name for name in shapes if name not in file.files]:
                raise DataFileError(
                    f"{path} has no {', '.join(missing)}; it has "
                    f"{', '.join(file.files) or 'nothing'}"
                )
            arrays = {name: _numbers(path, name, file[name]) for name in shapes}
    except DataFileError:
        raise
    except (
        OSError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        MemoryError,
        RuntimeError,  # zipfile: encrypted, or packed in a way it does not know
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise DataFileError(
            f"{path} cannot be read as NPZ, it may be truncated: {error}"
        ) from error
    for name, shape in shapes.items():
        _check_shape(path, name, arrays[name].shape, shape)
    return _same_lengths(path, arrays)


def _h5py(path: pathlib.Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise missing(f"reading {path}", "h5py", "data") from error
    return h5py


def _own_dataset(h5py: Any, path: pathlib.Path, file: Any, name: str) -> Any:
    """An array that lies in this very file: HDF5 can point to any other."""
    link = file.get(name, getlink=True)  # looks at it without following it
    if link is None:
        raise DataFileError(
            f"{path} has no {name}; it has {', '.join(file) or 'nothing'}"
        )
    if not isinstance(link, h5py.HardLink):
        raise DataFileError(f"{path}: {name} is a link; expected an array")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise DataFileError(f"{path}: {name} is a group; expected an array")
    if dataset.external or dataset.is_virtual:
        raise DataFileError(f"{path}: {name} lies in other files, which are not read")
    return dataset


def _check_shape(
    path: pathlib.Path, name: str, found: tuple[int, ...] | None, shape: tuple[int, ...]
) -> None:
    if not found or found[1:] != shape or not 0 < found[0] <= _MOST_FRAMES:
        expected = ", ".join(["frames", *map(str, shape)])
        raise DataFileError(
            f"{path}: expected {name} of shape ({expected}); got {found}"
        )


def _numbers(path: pathlib.Path, name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiub":
        raise DataFileError(f"{path}: expected {name} to be numbers; got {array.dtype}")
    return array


def _same_lengths(
    path: pathlib.Path, arrays: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise DataFileError(f"{path}: numbers of frames differ: {lengths}")
    return arrays
